import os
from contextlib import ExitStack
from pathlib import Path

import pynvml
import pytest
import torch
from fake_driver import GIB, install

from sslmed.core.errors import UserError
from sslmed.experiments import devices, job
from sslmed.experiments.devices import (
    check_devices,
    check_gpus,
    default_jobs,
    free_gpu_memory,
    free_gpus,
    gpu_memory,
    gpus,
)
from sslmed.experiments.runs import Run


@pytest.fixture
def n_gpus(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    install(monkeypatch, {f"GPU-{i}": [] for i in range(request.param)})


def _given() -> str:
    """What a job has been given, taken back from this process, which stands for several."""
    return os.environ.pop("CUDA_VISIBLE_DEVICES")


@pytest.mark.parametrize("n_gpus", [2], indirect=True)
@pytest.mark.usefixtures("n_gpus")
def test_every_job_gets_a_gpu_of_its_own_until_all_are_taken(tmp_path: Path) -> None:
    assert gpus() == ["GPU-0", "GPU-1"]
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
    assert given == ["GPU-0", "GPU-1", "GPU-0", "GPU-1"]


@pytest.mark.parametrize("n_gpus", [3], indirect=True)
@pytest.mark.usefixtures("n_gpus")
def test_jobs_that_share_spread_evenly(tmp_path: Path) -> None:
    with ExitStack() as running:
        given = []
        for _ in range(8):
            running.enter_context(free_gpus(tmp_path))
            given.append(_given())
    assert [given.count(name) for name in ("GPU-0", "GPU-1", "GPU-2")] == [3, 3, 2]


@pytest.mark.parametrize("n_gpus", [5], indirect=True)
@pytest.mark.usefixtures("n_gpus")
def test_a_job_that_finds_too_few_gpus_gives_them_back(tmp_path: Path) -> None:
    assert default_jobs(2) == 2
    with free_gpus(tmp_path, 3):
        given = [_given()]
        with free_gpus(tmp_path, 3):  # two are free: it shares three
            given.append(_given())
            with free_gpus(tmp_path, 2):
                given.append(_given())
    assert given == ["GPU-0,GPU-1,GPU-2", "GPU-0,GPU-1,GPU-2", "GPU-3,GPU-4"]


@pytest.mark.parametrize("n_gpus", [2], indirect=True)
@pytest.mark.usefixtures("n_gpus")
def test_more_devices_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_devices(2)
    with pytest.raises(UserError, match="devices is 3, but there are 2 GPU"):
        check_devices(3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    check_devices(3)  # processes on the cores
    assert default_jobs(10_000) == 1


DIVIDED = {"GPU-a1": [], "GPU-b2": ["MIG-b21", "MIG-b22"], "GPU-c3": []}


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["GPU-a1", "MIG-b21", "MIG-b22", "GPU-c3"]),
        ("", []),
        ("-1", []),
        ("2,0", ["2", "0"]),
        ("0,-1,2", ["0"]),  # CUDA stops at the first name that is none
        ("0,3", ["0"]),
        ("0,0", []),
        ("NoDevFiles", []),  # as SLURM sets it for a job without GPU
        ("GPU-c3", ["GPU-c3"]),
        ("GPU-c", ["GPU-c"]),  # the beginning of a UUID is enough
        ("MIG-b22,MIG-b21", ["MIG-b22", "MIG-b21"]),
        ("MIG-x", []),
    ],
)
def test_gpus_are_those_that_cuda_sees(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: list[str]
) -> None:
    install(monkeypatch, DIVIDED)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus() == expected
    assert gpu_memory() == (80 * GIB if expected else None)
    assert not expected or free_gpu_memory() == 79 * GIB


def test_a_gpu_without_memory_of_its_own_has_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    install(monkeypatch, {"GPU-0": []})
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", unsupported)
    for name, memory in (("total_memory", 128), ("available_memory", 100)):
        monkeypatch.setattr(devices, name, lambda memory=memory: memory * GIB)
    assert (gpu_memory(), free_gpu_memory()) == (128 * GIB, 100 * GIB)


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpus() == []


@pytest.mark.cuda
def test_the_driver_and_torch_count_alike() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    assert len(gpus()) == torch.cuda.device_count()
    check_gpus(len(gpus()))


def test_a_job_that_was_to_have_a_gpu_and_finds_none_fails_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    run = Run("baseline", 0, 0, None, "run", "job", needs=None, arguments=("--unknown",), key="")
    assert not job.do_runs([run], gpus=1)
    (line,) = (tmp_path / "run" / "run.log").read_text().splitlines()
    assert "a job was to have 1 GPU(s), but torch" in line
    assert "finds 0" in line
