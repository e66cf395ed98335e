"""`sslmed export`: every format gives what the run gave, is complete or absent, and says what it is."""

import importlib.util
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
import yaml
from commands import exit_status, fit
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from trained_runs import FINETUNED, MAPS, Trained

from sslmed import load
from sslmed.downstream import Segmentation
from sslmed.downstream.base import Pretrained
from sslmed.encoders import UNetEncoder
from sslmed.encoders.weights_file import read_state
from sslmed.exporting import export as exporting
from sslmed.exporting.card import write_card
from sslmed.exporting.description import Description
from sslmed.exporting.trained_run import read_run
from sslmed.phantoms import KINDS
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*FINETUNED, "rotation"])
def test_safetensors_hold_every_tensor_and_all_that_is_needed(trained, tmp_path, kind) -> None:
    out = tmp_path / "out"
    assert exit_status("export", trained[kind], out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    weights, state = load_file(out / "model.safetensors"), read_state(trained[kind])
    assert weights.keys() == state.keys()
    assert all(torch.equal(weights[name], state[name]) for name in state)
    assert load(out).description == load(trained[kind]).description
    assert _paths_of_this_machine(out, trained) == []


def test_the_model_card_says_what_it_is(trained, tmp_path) -> None:
    out = tmp_path / "pancreas-unet"
    assert exit_status("export", trained["segmentation"], out, "--licence", "cc-by-sa-4.0") == 0
    card = ModelCard.load(out / "README.md")
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        *("cc-by-sa-4.0", "sslmed"),
        "image-segmentation",
    )
    scores = json.loads((trained["segmentation"] / "results.json").read_text())["metrics"]
    listed = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert listed == pytest.approx({name: value for name, value in scores.items() if value is not None}, abs=1e-4)
    for words in (
        *("-160 to 240 HU", "resized to 16", "1: pancreas", "RAS", "fold 0 of 5", "not a medical device"),
        *("random weights", "one run", "noise of training is not in them", "test cases"),
        "(licence: CC BY-SA 4.0, http://medicaldecathlon.com)",
    ):
        assert words in card.text
    interval = re.search(rf"foreground Dice \| {scores['dice_foreground']:.3f} \| ([\d.]+) to ([\d.]+)", card.text)
    assert float(interval[1]) <= scores["dice_foreground"] <= float(interval[2])


@pytest.mark.slow
def test_the_card_of_pretraining_says_what_it_learned_from_and_what_it_did_not_see(trained, store, tmp_path) -> None:
    labelled = fit("segmentation", store, tmp_path / "labelled", "--data.testing", "false")
    everything = fit("rotation", store, tmp_path / "everything", "--data.transductive", "true")
    for run, stage, protocol in (
        (trained["rotation"], "pretraining without labels", "the test cases of fold 0 of 5 are left out; seed 0"),
        (everything, "pretraining without labels", "no image is left out for a test; seed 0"),
        (labelled, "pretraining with labels", "no image is left out for a test; seed 0"),
    ):
        write_card(tmp_path / "card.md", Description.of_run(read_run(run)), name="x", form="safetensors", licence="mit")
        card = (tmp_path / "card.md").read_text()
        assert f"| stage | {stage} |" in card
        assert f"| protocol | {protocol}" in card
        assert ("pretraining saw the test images" in card) == (run == everything)
        assert ("| classes |" in card) == (run == labelled)


def test_the_card_has_weighted_kappa_only_of_classes_with_an_order(trained, tmp_path) -> None:
    described = Description.of_run(read_run(trained["classification"]))
    scores = described.run["scores"]
    final = replace(described, run=described.run | {"scores": [], "expected": [_as_expected(each) for each in scores]})
    for has_order, score in ((True, "qwk"), (False, "auroc")):
        for each in (described, final):
            each.network["init_args"]["score"] = score
            write_card(tmp_path / "card.md", each, name="x", form="safetensors", licence="mit")
            card = (tmp_path / "card.md").read_text()
            assert "| AUROC, mean over classes |" in card
            assert ("weighted kappa" in card, "type: qwk" in card) == (has_order, has_order and each is described)


