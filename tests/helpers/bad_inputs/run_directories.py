"""Directories of runs, experiments and stores."""

from bad_inputs import PREPARE, RUN, Bad, fit, plan, write


def without(name: str):
    """Remove a file."""
    return lambda folder: (folder / name).unlink()


INPUTS = [
    Bad("run that is done", fit("--run_dir run"), ("run: this run is done",)),
    Bad("run with other settings", fit("--run_dir run --data.updates 6"), ("run: holds an interrupted run with other settings", "updates was 4, now 6"), make=without("run/results.json")),
    Bad("test of a pretraining run", "test -c pretraining/config.yaml", ("pretraining: a pretraining run or a final model has no test cases",)),
    Bad("test of a run without -c", "test run", ("run: expected an option here", "a run is given by -c run/config.yaml")),
    Bad("test of two runs", "test -c run/config.yaml -c pretraining/config.yaml", ("-c: expected the configuration of one run, got those of ",)),
    Bad("prediction of a pretraining run", "predict -c pretraining/config.yaml", ("pretraining: a pretraining run cannot predict",)),
    Bad("test of an unfinished run", "test -c run/config.yaml", ("run: this run is not finished",), make=without("run/results.json")),
    Bad("run without its store", "test -c run/config.yaml --data.store store", ("store: is not a prepared dataset",), make=without("store/store.json")),
    Bad("broken config of a run", "test -c run/config.yaml", ("run/config.yaml",), make=write("run/config.yaml", "model: [")),
    Bad("empty config of a run", "test -c run/config.yaml", ("run/config.yaml: expected a mapping",), make=write("run/config.yaml", "")),
    Bad("broken record of data", "test -c run/config.yaml", ("run/data.json: is damaged",), make=write("run/data.json", "{")),
    Bad("broken store", fit(), ("store/store.json",), make=write("store/store.json", '{"version"')),
    Bad("store of another version", fit(), ("store: was prepared by another version",), make=write("store/store.json", '{"version": 1}')),
    Bad("store that lost a case", fit(), ("store: has no image of case 'case_00'",), make=without("store/cases/case_00/image.npy"), leaves=RUN),
    Bad("report of nothing", "report nowhere", ("nowhere: has no plan.json",)),
    Bad("report of data", "report Task", ("Task: has no plan.json",)),
    Bad("report of a final model", "report Task", ("Task: holds a final model alone",), make=write("Task/experiment.json", "{}")),
    Bad("size of an export that fixes none", "export run new --size 8 8 8", ("--size: safetensors takes images of any size",)),
    Bad("broken origin of an experiment", plan(), ("origin.json: is damaged",), make=write("new/runs/fig3/Task-preset/origin.json", "{")),
    Bad("broken settings of a store", PREPARE.replace("new", "store"), ("settings.json: is damaged", "remove store,"), make=write("store/settings.json", "{")),
    Bad("broken record of a case", PREPARE.replace("new", "store"), ("case.json: is damaged",), make=write("store/cases/case_00/case.json", "")),
    Bad("report of tables", "report Task", ("Task: holds tables; give the runs of this experiment, as runs/",), make=write("Task/results.csv", "")),
    Bad("report of a broken plan", "report Task", ("Task/plan.json",), make=write("Task/plan.json", "[{]")),
]  # fmt: skip
