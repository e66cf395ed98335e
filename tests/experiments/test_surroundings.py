"""What lies in the working folder, the home and the environment of a user does not change an experiment."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import TINY

from sslmed.core.interrupts import Interrupted
from sslmed.core.label_amount import LabelAmount
from sslmed.experiments import engine, workflow
from sslmed.experiments.executors.local import Local
from sslmed.experiments.runs import Run
from sslmed.experiments.workflow import run_workflow

SCRIPTS = ("random", "calendar", "statistics", "snakemake", "logging", "train", "utils", "torch")
PROFILE = "executor: slurm\ndry-run: true\nforceall: true\nsoftware-deployment-method: conda\n"


@pytest.mark.slow
def test_scripts_and_profiles_in_the_working_folder_and_a_read_only_home_change_nothing(tmp_path: Path) -> None:
    for name in SCRIPTS:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write('{name} ')\n")
    (tmp_path / "my_ideas.py").write_text("from sslmed.pretext import Rotation\n\nclass Mine(Rotation):\n    pass\n")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.yaml").write_text("model: {class_path: my_ideas.Mine}\n")
    for folder in ("default", "mine"):
        (tmp_path / "profiles" / folder).mkdir(parents=True)
        (tmp_path / "profiles" / folder / "config.yaml").write_text(PROFILE)
    environment = os.environ | {"HOME": "/proc/nobody", "SNAKEMAKE_PROFILE": "mine"}
    for name in ("PYTHONSAFEPATH", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "sslmed", "reproduce", "fig3", "--preset", str(TINY), "--arms", "tasks/mine.yaml"]
    done = subprocess.run(
        [*command, "--fractions", "1"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr  # so the module that is meant to be found there is found
    assert not (tmp_path / "executed").exists(), (tmp_path / "executed").read_text()
    assert (tmp_path / "results" / "fig3" / "phantom-tiny" / "report.html").is_file()


@pytest.mark.slow
def test_a_workflow_that_cannot_start_prints_its_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Snakefile").write_text("raise ValueError('no room')\n")
    monkeypatch.setattr(engine, "SNAKEFILE", tmp_path / "Snakefile")
    run = Run("baseline", 0, 0, LabelAmount(fraction=1.0), "run", "job", needs=None, arguments=(), key="")
    with (tmp_path / "lock").open("w") as lock:
        run_workflow(tmp_path, [run], executor=Local(1), lock=lock.fileno())
    shown = capsys.readouterr().err
    assert "the workflow ended with status 1" in shown
    assert "no room" in shown


def test_an_interrupt_while_the_last_results_are_read_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake has ended then, and there is no process to stop."""

    @contextmanager
    def interrupted(*_: object, **__: object) -> Iterator[Callable[..., None]]:
        def advance(number: int = 1, _: str = "") -> None:
            if number > 0:
                raise Interrupted(signal.SIGINT)

        yield advance

    results = tmp_path / "run" / "results.json"
    results.parent.mkdir()
    write = [sys.executable, "-c", f"open({str(results)!r}, 'w').write('{{}}')"]
    monkeypatch.setattr(workflow, "command", lambda *_: write)
    monkeypatch.setattr(workflow, "progress", interrupted)
    monkeypatch.setattr(Local, "poll_seconds", 60.0)
    run = Run("baseline", 0, 0, LabelAmount(fraction=1.0), "run", "job", needs=None, arguments=(), key="")
    with (tmp_path / "lock").open("w") as lock, pytest.raises(Interrupted):
        run_workflow(tmp_path, [run], executor=Local(1), lock=lock.fileno())
