"""Work goes on where the system lacks what multiprocessing needs, and the line names the cure."""

import _multiprocessing
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from sslmed.core.shared_memory import LONGEST, lack_of_shared_memory
from sslmed.core.workers import run_in_processes
from sslmed.data.finetuning import SegmentationData
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings


def _refuse(*arguments: object) -> None:
    raise OSError(30, "Read-only file system")


def process_id(item: int) -> tuple[int, int]:
    return item, os.getpid()


def test_without_shared_memory_threads_do_the_work(monkeypatch, capsys) -> None:
    assert lack_of_shared_memory() is None
    monkeypatch.setattr(_multiprocessing, "SemLock", _refuse)
    assert "/dev/shm cannot be used" in (lack_of_shared_memory() or "")
    done = run_in_processes(process_id, range(5), description="counting", jobs=2)
    assert done == [(item, os.getpid()) for item in range(5)]
    assert "counting: works in threads, more slowly, because /dev/shm cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize("trouble", ["read-only", "64 kB"])
def test_nothing_is_read_ahead_without_shared_memory_and_batches_are_the_same(
    decathlon_dataset, tmp_path: Path, monkeypatch, caplog, trouble: str
) -> None:
    store = prepare(decathlon_dataset(labelled=6), tmp_path / "store", PrepareSettings(size=24), jobs=1).root

    def loader(workers: int) -> torch.utils.data.DataLoader:
        return SegmentationData(
            store=store, n_folds=3, updates=4, validations=1, num_workers=workers
        ).train_dataloader()

    assert loader(2).num_workers == 2
    expected = [batch["image"] for batch in loader(0)]
    if trouble == "read-only":
        monkeypatch.setattr(_multiprocessing, "SemLock", _refuse)
    else:
        usage = namedtuple("usage", "total used free")(2**16, 0, 2**16)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    batches = loader(2)
    assert batches.num_workers == 0
    assert all(torch.equal(*pair) for pair in zip(expected, (batch["image"] for batch in batches), strict=True))
    assert "num_workers 2: nothing is read ahead, because /dev/shm" in caplog.text
    assert "--shm-size" in caplog.text


COMMAND = """
import sys
from pathlib import Path
from sslmed.data.finetuning import SegmentationData
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
if __name__ == "__main__":
    store = prepare(Path(sys.argv[1]), Path(sys.argv[2]), PrepareSettings(size=8), jobs=2).root
    data = SegmentationData(store=store, n_folds=3, updates=4, validations=1, num_workers=2)
    print(len(list(data.train_dataloader())))
"""


@pytest.mark.slow
def test_a_long_tmpdir_of_a_scheduler_is_no_trouble(decathlon_dataset, tmp_path: Path) -> None:
    long = tmp_path / ("job-of-a-scheduler_" * 4) / "scratch"
    long.mkdir(parents=True)
    assert len(str(long)) > LONGEST
    (tmp_path / "command.py").write_text(COMMAND)
    data = decathlon_dataset(labelled=6)
    command = [sys.executable, str(tmp_path / "command.py"), str(data), str(tmp_path / "store")]
    ended = subprocess.run(command, env=os.environ | {"TMPDIR": str(long)}, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "4\n"), ended.stderr
    assert not list(long.iterdir())
