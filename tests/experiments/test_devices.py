import os
from pathlib import Path

import pytest

from sslmed.core.errors import UserError
from sslmed.experiments.devices import check_devices, default_jobs, free_gpus, gpus


@pytest.fixture
def n_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\n" + "".join(f"echo 'GPU {i}: A (UUID: {i})'\n" for i in range(request.param)))
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def _given() -> str:
    """What a job has been given, taken back from this process, which stands for several."""
    return os.environ.pop("CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize("n_gpus", [2], indirect=True)
@pytest.mark.usefixtures("n_gpus")
def test_every_job_gets_a_gpu_of_its_own_until_all_are_taken(tmp_path: Path) -> None:
    assert gpus() == ["0", "1"]
    assert default_jobs() == 2
    given = []
    with free_gpus(tmp_path):
        given.append(_given())
        with free_gpus(tmp_path):
            given.append(_given())
            with free_gpus(tmp_path):
                given.append(_given())
        with free_gpus(tmp_path):
            given.append(_given())
    assert given == ["0", "1", "0", "1"]


@pytest.mark.parametrize("n_gpus", [5], indirect=True)
@pytest.mark.usefixtures("n_gpus")
def test_a_job_that_finds_too_few_gpus_gives_them_back(tmp_path: Path) -> None:
    assert default_jobs(2) == 2
    with free_gpus(tmp_path, 3):
        given = [_given()]
        with free_gpus(tmp_path, 3):  # two are free: it shares the first three
            given.append(_given())
            with free_gpus(tmp_path, 2):
                given.append(_given())
    assert given == ["0,1,2", "0,1,2", "3,4"]


@pytest.mark.parametrize("n_gpus", [2], indirect=True)
@pytest.mark.usefixtures("n_gpus")
def test_more_devices_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_devices(2)
    with pytest.raises(UserError, match="devices is 3, but there are 2 GPU"):
        check_devices(3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    check_devices(3)  # processes on the cores
    assert default_jobs(10_000) == 1


def test_visible_devices_are_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert gpus() == ["3", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []
