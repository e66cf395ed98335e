"""Measures the time of functions, in turn where they are compared, and the peak memory of a call."""

import ctypes
import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MIB = 2**20

Function = Callable[[], object]


@dataclass(frozen=True)
class Result:
    """Holds a measured number with all repeats. The median is the result, the extremes are the spread."""

    name: str
    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        """Middle of the repeats."""
        return statistics.median(self.values)


@dataclass
class Findings:
    """Collects the results of a section: numbers, and remarks on their meaning or why one is missing."""

    results: list[Result] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, name: str, values: float | Sequence[float], unit: str) -> None:
        """Add a number, or the repeats of one, and print it at once: a section may be cut short."""
        repeats = values if isinstance(values, Sequence) else (values,)
        self.results.append(Result(name, tuple(map(float, repeats)), unit))
        print(f"{name}: {self.results[-1].median:.4g} {unit}", file=sys.stderr, flush=True)

    def remark(self, text: str) -> None:
        """Add a remark."""
        self.remarks.append(text)


def time_in_turn(
    functions: Mapping[str, Function], *, repeats: int = 5, seconds: float = math.inf, warm_up: bool = True
) -> dict[str, list[float]]:
    """Time functions in rounds of one call each, so that a change of the machine's speed affects all of them.

    Args:
        functions: What to time, by name.
        repeats: Number of rounds,
        seconds: or fewer, down to 2, once this much time has passed.
        warm_up: Whether a round goes first that does not count.

    Returns:
        Seconds of every call.
    """
    if warm_up:
        for function in functions.values():
            function()
    taken: dict[str, list[float]] = {name: [] for name in functions}
    begin = time.perf_counter()
    for done in range(repeats):
        if done >= 2 and time.perf_counter() - begin > seconds:
            break
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            taken[name].append(time.perf_counter() - start)
    return taken


def per(amount: float, taken: Sequence[float]) -> list[float]:
    """Turn seconds into `amount` per second."""
    return [amount / seconds for seconds in taken]


def scaled(factor: float, values: Sequence[float]) -> list[float]:
    """Multiply repeats, e.g. to have milliseconds per volume."""
    return [factor * value for value in values]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Divide repeats that were taken in turn, round by round."""
    return [numerator / denominator for numerator, denominator in zip(above, below, strict=True)]


def peak_memory(function: Function, *, on_gpu: bool = False) -> int | None:
    """Call a function once, and return its peak memory in bytes, minus the memory held before.

    Returns:
        `None` where the system does not tell; Linux does.
    """
    if on_gpu:
        import torch

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return torch.cuda.max_memory_allocated() - before
    reset = Path("/proc/self/clear_refs")
    if not reset.exists():
        function()
        return None
    return_free_memory()
    reset.write_text("5")  # resets the high-water mark: man 5 proc
    before = memory_of("self", "VmRSS")
    function()
    return memory_of("self", "VmHWM") - before


def memory_of(process: int | str, what: str) -> int:
    """Read `VmRSS` (resident now) or `VmHWM` (at most, so far) of a Linux process, in bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


def return_free_memory() -> None:
    """Return freed memory to the system, or the next call would seem to need less."""
    gc.collect()
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):  # glibc
        library.malloc_trim(0)