@pytest.mark.parametrize(
    ("budget", "length"),
    [({"updates": 5}, "4 updates of batch"), ({"updates": None, "epochs": 3}, "4 updates (set as 3 epochs) of batch")],
)
@pytest.mark.parametrize("kind", ["rotation", "segmentation"])
def test_the_card_says_how_long_training_was_not_what_was_asked_for(trained, tmp_path, kind, budget, length) -> None:
    """Two validation passes make 5 updates 4."""
    run = read_run(trained[kind])
    run.settings["data"]["init_args"].update(budget)
    write_card(tmp_path / "card.md", Description.of_run(run), name="x", form="safetensors", licence="mit")
    assert f"; seed 0; {length} size 2; " in (tmp_path / "card.md").read_text()


@pytest.mark.parametrize("n_runs", [2, 5])
@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("diff", [None, 0.1])
def test_one_blank_line_is_between_the_parts_of_the_card_of_a_final_model(trained, tmp_path, n_runs, pretrained, diff):
    described = Description.of_run(read_run(trained["regression"]))
    ends = {"diff": diff, "diff_low": diff, "diff_high": diff, "n_runs": n_runs}
    known = {"pretrained": pretrained, "expected": [_as_expected(each) | ends for each in described.run["scores"]]}
    final = replace(described, run=described.run | known | {"scores": []})
    write_card(tmp_path / "card.md", final, name="x", form="safetensors", licence="mit")
    card = (tmp_path / "card.md").read_text()
    assert re.search(r"[.|]\n\n## Licence\n\nmit\n", card)
    assert "\n\n\n" not in card
    assert ("the noise of training is not in them.\n" in card) == (n_runs == 2)


def _as_expected(score: dict[str, object]) -> dict[str, object]:
    ends = {"ci_low": score["low"], "ci_high": score["high"]}
    return ends | {"metric": score["metric"], "mean": score["value"], "n_labels": 4, "n_runs": 2}


def test_the_training_state_has_the_optimizer_and_no_path_of_this_machine(trained, tmp_path) -> None:
    out = tmp_path / "out"
    assert exit_status("export", trained["segmentation"], out, "--part", "training") == 0
    state = torch.load(out / "training.ckpt", weights_only=True)
    original = torch.load(trained["segmentation"] / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == original["global_step"] == 4
    for one, other in zip(state["optimizer_states"], original["optimizer_states"], strict=True):
        torch.testing.assert_close(one["state"], other["state"])
    settings = yaml.safe_load((out / "training.yaml").read_text())
    assert settings["data"]["init_args"]["updates"] == 4
    assert _paths_of_this_machine(out, trained) == []


def test_training_resumes_from_the_exported_state(trained, tmp_path, store, caplog) -> None:
    out, run = tmp_path / "out", tmp_path / "run"
    assert exit_status("export", trained["segmentation"], out, "--part", "training") == 0
    (run / "checkpoints").mkdir(parents=True)
    (out / "training.ckpt").rename(run / "checkpoints" / "last.ckpt")
    caplog.set_level("INFO")
    assert exit_status("fit", "-c", out / "training.yaml", "--data.store", store, "--run_dir", run) == 0
    assert "resuming from" in caplog.text
    before, after = read_state(trained["segmentation"]), read_state(run)
    assert all(torch.equal(before[name], after[name]) for name in before)  # it was at its end


def test_fit_takes_foreign_weights_by_a_key_map(trained, tmp_path, store, capsys) -> None:
    state = {f"net.{name}": value for name, value in read_state(trained["rotation"]).items()}
    torch.save({"model": state}, tmp_path / "other.pth")
    options = ["--model.pretrained.checkpoint", str(tmp_path / "other.pth")]
    options += ["--model.pretrained.key_map", '{"net.encoder.": "encoder."}']
    fit("segmentation", store, tmp_path / "run", *options)
    said = capsys.readouterr().out
    assert re.search(r"other\.pth: \d+ loaded, 0 missing, 0 mismatched, 0 unknown\n", said)
    assert "not the encoder's: net. (" in said


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """The store that runs were trained on, made anew."""
    folder = tmp_path_factory.mktemp("again")
    KINDS["pancreas"](folder / "volumes", cases=7, unlabelled=1, size=(24, 20, 16), jobs=1)
    return prepare(folder / "volumes", folder / "cubes", PrepareSettings(size=16), jobs=1).root


def test_a_run_directory_stands_for_its_checkpoint(trained) -> None:
    """So that what is asked of a checkpoint, such as which images it saw, is asked of the same file."""
    task = Segmentation(UNetEncoder(3, 1, widths=(4, 8)), pretrained=Pretrained(trained["rotation"]))
    assert task.pretrained.checkpoint == trained["rotation"] / "checkpoints" / "last.ckpt"


def _paths_of_this_machine(out: Path, trained) -> list[Path]:
    parts = [str(path).encode() for path in (trained.runs, trained.runs.parents[1])]
    return [path for path in out.rglob("*") if path.is_file() and any(part in path.read_bytes() for part in parts)]


@pytest.mark.parametrize("part", ["network", "encoder"])
def test_fine_tuning_starts_from_an_export(trained, tmp_path, part, capsys) -> None:
    out = tmp_path / "out"
    assert exit_status("export", trained["rotation"], out, "--part", part) == 0
    encoder = UNetEncoder(3, 1, widths=(4, 8), dropout=0.1)
    Segmentation(encoder, pretrained=Pretrained(out))
    state = read_state(trained["rotation"])
    assert all(torch.equal(value, state[f"encoder.{name}"]) for name, value in encoder.state_dict().items())
    assert ("not the encoder's: head. (" in capsys.readouterr().out) == (part == "network")


NETWORKS = [
    pytest.param(kind, "network", marks=pytest.mark.long if kind in MAPS and kind != "segmentation" else ())
    for kind in FINETUNED
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "part"), [*NETWORKS, ("segmentation", "encoder"), ("rotation", "encoder")])
def test_onnx_gives_what_the_run_gives_for_any_batch(trained, tmp_path, kind, part) -> None:
    out = tmp_path / "out"
    assert exit_status("export", trained[kind], out, "--format", "onnx", "--part", part) == 0
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "config.json", "model.onnx"]
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    model = load(trained[kind])
    network = model.encoder if part == "encoder" else model.network
    for batch in (1, 5):
        images = torch.rand(batch, *given.shape[1:])
        with torch.inference_mode():  # a value in its unit: nothing else in the folder has its mean and scale
            expected = network.outputs(images) if kind == "regression" else network(images)
        expected = expected if isinstance(expected, list) else [expected]
        for one, other in zip(session.run(None, {given.name: images.numpy()}), expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5 * max(1, other.abs().max()))


@pytest.mark.parametrize(
    ("kind", "part", "changed", "name", "meaning"),
    [
        ("segmentation", "network", {}, "(logits,)", "(B, 3, 16, 16, 16): their softmax over axis 1"),
        ("classification", "network", {}, "(logits,)", "(B, 5): their softmax over axis 1"),
        ("classification", "network", {"objective": "ordinal"}, "(logits,)", "(B, 4): sigmoids are P(grade > 0), "),
        ("regression", "network", {}, "(value,)", "(B,), in the unit of the labels"),
        ("segmentation", "encoder", {}, "maps", "A list of feature maps (B, C_i, *spatial_i), finest first"),
    ],
)
def test_the_card_of_onnx_says_what_comes_out(trained, tmp_path, kind, part, changed, name, meaning) -> None:
    described = Description.of_run(read_run(trained[kind]), part)
    described.network["init_args"].update(changed)
    write_card(tmp_path / "card.md", described, name="x", form="onnx", licence="mit", size=described.input_size)
    assert f'{name} = session.run(None, {{"image": images}})\n# {meaning}' in (tmp_path / "card.md").read_text()


@pytest.mark.slow
def test_the_size_of_onnx_can_be_chosen(trained, tmp_path) -> None:
    options = ("--format", "onnx", "--size", "12", "8", "10")
    assert exit_status("export", trained["segmentation"], tmp_path / "out", *options) == 0
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[1:] == [1, 12, 8, 10]
    assert session.get_outputs()[0].shape[1:] == [3, 12, 8, 10]


WRONG = {
    "{rotation} {out} --format onnx": "is a pretraining run; give --part encoder, or a fine-tuning run",
    "{segmentation} {out} --format onnx --part training": "onnx holds no training state; give --format safetensors",
    "{segmentation} {out} --format onnx --size 8 8": "--size: expected 3 sides in voxels, got 8 8",
    "{segmentation} {out} --format monai-bundle --part encoder": "holds a network that predicts, not an encoder",
    "{rotation} {out} --format monai-bundle": "holds a network that predicts, not a pretraining run",
    "{segmentation} {out} --format nnunet": "this is UNetEncoder: train the run with --encoder residual",
    "{segmentation} {out} --format safetensor": "did you mean safetensors?",
    "{scan} {out}": "is not a finished run; give the directory of one",
    "{segmentation} {segmentation}": "exists; give a new or an empty folder",
    "{segmentation} {scan}": "exists; give a new or an empty folder",
    "{segmentation}": "required, and not given: out",
}


