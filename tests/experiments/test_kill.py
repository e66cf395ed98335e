"""Killed at twenty random moments, a small experiment still ends with the results of an undisturbed one."""

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pandas as pd
import psutil
import pytest
from commands import results_of, start

from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.runs import Run, write_plan

TABLES = ("results.csv", "cases.csv", "summary.csv", "efficiency.csv")
MARK = "SSLMED_TEST_EXPERIMENT"
KILLS = 20
MOST_CHANGES = 30
"""A kill comes after fewer changes of files than this; half of them are those of a command that starts."""

OF_CASES = {"imagesTr", "labelsTr", "imagesTs", "cases", "partial"}
"""Folders whose files are too many and too quick to be counted, or all kills would hit the data."""

pytestmark = [pytest.mark.slow, pytest.mark.long]


class Experiment:
    """A tiny experiment in a folder of its own, its command, and all processes that the command has started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = results_of(folder)
        self.results: dict[Path, bytes] = {}
        folder.mkdir()

    def start(self) -> subprocess.Popen[bytes]:
        options = ["--arms", "baseline", "rotation", "--fractions", "0.4", "1", "--jobs", "2"]
        return start(self.folder, *options, **{MARK: str(self.folder)})

    def processes(self) -> list[psutil.Process]:
        """All that are alive, orphans too, in order of their start."""
        return sorted(filter(self._is_ours, psutil.process_iter()), key=lambda process: process.create_time())

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def changes(self) -> Iterator[int]:
        """Yield, again and again, how many changes of files were seen so far."""
        known, count = self._files(), 0
        while True:
            yield count
            now = self._files()
            count += len(now.items() - known.items()) + len(known.keys() - now.keys())
            known = now

    def kept_files(self) -> set[Path]:
        """All files but Snakemake's own, relative to the experiment's folder."""
        files = {path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file()}
        return {path for path in files if ".snakemake" not in path.parts}

    def _files(self) -> dict[Path, tuple[int, int]]:
        """Files of data, runs and tables, each with its number and time of change."""
        found = {}
        for name in ("downloads", "runs", "out"):
            for folder, folders, files in os.walk(self.folder / name):
                folders[:] = [each for each in folders if each not in OF_CASES]
                for path in (Path(folder, file) for file in files):
                    try:
                        status = path.stat()
                    except FileNotFoundError:
                        continue
                    found[path] = (status.st_ino, status.st_mtime_ns)
                    if path.name == "results.json" and path not in self.results:
                        self.results[path] = path.read_bytes()
        return found


def _kill(experiment: Experiment, command: subprocess.Popen[bytes], chance: random.Random) -> str:
    """Kill the command, everything, or any process of it, and say which."""
    processes = experiment.processes()
    victims = {
        "command": [process for process in processes if process.pid == command.pid],
        "everything": processes,
        "one": chance.sample(processes, min(1, len(processes))),
    }[chance.choice(["command", "everything", "one", "one"])]
    names = []
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            names.append(" ".join(process.cmdline()[1:4])[:60])
            process.kill()
    if command.pid in [process.pid for process in victims]:
        command.wait()
    return ", ".join(names)


def test_killed_at_twenty_random_moments_it_ends_with_the_same_results(tmp_path: Path) -> None:
    reference = Experiment(tmp_path / "reference")
    assert reference.start().wait(timeout=600) == 0, (reference.folder / "output").read_text()
    chance = random.Random(0)
    kills = 0
    while kills < KILLS:
        experiment = Experiment(tmp_path / f"killed-after-{kills}")
        kills += _disturb(experiment, chance, KILLS - kills)
        _check_same(experiment, reference)


def _disturb(experiment: Experiment, chance: random.Random, most: int) -> int:
    """Run an experiment to its end with so many kills, or fewer if it comes to its end before; return how many."""
    kills, start = 0, time.monotonic()
    command = experiment.start()
    while True:
        patience = chance.randrange(1, MOST_CHANGES) if kills < most else sys.maxsize
        for count in experiment.changes():
            if command.poll() is not None or count >= patience:
                break
            assert time.monotonic() - start < 3600, (experiment.folder / "output").read_text()
            time.sleep(0.02)
        time.sleep(chance.random())  # a moment between two changes, too
        if command.poll() is None:
            victims = _kill(experiment, command, chance)
            kills += 1
            with (experiment.folder / "output").open("a") as output:
                print(f"--- {time.monotonic() - start:.0f} s, kill {kills}, {count} changes: {victims}", file=output)
        elif command.returncode == 0:
            return kills
        else:
            command = experiment.start()


def _check_same(experiment: Experiment, reference: Experiment) -> None:
    deadline = time.monotonic() + 60
    while experiment.processes():
        assert time.monotonic() < deadline, f"still alive: {experiment.processes()}"
        time.sleep(0.2)
    for name in (*TABLES, "fig3.svg"):
        assert (experiment.out / name).read_bytes() == (reference.out / name).read_bytes(), name
    results = pd.read_csv(experiment.out / "results.csv")
    assert not results.duplicated(["arm", "label_fraction", "fold", "seed", "metric"]).any()
    for path, content in experiment.results.items():
        assert path.read_bytes() == content, f"{path}: the run was done twice"
    assert experiment.kept_files() == reference.kept_files()


def test_results_that_come_from_an_orphan_while_a_workflow_starts_are_kept(tmp_path: Path) -> None:
    """The first job, in place of an orphan, leaves the results of the second, which finds them and does nothing."""
    run = Run("baseline", 0, 0, LabelAmount(fraction=1.0), name="", job="", needs=None, arguments=(), key="")
    write_plan(tmp_path / "workflow.json", [replace(run, name=name, job=name) for name in ("first", "second")])
    snakefile = (resources.files("sslmed.experiments") / "Snakefile").read_text()
    (tmp_path / "Snakefile").write_text(snakefile.replace("sslmed.experiments.job", "orphan"))
    (tmp_path / "orphan.py").write_text(
        "import sys, pathlib\n"
        "for path in [pathlib.Path(name, 'results.json') for name in ('first', 'second')]:\n"
        "    if not path.exists():\n"
        "        path.write_text(f'by {sys.argv[2]}')\n"
    )
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "1",
        "--nolock",
        "--ignore-incomplete",
        "--keep-incomplete",
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}  # the working folder is not searched
    assert subprocess.run(command, cwd=tmp_path, env=environment, check=False).returncode == 0
    first, second = ((tmp_path / name / "results.json").read_text() for name in ("first", "second"))
    assert first == second
