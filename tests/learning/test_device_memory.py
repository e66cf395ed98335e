"""A run that lacks GPU memory says so in one line."""

from pathlib import Path

import pytest
import torch
from commands import Command

from sslmed.core.errors import RunError
from sslmed.downstream import Segmentation
from sslmed.learning.device_memory import explain_lack_of_memory

OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.10 GiB of which 12.00 MiB is "
    "free. Process 7 has 40.00 GiB memory in use. If reserved but unallocated memory is large try setting\nTHIS=1."
)


@pytest.mark.parametrize(
    ("jobs", "message"),
    [("1", " (CUDA out of memory. Tried to allocate 20.00 MiB): use smaller"), ("4", ", which up to 4 jobs share (")],
)
def test_a_lack_of_gpu_memory_is_one_line_and_the_run_can_be_resumed(
    sslmed: Command, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, jobs: str, message: str
) -> None:
    compute = Segmentation.training_step

    def training_step(self, batch, batch_idx: int):
        if self.global_step == 2:
            raise torch.OutOfMemoryError(OUT_OF_MEMORY)
        return compute(self, batch, batch_idx)

    monkeypatch.setenv("SSLMED_JOBS_PER_GPU", jobs)
    monkeypatch.setattr(Segmentation, "training_step", training_step)
    assert sslmed("fit", "segmentation", "--run_dir", str(tmp_path)) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"GPU memory ran out{message}")
    assert not (tmp_path / "results.json").exists()
    monkeypatch.setattr(Segmentation, "training_step", compute)
    assert sslmed("fit", "segmentation", "--run_dir", str(tmp_path)) == 0
    assert "resuming from" in (tmp_path / "run.log").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("CUDA error: out of memory", RunError), ("CUBLAS_STATUS_ALLOC_FAILED", RunError), ("size", RuntimeError)],
)
def test_other_words_for_it_are_known(text: str, expected: type[Exception]) -> None:
    with pytest.raises(expected, match=text), explain_lack_of_memory():
        raise RuntimeError(text)
