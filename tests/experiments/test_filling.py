"""Jobs that share GPUs: how many, which run is measured first, and what happens if memory runs out."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
import yaml
from commands import TINY, reproduce
from fake_driver import GIB, install

from sslmed.core.gpu_sharing import RAN_OUT
from sslmed.core.label_amount import LabelAmount
from sslmed.experiments import engine, filling
from sslmed.experiments.executors.local import Local
from sslmed.experiments.filling import fill, first_runs, local, run_all
from sslmed.experiments.runs import Run
from sslmed.experiments.workflow import run_workflow
from sslmed.learning.device_memory import free_memory

ALL = LabelAmount(fraction=1.0)


def _plan(n_folds: int = 20) -> list[Run]:
    """Rotation and the baseline in each fold, every pretraining in a job of its own."""
    runs = []
    for fold in range(n_folds):
        name = f"rotation/fold{fold}"
        runs.append(Run("rotation", fold, None, None, f"{name}/pretrain", name, None, (), "key"))
        runs.append(Run("rotation", fold, 0, ALL, f"{name}/seed0", f"{name}/0", f"{name}/pretrain", (), "key"))
        runs.append(Run("baseline", fold, 0, ALL, f"baseline/fold{fold}", f"baseline/fold{fold}", None, (), "key"))
    return runs


def _finish(work: Path, run: Run, gpu: float = 1.25, process: float = 2, device: str = "NVIDIA H100") -> None:
    folder = work / run.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"labels": {"key": run.key}, "run_dir": str(folder)}))
    memory = {"peak_memory_bytes": int(gpu * GIB), "process_memory_bytes": int(process * GIB)}
    (folder / "results.json").write_text(json.dumps({"device": device} | memory))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that gives this process GPUs, memory in GiB, and cores."""

    def own(n_gpus: int = 1, free: float = 79, memory: float = 120, cores: int = 16) -> None:
        install(monkeypatch, {f"GPU-{i}": [] for i in range(n_gpus)}, int(free * GIB))
        monkeypatch.setattr(filling, "available_memory", lambda: int(memory * GIB))
        monkeypatch.setattr(filling, "usable_cores", lambda: cores)

    return own


@pytest.mark.parametrize(
    ("owns", "peak", "devices", "jobs", "per_gpu"),
    [
        ({}, {}, 1, 16, 16),  # cores
        ({"cores": 100}, {}, 1, 19, 19),  # half of 79 GiB for updates, 1.25 + 0.75 of CUDA each
        ({"cores": 100}, {"gpu": 12}, 1, 3, 3),
        ({}, {"gpu": 70}, 1, 1, 1),
        ({"memory": 21}, {"process": 3}, 1, 7, 7),
        ({"n_gpus": 4, "cores": 6}, {}, 1, 6, 2),
        ({"n_gpus": 4, "cores": 2}, {}, 1, 4, 1),  # one on each GPU in any case
        ({"n_gpus": 4, "cores": 100, "free": 20}, {"gpu": 2.5}, 2, 6, 3),  # three on each of two pairs of GPUs
        ({"cores": 1000, "memory": 1000, "free": 1000}, {}, 1, 58, 58),  # as many as there are jobs to do
    ],
)
def test_jobs_fill_cores_and_memory(machine, tmp_path: Path, owns, peak, devices, jobs, per_gpu) -> None:
    machine(**owns)
    runs = _plan()
    _finish(tmp_path, runs[0], **{"gpu": 0.5, "process": 0.5})
    _finish(tmp_path, runs[2], **peak)
    filled = fill(local(None, devices), tmp_path, runs)
    assert (filled.jobs, filled.gpus, filled.jobs_per_gpu) == (jobs, devices, per_gpu)


def test_only_runs_on_a_gpu_tell_how_many_jobs_fit(machine, tmp_path: Path) -> None:
    machine()
    runs = _plan(2)
    _finish(tmp_path, runs[0], device="x86_64 CPU")
    (tmp_path / runs[2].name).mkdir(parents=True)
    (tmp_path / runs[2].name / "results.json").write_text("damaged")
    executor = local(None, 1)
    assert fill(executor, tmp_path, runs) == executor
    assert executor.jobs == 1


def test_jobs_that_are_given_stay_and_know_how_many_share(machine, tmp_path: Path, monkeypatch) -> None:
    machine(n_gpus=2)
    runs = _plan()
    _finish(tmp_path, runs[0])
    assert fill(local(5, 1), tmp_path, runs) == Local(5, gpus=1, jobs_per_gpu=3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local(5, 1) == Local(5)


def test_one_run_is_measured_first_and_the_best_to_measure_trains_a_decoder(machine, tmp_path: Path) -> None:
    machine()
    pretraining, finetuning, baseline, *others = runs = _plan(2)
    assert first_runs(tmp_path, runs, 1) == [baseline]
    assert first_runs(tmp_path, runs, 2) == [baseline, others[2]]
    assert first_runs(tmp_path, runs[:2], 1) == [pretraining]  # the other one needs it
    assert first_runs(tmp_path, runs[:1], 1) == []  # nothing would follow
    _finish(tmp_path, pretraining)
    assert first_runs(tmp_path, runs, 1) == [finetuning]


@dataclass
class Workflows:
    """A workflow that does every run but those that are broken, and lacks memory for fold 1 where jobs share."""

    broken: set[str] = field(default_factory=set)
    called: list[tuple[int, Local]] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)


