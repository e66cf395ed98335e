"""Whatever is bad, the command says so in one line with status 2, and leaves nothing half-written."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from bad_inputs import Bad, checkpoints, data, environments, options, predictions, run_directories, yamls
from bad_inputs.start import write_start
from commands import exit_status, in_this_process

KINDS = (options, data, checkpoints, run_directories, predictions, yamls, environments)
INPUTS = [bad for kind in KINDS for bad in kind.INPUTS]
LIGHTNING = ("fit ", "test ", "predict -c ")  # all options of a run are parsed
PROGRESS = re.compile(r"(preparing|generating phantoms|predicting): \d+ of \d+ (cases|images)")
FINISHED = {"store.json", "results.json", "report.html", "last.ckpt", "best.ckpt", "dataset.json"}


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        in_this_process(patch)
        write_start(folder)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "bad",
    [pytest.param(bad, marks=pytest.mark.slow) if bad.command.startswith(LIGHTNING) else bad for bad in INPUTS],
    ids=lambda bad: bad.name,
)
def test_bad_input(bad: Bad, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    folder = tmp_path / "here"
    shutil.copytree(start, folder, symlinks=True)
    monkeypatch.chdir(folder)
    in_this_process(monkeypatch)
    bad.make(folder)
    for name, value in bad.environment.items():
        monkeypatch.setenv(name, value)
    before, inherited = files(folder), dict(os.environ)

    status = exit_status(*shlex.split(bad.command))

    said = [line for line in capsys.readouterr().err.splitlines() if not PROGRESS.fullmatch(line)]
    assert (status, len(said)) == (2, 1), said
    for words in bad.says:
        assert words in said[0]
    after = files(folder)
    assert {name: after.get(name) for name in before} == before
    written = {Path(name) for name in after.keys() - before.keys()}
    assert all(any(path.match(pattern) for pattern in bad.leaves) for path in written), written
    assert not [path for path in written if path.name in FINISHED or path.suffix == ".partial"]
    assert dict(os.environ) == inherited


def test_names_of_bad_inputs_are_unique_and_there_are_many() -> None:
    names = [bad.name for bad in INPUTS]
    assert len(set(names)) == len(names) >= 80