@pytest.mark.parametrize("command", WRONG)
def test_what_is_wrong_is_one_line_and_nothing_is_written(trained, tmp_path, capsys, command) -> None:
    places = {kind: trained[kind] for kind in ("segmentation", "rotation")} | {"scan": trained.images["segmentation"]}
    arguments = command.format(**places, out=tmp_path / "out").split()
    before = sorted(trained["segmentation"].rglob("*"))
    assert exit_status("export", *arguments) == 2
    message = capsys.readouterr().err
    assert WRONG[command] in message
    assert len(message.splitlines()) == 1
    assert not list(tmp_path.iterdir())
    assert sorted(trained["segmentation"].rglob("*")) == before


@pytest.mark.parametrize(
    ("form", "package"),
    [
        *[("safetensors", each) for each in ("safetensors", "huggingface_hub")],
        *[("onnx", each) for each in ("onnx", "onnxscript", "onnxruntime", "huggingface_hub")],
        ("monai-bundle", "huggingface_hub"),
    ],
)
def test_a_missing_package_is_one_line_with_the_extra(trained, tmp_path, capsys, monkeypatch, form, package) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("sslmed.core.extras.find_spec", lambda name: None if name == package else find(name))
    assert exit_status("export", trained["segmentation"], tmp_path / "out", "--format", form) == 2
    message = capsys.readouterr().err
    assert f"needs the package {package}, which is not installed: pip install" in message
    assert "sslmed[export]" in message
    assert len(message.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["safetensors", "monai-bundle", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_failure_while_writing_leaves_nothing(trained, tmp_path, monkeypatch, form) -> None:
    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sslmed.exporting.request.write_card", fail)
    assert exit_status("export", trained["segmentation"], tmp_path / "out", "--format", form) == 2
    assert not list(tmp_path.iterdir())


def test_every_format_of_the_command_is_written() -> None:
    from typing import get_args, get_type_hints

    from sslmed.cli.export import Options

    assert set(get_args(get_type_hints(Options)["format"])) == exporting.FORMATS.keys()


def test_what_a_single_case_does_not_tell_is_a_dash_and_no_infinity(trained: Trained, tmp_path: Path) -> None:
    run = shutil.copytree(trained["regression"], tmp_path / "run")
    cases = pd.read_csv(run / "cases.csv", dtype={"case": str})
    cases[:1].to_csv(run / "cases.csv", index=False)
    described = Description.of_run(read_run(run))
    json.dumps(described.to_json(), allow_nan=False)
    expected = {"metric": "mae", "mean": 2.0, "ci_low": 0.0, "ci_high": None, "n_labels": 1, "n_runs": 1}
    final = replace(described, run=described.run | {"scores": [], "expected": [expected]})
    cards = []
    for each in (described, final):
        write_card(tmp_path / "card.md", each, name="x", form="safetensors", licence="mit")
        cards.append((tmp_path / "card.md").read_text())
    assert re.search(r"mean absolute error \(unit of the values\), lower is better \| [\d.]+ \| – \|\n", cards[0])  # noqa: RUF001
    assert "95 % interval over 1 test case |" in cards[0]
    assert "lower is better | 2.000 | – |\n\nThe intervals cover the choice of test cases; with so few" in cards[1]  # noqa: RUF001
    assert "on 1 label had these scores in\ncross-validation (1 run), on" in cards[1]


@pytest.mark.slow
def test_a_channel_that_nobody_named_is_not_named_in_the_card(trained: Trained, tmp_path: Path) -> None:
    described = Description.of_run(read_run(trained["segmentation"]))
    cards = []
    for names in (("CT",), ("channel",)):
        recipe = replace(described.recipe, modalities=names)
        write_card(tmp_path / "card.md", replace(described, recipe=recipe), name="x", form="safetensors", licence="mit")
        cards.append((tmp_path / "card.md").read_text())
    assert "- CT\n" in cards[0]
    assert "| channels | CT |" in cards[0]
    assert "- channel\n" not in cards[1]
    assert "| channels |" not in cards[1]
    assert cards[1].count("| dataset |") == 1
    assert re.search(r"^\d\. Its percentiles ", cards[1], re.MULTILINE)
    assert all(card.endswith(".\n") for card in cards)
