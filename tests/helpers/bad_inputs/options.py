"""Options: unknown, out of range, empty, contradicting each other, and names that would be read as something else."""

from bad_inputs import PREPARE, RUN, Bad, fit, plan, rename

LONG = "n" * 120

COMMANDS = [
    Bad("mistyped command", "reproduse fig3", ("reproduse: no such command; did you mean reproduce?",)),
    Bad("no command", "", ("give a command (fit, ",)),
    Bad("check of no folder", "check Tsk", ("Tsk: no such folder; did you mean Task?",)),
    Bad("check of a file", "check figure.yaml", ("figure.yaml: is a file; give a folder of images",)),
    Bad(
        "table in the data",
        "check Task --table Task/new.csv",
        ("--table Task/new.csv", "nothing is written into a data"),
    ),
    Bad("no figure", "reproduce", ("required, and not given: figure",)),
    Bad("mistyped figure", "reproduce fg3", ("fg3: no such figure", "did you mean fig3?")),
    Bad("empty figure", "reproduce ''", ("expected a value, got an empty one",)),
    Bad("mistyped option", "reproduce fig3 --armss rotation", ("--armss: no such option; did you mean --arms?",)),
    Bad("value of a flag", "reproduce fig3 --dry-run maybe", ("maybe",)),
    Bad("mistyped option of report", "report runs --wndb", ("--wndb: no such option; did you mean --wandb?",)),
    Bad(
        "unknown phantom",
        "phantom brian new",
        ("expected pancreas or brain or fundus, got brian; did you mean brain?",),
    ),
    Bad("phantom without cases", "phantom pancreas new --cases 0 --unlabelled 0", ("at least one case",)),
    Bad("phantom of -1 cases", "phantom pancreas new --cases -1", ("--cases: expected a whole number from 0, got -1",)),
    Bad(
        "phantom of 1.5 cases",
        "phantom pancreas new --cases 1.5",
        ("--cases: expected a whole number from 0, got 1.5",),
    ),
    Bad("phantom of seed -1", "phantom pancreas new --seed -1", ("--seed: expected a whole number from 0, got -1",)),
    Bad("phantom of side 0", "phantom pancreas new --size 0 24 24", ("--size: expected a whole number from 1, got 0",)),
    Bad(
        "phantom of two sides",
        "phantom pancreas new --size 24 24",
        ("three sides of at least 16 voxels, got (24, 24)",),
    ),
    Bad("phantom over data", "phantom pancreas Task --cases 3", ("Task: exists and is not a phantom",)),
]

PREPARING = [
    Bad("no store", "prepare Task", ("required, and not given: --store",)),
    Bad("one end of a window", f"{PREPARE} --hu-window -160", ("--hu-window: expected 2 arguments",)),
    Bad("word in a window", f"{PREPARE} --hu-window -160 much", ("--hu-window: expected a number, got much",)),
    Bad(
        "window upside down",
        f"{PREPARE} --hu-window 1e3 -1e3",
        ("hu_window must be a low and a higher", "(1000.0, -1000.0)"),
    ),
    Bad("infinite window", f"{PREPARE} --hu-window -inf 1e3", ("--hu-window: expected a number, got -inf",)),
    Bad("window of NaN", f"{PREPARE} --hu-window nan 1", ("--hu-window: expected a number, got nan",)),
    Bad("foreground above 1", f"{PREPARE} --foreground 2", ("foreground must be from 0 to below 1, not 2.0",)),
    Bad("foreground NaN", f"{PREPARE} --foreground nan", ("--foreground: expected a number, got nan",)),
    Bad("size 0", f"{PREPARE} --size 0", ("size must be ", "not 0")),
    Bad("size -4", f"{PREPARE} --size -4", ("size must be ", "not -4")),
    Bad("size that fits no memory", f"{PREPARE} --size 1000000", ("size must be ", "not 1000000")),
    Bad("spacing 0", f"{PREPARE} --spacing 1 0 1", ("spacing must be ", "(1.0, 0.0, 1.0)")),
    Bad("spacing of a nanometre", f"{PREPARE} --spacing 1e-6 1 1", ("spacing must be ", "(1e-06, 1.0, 1.0)")),
    Bad(
        "spacing of cubes", f"{PREPARE} --spacing 1 1 2", ("spacing must be left out, or given together with geometry",)
    ),
    Bad("spacing of two sides", f"{PREPARE} --spacing 1 1", ("--spacing: expected 3 arguments",)),
    Bad("percentiles below 0", f"{PREPARE} --percentiles -1 99", ("percentiles must be ", "(-1.0, 99.0)")),
    Bad("no jobs", f"{PREPARE} --jobs 0", ("--jobs: expected a whole number from 1, got 0",)),
    Bad("jobs in words", f"{PREPARE} --jobs two", ("--jobs: expected a whole number from 1, got two",)),
    Bad("empty data", "prepare '' --store new", ("expected a value, got an empty one",)),
    Bad("empty store", "prepare Task --store=", ("--store: expected a value, got an empty one",)),
    Bad("store within the data", "prepare Task --store Task/new", ("Task/new: lies within the data folder",)),
    Bad("store over data", "prepare Task --store eyes", ("eyes: exists and is not a store",)),
    Bad(
        "store with another size",
        "prepare Task --store store --size 16",
        ("store: was prepared otherwise", "size (12 there, 16 now)"),
    ),
    Bad(
        "spacing of photographs", "prepare eyes --store new --geometry spacing", ("eyes: photographs have no spacing",)
    ),
    Bad(
        "labels of another kind", f"{PREPARE} --task classification", ("Task: its labels are label maps, not classes",)
    ),
    Bad("data with a leading dash", "prepare -x --store new", ("-x: no such option",)),
    Bad(
        "data that are not there",
        "prepare nowhere --store new",
        ("nowhere: no such dataset; give a table, or a folder",),
    ),
]

PLANNING = [
    Bad("mistyped arm", plan("--arms baseline rotaton"), ("unknown arm rotaton", "did you mean rotation?")),
    Bad("empty arm", plan("--arms baseline ''"), ("--arms: expected a value, got an empty one",)),
    Bad("arm twice", plan("--arms rotation rotation"), ("arms must be at least one, each once",)),
    Bad("arm with a leading dash", plan("--arms -x"), ("--arms: expected at least one argument",)),
    Bad("null arm 0", plan("--arms baseline null-0"), ("unknown arm null-0",)),
    Bad("mistyped preset", plan("--preset quik"), ("quik: no such preset", "did you mean quick?")),
    Bad("mistyped encoder", plan("--encoder rsnet"), ("unknown encoder rsnet", "did you mean resnet?")),
    Bad("mistyped dataset", plan(data="pancras"), ("pancras: no such folder", "did you mean pancreas?")),
    Bad(
        "mistyped executor",
        plan("--executor lokal"),
        ("--executor: expected local or slurm, got lokal; did you mean local?",),
    ),
    Bad("profile without cluster", plan("--profile preset"), ("--profile preset", "--executor slurm")),
    Bad("mistyped folder", plan(data="Tsk"), ("did you mean Task?",)),
    Bad("mistyped file of an arm", plan("--arms tsk.yaml"), ("tsk.yaml: no such file", "did you mean task.yaml?")),
    Bad("fraction 0", plan("--fractions 0"), ("a label fraction must be in (0, 1], got 0.0",)),
    Bad("fraction -1e-3", plan("--fractions -1e-3"), ("a label fraction must be in (0, 1], got -0.001",)),
    Bad("fraction 1.5", plan("--fractions 1.5"), ("a label fraction must be in (0, 1], got 1.5",)),
    Bad("fraction NaN", plan("--fractions nan"), ("--fractions: expected a number, got nan",)),
    Bad("fraction empty", plan("--fractions ''"), ("--fractions: expected a value, got an empty one",)),
    Bad("fraction twice", plan("--fractions 0.5 0.50"), ("labels must be at least one, each once, got 50 %, 50 %",)),
    Bad("labels 0", plan("--labels 0"), ("a number of labels must be at least 1, got 0",)),
    Bad("labels 1.5", plan("--labels 1.5"), ("a number of labels must be a whole number or `all`, got 1.5",)),
    Bad("labels half", plan("--labels half"), ("a whole number or `all`, got half",)),
    Bad("labels 2 and 02", plan("--labels 2 02"), ("labels must be at least one, each once",)),
    Bad(
        "more labels than cases", plan("--labels 2 7"), ("fold 0: 7 labels: there are only 5 labelled training cases",)
    ),
    Bad("labels and fractions", plan("--labels 2 --fractions 0.5"), ("not both",)),
    Bad(
        "labels and folds of a final model",
        plan("--final --arms rotation --labels 2 --folds 0"),
        ("--final trains on all labels and tests in no fold: leave out --labels and --folds",),
    ),
    Bad(
        "seeds of a final model",
        plan("--final --arms rotation --seeds 0 1"),
        ("--final trains one network: give one of --seeds 0 1",),
    ),
    Bad("check of a final model", "reproduce fig3 --final --check", ("leave out --check",)),
    Bad("fold -1", plan("--folds -1"), ("--folds: expected a whole number from 0, got -1",)),
    Bad("fold beyond", plan("--folds 3"), ("folds must be in 0 to 2, got 3",)),
    Bad("fold twice", plan("--folds 0 0"), ("folds must be at least one, each once",)),
    Bad("seed -1", plan("--seeds -1"), ("--seeds: expected a whole number from 0, got -1",)),
    Bad("seed 2**32", plan("--seeds 4294967296"), ("seeds must be in 0 to 2**32 - 1, got 4294967296",)),
    Bad("seed in words", plan("--seeds 1 two"), ("--seeds: expected a whole number from 0, got two",)),
    Bad("jobs 0", plan("--jobs 0"), ("--jobs: expected a whole number from 1, got 0",)),
    Bad("devices -1", plan("--devices -1"), ("--devices: expected a whole number from 1, got -1",)),
    Bad(
        "batch that devices do not divide",
        plan("--devices 3 --arms baseline"),
        ("batches of 2 cases cannot be divided",),
        environment={"CUDA_VISIBLE_DEVICES": ""},
    ),
    Bad("pool that no arm uses", plan("--pool Task --arms baseline"), ("--pool Task: no arm is pretrained on it",)),
    Bad(
        "pool that is not there",
        plan("--pool Tsk --arms rotation-external"),
        ("Tsk: no such folder", "did you mean Task?"),
    ),
    Bad(
        "tasks that compare cases with one for validation",
        plan("--arms rotation exemplar joint"),
        (
            "exemplar, joint: compare the 2 or more cases",
            "fold 0 has 6 for training, 1 for validation",
            "10 in 5 folds are enough",
        ),
    ),
    Bad("no pool", plan("--arms rotation-external"), ("give it by --pool",)),
    Bad("classes for label maps", plan(data="eyes"), ("eyes: its labels are classes, not label maps",)),
    Bad("label maps for classes", plan(figure="fig4"), ("Task: its labels are label maps, not classes",)),
    Bad("regions that are not there", plan(figure="fig2"), ("organ",)),
    Bad("empty runs", plan("--runs ''"), ("--runs: expected a value, got an empty one",)),
    Bad("out that is a file", "reproduce fig3 --data Task --preset preset --runs new --out task.yaml", ("task.yaml",)),
]

