"""YAML files of figures, presets, arms and encoders, and of runs."""

import yaml

from bad_inputs import Bad, fit, plan, write
from bad_inputs.start import FIGURE, TINY


def figure(**changes: object):
    """Write a figure's YAML with other entries."""
    return write("figure.yaml", yaml.safe_dump(FIGURE | changes))


def preset(**changes: object):
    """Write a preset's YAML with other entries."""
    return write("preset/preset.yaml", yaml.safe_dump(yaml.safe_load((TINY / "preset.yaml").read_text()) | changes))


OWN = plan(figure="figure.yaml")
PRESET = "preset/preset.yaml: "

INPUTS = [
    Bad("figure that is not YAML", OWN, ("figure.yaml: ",), make=write("figure.yaml", "arms: [")),
    Bad("figure of zeros", OWN, ("figure.yaml: ",), make=write("figure.yaml", b"\0\0")),
    Bad("figure in Latin-1", OWN, ("figure.yaml: ",), make=write("figure.yaml", "figure: caf\xe9".encode("latin-1"))),
    Bad("empty figure file", OWN, ("figure.yaml: expected a mapping",), make=write("figure.yaml", "")),
    Bad("figure with an unknown key", OWN, ("figure.yaml: ", "arm"), make=figure(arm=1)),
    Bad("figure of another's name", OWN, ("figure.yaml: figure is 'fig3', expected a name of its own",), make=figure(figure="fig3")),
    Bad("figure called 'a: b'", OWN, ("figure.yaml: figure is 'a: b'", "letters, digits"), make=figure(figure="a: b")),
    Bad("figure with an arm called 'a: b'", OWN, ("figure.yaml: ", "'a: b'", "letters, digits"), make=figure(arms={"a: b": None})),
    Bad("figure without arms", OWN, ("figure.yaml: ", "one arm"), make=figure(arms={})),
    Bad("figure without metrics", OWN, ("figure.yaml: ", "one metric"), make=figure(metrics=[])),
    Bad("figure with a file that is not there", OWN, ("figure.yaml: names nowhere.yaml",), make=figure(encoder="nowhere.yaml")),
    Bad("figure with a fraction of 2", OWN, ("figure.yaml: ", "a label fraction must be in (0, 1], got 2"), make=figure(fractions=[2.0])),
    Bad("preset with an unknown key", plan(), (PRESET + "n_fold: no such option; did you mean n_folds?",), make=preset(n_fold=5)),
    Bad("preset with an unknown key of the preparation", plan(), (PRESET + "prepare.sise: no such option; did you mean prepare.size?",), make=preset(prepare={"sise": 16})),
    Bad("preset of one fold", plan(), (PRESET, "n_folds: expected a whole number from 2, got 1"), make=preset(n_folds=1)),
    Bad("preset with a fold of -1", plan(), (PRESET, "folds: expected a whole number from 0, got -1"), make=preset(folds=[-1])),
    Bad("preset without folds", plan(), ("folds must be at least one",), make=preset(folds=[])),
    Bad("preset of an unknown precision", plan(), (PRESET, "precision: expected auto or 32-true or bf16-mixed, got bf16"), make=preset(precision="bf16")),
    Bad("preset of size 0", plan(), (PRESET, "size must be ", "not 0"), make=preset(prepare={"size": 0})),
    Bad("preset of labels and fractions", plan(), (PRESET, "not both"), make=preset(labels=[1], fractions=[0.5])),
    Bad("preset with a stray file", plan(), ("preset: finetun.yaml would not be read: ", "did you mean finetune.yaml?"), make=write("preset/finetun.yaml", "{}")),
    Bad("overlay with an unknown key", plan(), ("preset/finetune.yaml: --data.batch_sise: SegmentationData has no such option; did you mean batch_size?",), make=write("preset/finetune.yaml", "data: {init_args: {batch_sise: 2}}")),
    Bad("overlay with a batch of 0", plan(), ("--data.batch_size: expected a whole number from 1",), make=write("preset/finetune.yaml", "data: {init_args: {batch_size: 0}}")),
    *(
        Bad(f"overlay with {name}", plan(), (f"preset/{file}: {name} is set by options of the command or by preset.yaml",), make=write(f"preset/{file}", f"{name}: {value}"))
        for name, file, value in [("data.n_folds", "finetune.yaml", 4), ("seed_everything", "run.yaml", 7), ("data.n_labels", "finetune.yaml", 3)]
    ),
    Bad("overlay with another precision than the preset's", plan(), ("preset/run.yaml: trainer.precision is set by",), make=lambda folder: (preset(precision="auto")(folder), write("preset/run.yaml", "trainer: {precision: 64-true}")(folder))),
    Bad("overlay that is not YAML", plan(), ("finetune.yaml",), make=write("preset/finetune.yaml", "data: {")),
    Bad("arm called 'of mine'", plan("--arms 'of mine.yaml'"), ("of mine.yaml", "may contain letters, digits"), make=write("of mine.yaml", "model: {class_path: Rotation}")),
    Bad("arm called as ours", plan("--arms rotation.yaml"), ("rotation is already the name of something else",), make=write("rotation.yaml", "model: {class_path: Rotation}")),
    Bad("arm without a decoder", plan("--arms task.yaml-decoder"), ("task has no decoder to transfer",), make=write("task.yaml", "model: Rotation")),
    Bad("arm of an unknown class", plan("--arms task.yaml"), ("task.yaml: --model: no class Rotaton is known; did you mean Rotation?",), make=write("task.yaml", "model: {class_path: Rotaton}")),
    Bad("arm that is not YAML", plan("--arms task.yaml"), ("task.yaml",), make=write("task.yaml", "model: {")),
    Bad("encoder that is not there", plan("--encoder absent.yaml"), ("absent.yaml: no such file",)),
    Bad("encoder that is not YAML", plan("--encoder net.yaml"), ("net.yaml: not valid YAML",), make=write("net.yaml", "model: {")),
    Bad("preset in Latin-1", plan(), (PRESET, "not valid YAML"), make=write("preset/preset.yaml", "# caf\xe9".encode("latin-1"))),
    Bad("arm with an unknown class", plan("--arms task.yaml"), ("task.yaml: --model: module 'sslmed.pretext' has no attribute 'Rotaton'",), make=write("task.yaml", "model: {class_path: sslmed.pretext.Rotaton}")),
    Bad("arm with an abstract class", plan("--arms task.yaml"), ("task.yaml: --model: 'PretextTask' of 'sslmed.pretext' lacks loss, make_task, which it must define",), make=write("task.yaml", "model: {class_path: sslmed.pretext.PretextTask}")),
    Bad("overlay in Latin-1", plan(), ("finetune.yaml: not valid YAML",), make=write("preset/finetune.yaml", "# caf\xe9".encode("latin-1"))),
    Bad("arm in Latin-1", plan("--arms task.yaml"), ("task.yaml: not valid YAML",), make=write("task.yaml", "# caf\xe9".encode("latin-1"))),
    Bad("encoder in Latin-1", plan("--encoder net.yaml"), ("net.yaml: not valid YAML",), make=write("net.yaml", "# caf\xe9".encode("latin-1"))),
    Bad("config of a run that is not YAML", fit("-c task.yaml"), ("task.yaml",), make=write("task.yaml", "model: [")),
    *(
        Bad(f"config of a run with {name}", fit("-c task.yaml"), (f"task.yaml: {name} always follows from {source}",), make=write("task.yaml", f"{name}: 3"))
        for name, source in {"trainer.max_epochs": "data.validations", "data.seed": "seed_everything", "model.encoder.in_channels": "data.in_channels"}.items()
    ),
    Bad("length of training in a file of the trainer", fit("--trainer task.yaml"), ("--trainer.max_epochs always follows from data.validations",), make=write("task.yaml", "max_epochs: 3")),
    Bad("classes in a model's file, named by a config elsewhere", fit("-c preset/run.yaml"), ("run.yaml: model.label_values always follows from data.label_values",), make=lambda folder: (write("preset/run.yaml", "model: model.yaml")(folder), write("preset/model.yaml", "init_args: {label_values: [0, 1]}")(folder))),
    Bad("overlay with an option of the optimizer one level too high", plan(), ("preset/finetune.yaml: --model.optimization.lr: Optimization has no such option; it has optimizer, schedule",), make=write("preset/finetune.yaml", "model: {init_args: {optimization: {lr: 0.1}}}")),
    Bad("arm whose class does not take the optimization", plan("--arms task.yaml"), ("--model.optimization: Narrow does not take optimization; add it to its constructor, and pass it on",), make=lambda folder: (write("task.yaml", "model: {class_path: narrow.Narrow, init_args: {optimization: {schedule: cosine}}}")(folder), write("narrow.py", "from sslmed.encoders import Encoder\nfrom sslmed.pretext import Rotation\n\nclass Narrow(Rotation):\n    def __init__(self, encoder: Encoder):\n        super().__init__(encoder)\n")(folder))),
    Bad("config of a run that is JSON of data", fit("-c Task/dataset.json"), ("no such option",)),
]  # fmt: skip