@pytest.fixture
def workflows(monkeypatch: pytest.MonkeyPatch) -> Workflows:
    """Replace the workflow."""
    workflows = Workflows()

    def run(work: Path, runs: Sequence[Run], *, executor: Local, lock: int) -> None:
        todo = [run for run in runs if not (work / run.name / "results.json").is_file()]
        workflows.called.append((len(todo), executor))
        for each in (run for run in todo if run.needs is None or (work / run.needs / "results.json").is_file()):
            workflows.tried[each.name] += 1
            shares = each.fold == 1 and executor.jobs_per_gpu > 1
            if shares or each.name in workflows.broken:
                (work / each.name).mkdir(parents=True, exist_ok=True)
                reason = f"{RAN_OUT} (...): fewer --jobs" if shares else "no such file"
                (work / each.name / "run.log").write_text(f"INFO starts\n{reason}\n")
            else:
                _finish(work, each)

    monkeypatch.setattr(filling, "run_workflow", run)
    return workflows


@pytest.mark.parametrize("broken", ["rotation/fold0/pretrain", "rotation/fold2/pretrain", "rotation/fold3/seed0"])
def test_a_run_that_fails_for_its_own_reason_is_tried_once(machine, tmp_path: Path, workflows, broken) -> None:
    machine()
    runs = [run for run in _plan() if run.arm == "rotation"]  # the first of them is measured
    workflows.broken.add(broken)
    run_all(tmp_path, runs, executor=local(None, 1), lock=0)
    assert workflows.tried[broken] == 1
    done = {run.name for run in runs if (tmp_path / run.name / "results.json").is_file()}
    waits = {run.name for run in runs if broken in (run.name, run.needs)}
    assert done == {run.name for run in runs} - waits


def test_what_lacked_memory_is_done_again_alone(machine, tmp_path: Path, workflows, capsys) -> None:
    machine()
    run_all(tmp_path, _plan(), executor=local(None, 1), lock=0)
    assert [(todo, executor.jobs, executor.jobs_per_gpu) for todo, executor in workflows.called] == [
        (1, 1, 1),
        (59, 16, 16),
        (3, 1, 1),
    ]
    first, filled, again = capsys.readouterr().err.splitlines()
    assert first == "1 side by side until the memory of a first run says how many share a GPU"
    assert filled == "16 side by side (jobs: 59, cores: 16, memory: 60, GPU memory: 19)"
    assert again == f"{RAN_OUT} in 2 runs: done again, one on each GPU"  # the third run needs one of them


def test_without_a_gpu_nothing_is_measured(machine, tmp_path: Path, workflows, capsys) -> None:
    machine(n_gpus=0)
    run_all(tmp_path, _plan(), executor=local(None, 1), lock=0)
    assert [todo for todo, _ in workflows.called] == [60]
    assert capsys.readouterr().err == ""


def test_a_dry_run_says_how_many_jobs_share_a_gpu_and_why(machine, tmp_path: Path, capsys) -> None:
    machine()
    options = ["--preset", TINY, "--arms", "baseline", "--folds", "0", "1", "--dry-run"]
    assert reproduce(tmp_path, "fig3", *options) == 0
    assert "1 side by side until the memory of a first run says how many share a GPU" in capsys.readouterr().out


@pytest.mark.slow
def test_every_job_is_told_how_many_share_its_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "told.py").write_text(
        "import sys, pathlib; pathlib.Path(sys.argv[2], 'results.json').write_text(' '.join(sys.argv[2:]))"
    )
    snakefile = engine.SNAKEFILE.read_text().replace("sslmed.experiments.job", "told")
    (tmp_path / "Snakefile").write_text(snakefile)
    monkeypatch.setattr(engine, "SNAKEFILE", tmp_path / "Snakefile")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    run = Run("baseline", 0, 0, ALL, "run", "run", None, (), "")
    with (tmp_path / "lock").open("w") as lock:
        run_workflow(tmp_path, [run], executor=Local(4, gpus=1, jobs_per_gpu=4), lock=lock.fileno())
    assert (tmp_path / "run" / "results.json").read_text() == "run 1 4"


def test_jobs_that_share_a_gpu_never_take_more_than_their_part(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"memory_reserved": 3 * GIB, "memory_allocated": 2 * GIB}.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60 * GIB, 80 * GIB))
    gpu = torch.device("cuda")
    assert free_memory(gpu) == 61 * GIB
    monkeypatch.setenv("SSLMED_JOBS_PER_GPU", "4")
    assert free_memory(gpu) == 20 * GIB
    assert free_memory(torch.device("cpu")) == 0