NAMES = [
    Bad(
        f"data called {name!r}",
        plan(data=f'"{path}"'),
        (repr(name)[1:-1] if name.isprintable() else "its name", "its name", "rename it"),
        make=rename("Task", name),
    )
    for name, path in {
        "Task: x": "Task: x",
        'say "x"': r"say \"x\"",
        "it's": "it's",
        "a{b}": "a{b}",
        "[x]": "[x]",
        "#1": "#1",
        "-x": "./-x",
        ".x": ".x",
        "a\nb": "a\nb",
        "a$b$": "a$b$",
        " x": " x",
        "*": "*",
        LONG: LONG,
    }.items()
] + [
    Bad(
        "preset called 'a: b'",
        plan("--preset 'a: b'"),
        ("a: b", "its name", "rename it"),
        make=rename("preset", "a: b"),
    ),
    Bad(
        "pool called 'a: b'",
        plan("--pool 'a: b' --arms rotation-external"),
        ("a: b", "its name"),
        make=rename("eyes", "a: b"),
    ),
]

FITTING = [
    Bad("mistyped option of a model", fit("--model.num_angels 3"), ("--model.num_angels: Segmentation has no such option",)),
    Bad("mistyped option of an encoder", fit("--model.encoder.widts [4]"), ("--model.encoder.widts: UNetEncoder has no such option; did you mean widths?",)),
    Bad("mistyped option of the trainer", fit("--trainer.devicez 2"), ("--trainer.devicez: no such option; did you mean --trainer.devices?",)),
    Bad("mistyped class", fit("--model Segmentaton"), ("--model: no class Segmentaton is known; did you mean Segmentation?",)),
    Bad("mistyped choice", fit("--select lst"), ("--select: expected last or best, got lst; did you mean last?",)),
    Bad("model for other labels", fit("--model Classification"), ("--model Classification", "use ClassificationData")),
    Bad("config that is not there", fit("-c preset/encodr.yaml"), ("did you mean", "encoder.yaml?")),
    Bad("config that is a folder", fit("-c store"), ("--config: Path is not a file", "store")),
    Bad("batch size 0", fit("--data.batch_size 0"), ("--data.batch_size: expected a whole number from 1, got 0",)),
    Bad("updates -4", fit("--data.updates -4"), ("--data.updates: expected a whole number from 1, got -4",)),
    Bad("updates and epochs", fit("--data.epochs 3"), ("in updates or in epochs, one of them",)),
    Bad("fewer updates than validations", fit("--data.updates 1"), ("1 updates are too few for 2 validation passes",), leaves=RUN),
    Bad("validations 0", fit("--data.validations 0"), ("--data.validations: expected a whole number from 1, got 0",)),
    Bad("workers -1", fit("--data.num_workers -1"), ("--data.num_workers: expected a whole number from 0, got -1",)),
    Bad("threads 0", fit("--threads 0"), ("--threads: expected a whole number from 1 to 1024, got 0",)),
    Bad("threads beyond the machine", fit("--threads 100000"), ("--threads: expected a whole number from 1 to 1024, got 100000",)),
    Bad("fold -1 of a run", fit("--data.fold -1"), ("--data.fold: expected a whole number from 0, got -1",)),
    Bad("fold beyond the folds", fit("--data.fold 3"), ("fold 3 of 3",)),
    Bad("fold in words", fit("--data.fold two"), ("--data.fold: expected a whole number from 0, got two",)),
    Bad("one fold", fit("--data.n_folds 1"), ("--data.n_folds: expected a whole number from 2, got 1",)),
    Bad("more folds than cases", fit("--data.n_folds 99"), ("9 labelled cases cannot make 99 folds",)),
    Bad("seed of a run -1", fit("--seed_everything -1"), ("--seed_everything: expected a whole number from 0", "got -1")),
    Bad("label fraction 0", fit("--data.label_fraction 0"), ("a label fraction must be in (0, 1], got 0",)),
    Bad("label fraction NaN", fit("--data.label_fraction nan"), ("--data.label_fraction: expected a number", "got nan")),
    Bad("n_labels 0", fit("--data.n_labels 0"), ("--data.n_labels: expected a whole number from 1", "got 0")),
    Bad("crop with a side of 0", fit("--data.crop_size [0,8,8]"), ("--data.crop_size: expected a whole number from 1",)),
    Bad("crop of two sides", fit("--data.crop_size [8,8]"), ("data.crop_size needs 3 sides, got [8, 8]",)),
    Bad("device memory 2", fit("--data.device_memory 2"), ("data.device_memory must be a fraction in [0, 1], got 2.0",)),
    Bad("four dimensions", fit("--data.spatial_dims 4"), ("--data.spatial_dims: expected 2 or 3", "got 4")),
    Bad("no widths", fit("--model.encoder.widths []"), ("got widths []",)),
    Bad("width 0", fit("--model.encoder.widths [4,0]"), ("--model.encoder.widths: expected a whole number from 1",)),
    Bad("dropout 2", fit("--model.encoder.dropout 2"), ("--model.encoder.dropout: expected a fraction from 0 to below 1, got 2",)),
    Bad("frozen twice as long", fit("--model.pretrained.frozen_fraction 2"), ("--model.pretrained.frozen_fraction: expected a fraction from 0 to 1, got 2",)),
    Bad("learning rate -1", fit("--model.optimization.optimizer torch.optim.SGD --model.optimization.optimizer.lr -1"), ("model.optimization.optimizer", "Invalid learning rate: -1"), leaves=RUN),
    Bad("precision 8", fit("--trainer.precision 8"), ("--trainer.precision: expected 64 or 32 or 16", "got 8")),
    Bad("accelerator that is not here", fit("--trainer.accelerator tpu"), ("trainer: ",)),
    Bad("two devices of one process", fit("--trainer.devices 2"), ("trainer.devices is 2, but this run has 1 process",)),
    Bad("two nodes", fit("--trainer.num_nodes 2"), ("trainer.num_nodes is 2, expected 1",)),
    Bad("clipping below 0", fit("--trainer.gradient_clip_val -1e-3"), ("trainer.gradient_clip_val is -0.001, expected a number from 0",)),
    Bad("empty run directory", fit("--run_dir ''"), ("--run_dir: expected a value, got an empty one",)),
    Bad("run directory that is a file", fit("--run_dir task.yaml"), ("--run_dir", "task.yaml is a file")),
    Bad("run directory below a file", fit("--run_dir task.yaml/run"), ("--run_dir", "task.yaml is a file")),
    Bad("store that is not there", fit("--data.store nowhere"), ("nowhere: is not a prepared dataset",)),
    Bad("data for a store", fit("--data.store Task"), ("Task: is not a prepared dataset", "sslmed prepare")),
    Bad("a checkpoint to resume", fit("--ckpt_path run/checkpoints/last.ckpt"), ("fit takes no --ckpt_path",)),
]  # fmt: skip

INPUTS = [*COMMANDS, *PREPARING, *PLANNING, *NAMES, *FITTING]
