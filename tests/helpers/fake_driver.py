"""A driver (NVML) that has GPUs, as this process sees it."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pynvml
import pytest

GIB = 2**30


def install(monkeypatch: pytest.MonkeyPatch, parts_of: Mapping[str, Sequence[str]], free: int = 79 * GIB) -> None:
    """Put a driver in place that has GPUs of 80 GiB, by UUID, with the UUIDs of the parts of those divided (MIG)."""

    def mode(gpu: str) -> list[int]:
        if not parts_of[gpu]:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [pynvml.NVML_DEVICE_MIG_ENABLE] * 2

    def part(gpu: str, index: int) -> str:
        if index >= len(parts_of[gpu]):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return parts_of[gpu][index]

    def by_uuid(name: str) -> str:
        if name not in (*parts_of, *(each for parts in parts_of.values() for each in parts)):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return name

    driver = {
        "Init": lambda: None,
        "Shutdown": lambda: None,
        "DeviceGetCount": lambda: len(parts_of),
        "DeviceGetHandleByIndex": lambda index: [*parts_of][index],
        "DeviceGetHandleByUUID": by_uuid,
        "DeviceGetUUID": lambda handle: handle,
        "DeviceGetName": lambda handle: "NVIDIA GeForce RTX 3060 Laptop GPU",
        "DeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=80 * GIB, free=free),
        "DeviceGetMigMode": mode,
        "DeviceGetMaxMigDeviceCount": lambda gpu: 7,
        "DeviceGetMigDeviceHandleByIndex": part,
    }
    for name, function in driver.items():
        monkeypatch.setattr(pynvml, f"nvml{name}", function)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
