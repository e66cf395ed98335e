import os
from pathlib import Path

import pytest

from sslmed.experiments.devices import a_free_gpu, default_jobs, gpus


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: x)'\necho 'GPU 1: A (UUID: y)'\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_gpus")
def test_every_job_gets_a_gpu_of_its_own_until_all_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus() == ["0", "1"]
    assert default_jobs() == 2
    given = []
    with a_free_gpu(tmp_path):
        given.append(os.environ.pop("CUDA_VISIBLE_DEVICES"))
        with a_free_gpu(tmp_path):
            given.append(os.environ.pop("CUDA_VISIBLE_DEVICES"))
            with a_free_gpu(tmp_path):
                given.append(os.environ.pop("CUDA_VISIBLE_DEVICES"))
        with a_free_gpu(tmp_path):
            given.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert given == ["0", "1", "0", "1"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_visible_devices_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert gpus() == ["3", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []
