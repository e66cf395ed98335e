"""One training step of every task: volumes per second, memory, and the fraction of the machine's peak."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from benchmarks import tasks
from benchmarks.machine import cores
from benchmarks.measure import MIB, Findings, peak_memory, per, ratios, scaled, time_in_turn
from benchmarks.rates import peak_rate
from benchmarks.training import SEGMENTATION, Way, Work, count_flops, our_step, reference_step
from sslmed.core.memory import keep_freed_memory

FP32, BF16 = Way(), Way("bf16")
LAYOUTS = (FP32, Way(channels_last=False), BF16, Way("bf16", channels_last=False))
COMPILED = (Way(compiled=True), Way("bf16", compiled=True))
PRETEXT = tuple(tasks.NAMES)


PAPER = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Setting:
    """What is measured in which ways, on a network of some widths; on a GPU `threads` do not matter."""

    tasks: tuple[str, ...]
    side: int
    batch: int
    threads: str  # "1 thread" or "all cores"
    ways: tuple[Way, ...]
    widths: tuple[int, ...] = PAPER


@dataclass(frozen=True)
class Sizes:
    """Settings on a CPU and on a GPU, and how long a task is repeated in all its ways."""

    cpu: tuple[Setting, ...]
    gpu: tuple[Setting, ...]
    repeats: int = 5
    seconds: float = 5


SIZES = {
    "quick": Sizes(
        cpu=(
            Setting(PRETEXT, 64, 2, "1 thread", (FP32, BF16), (8, 16, 32, 64, 128)),
            Setting((SEGMENTATION,), 24, 2, "1 thread", (FP32, BF16), (8, 16, 32)),  # those of the preset `quick`
            Setting((SEGMENTATION,), 64, 1, "1 thread", LAYOUTS),
            Setting((SEGMENTATION,), 128, 1, "all cores", (FP32, BF16)),
        ),
        gpu=(Setting((SEGMENTATION, *PRETEXT), 64, 4, "GPU", (*LAYOUTS, *COMPILED)),),
    ),
    "full": Sizes(
        cpu=(
            Setting((SEGMENTATION,), 64, 1, "1 thread", (*LAYOUTS, *COMPILED)),
            Setting((SEGMENTATION,), 128, 1, "1 thread", (FP32, BF16)),
            Setting((SEGMENTATION,), 128, 1, "all cores", (*LAYOUTS, *COMPILED)),
            Setting(PRETEXT, 128, 2, "1 thread", (FP32, BF16)),
            Setting(PRETEXT, 128, 2, "all cores", (FP32, BF16)),
        ),
        gpu=(Setting((SEGMENTATION, *PRETEXT), 128, 4, "GPU", (*LAYOUTS, *COMPILED)),),
        repeats=9,
        seconds=120,
    ),
}


def measure(sizes: Sizes, folder: Path) -> Findings:  # noqa: ARG001 - other sections write files
    """Measure all settings."""
    warnings.filterwarnings("ignore", ".*self.log.*")  # there is no trainer
    findings = Findings()
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    _compare_losses(findings, device)
    peaks: dict[str, dict[str, float]] = {}
    fastest: dict[tuple[Work, str], Way] = {}
    for setting in sizes.gpu if on_gpu else sizes.cpu:
        torch.set_num_threads(cores() if setting.threads == "all cores" else 1)
        if setting.threads not in peaks:
            peaks[setting.threads] = _measure_peaks(findings, setting.threads, device)
        peak = peaks[setting.threads]
        ways = [way for way in setting.ways if way.precision == "fp32" or peak["bf16"] > peak["fp32"]]
        for task in setting.tasks:
            work = Work(task, setting.side, setting.batch, setting.widths)
            fastest[work, setting.threads] = _measure_steps(findings, work, setting.threads, ways, peak, sizes, device)
        findings.remark(
            f"{', '.join(setting.tasks)} at {setting.side}³, {setting.threads}: {setting.batch} volumes per step, "
            f"{setting.widths[0]} to {setting.widths[-1]} filters"
        )
    if not on_gpu:
        work, way = next(
            (work, way)
            for (work, threads), way in fastest.items()
            if (work.task, threads) == (SEGMENTATION, "all cores")
        )
        _measure_kept_memory(findings, work, way, sizes, device)
    if any(peak["bf16"] <= peak["fp32"] for peak in peaks.values()):
        findings.remark("steps in bf16 are left out: this processor computes it slower than fp32 (see the peaks)")
    return findings


def _measure_peaks(findings: Findings, threads: str, device: torch.device) -> dict[str, float]:
    peaks = {}
    for precision in ("fp32", "bf16"):
        rates = peak_rate(precision, device)
        findings.add(f"peak in {precision}, {threads}", scaled(1e-9, rates), "GFLOP/s")
        peaks[precision] = findings.results[-1].median * 1e9
    return peaks


def _measure_steps(
    findings: Findings,
    work: Work,
    threads: str,
    ways: list[Way],
    peaks: dict[str, float],
    sizes: Sizes,
    device: torch.device,
) -> Way:
    """Take memory and time of the reference's step and of ours in all ways; return the fastest of these."""
    if any(way.compiled for way in ways):
        torch.compiler.reset()  # it stops compiling code that it has compiled for many modules
    title = f"{work.task} {work.side}³, {threads}"
    steps = {"reference": reference_step(work, device)} | {way.name: our_step(work, way, device) for way in ways}
    # This is also the warm-up.
    memory = {way: peak_memory(step, on_gpu=device.type == "cuda") for way, step in steps.items()}
    flops = count_flops(work)
    taken = time_in_turn(steps, repeats=sizes.repeats, seconds=sizes.seconds, warm_up=False)
    for way, seconds in taken.items():
        findings.add(f"{title}: {way}", per(work.batch, seconds), "volumes/s")
        peak = peaks["bf16" if way.startswith("bf16") else "fp32"]
        findings.add(f"{title}: {way}, fraction of the peak", per(100 * flops / peak, seconds), "%")
        if (held := memory[way]) is not None:
            findings.add(f"{title}: {way}, memory", held / MIB, "MiB")
    ours = {way.name: taken[way.name] for way in ways}
    for way, seconds in ours.items():
        findings.add(f"{title}: {way} over the reference", ratios(taken["reference"], seconds), "x")
    fastest = min(ways, key=lambda way: median(ours[way.name]))
    findings.add(f"{title}: fastest over the reference", ratios(taken["reference"], ours[fastest.name]), "x")
    return fastest


def _measure_kept_memory(findings: Findings, work: Work, way: Way, sizes: Sizes, device: torch.device) -> None:
    """Time our fastest segmentation step as runs have it, with freed memory kept, after all else: it is for good.

    The reference does not keep it, and was timed before; it is timed again to tell what of the ratio this alone gives.
    """
    keep_freed_memory()
    torch.set_num_threads(cores())
    title = f"{SEGMENTATION} {work.side}³, all cores"
    (reference,) = (each for each in findings.results if each.name == f"{title}: reference")
    steps = {"memory kept": our_step(work, way, device), "reference, memory kept": reference_step(work, device)}
    memory = {name: peak_memory(step) for name, step in steps.items()}
    taken = time_in_turn(steps, repeats=sizes.repeats, seconds=sizes.seconds, warm_up=False)
    for name, seconds in taken.items():
        findings.add(f"{title}: {name}", per(work.batch, seconds), "volumes/s")
        if (held := memory[name]) is not None:
            findings.add(f"{title}: {name}, memory", held / MIB, "MiB")
        rates = scaled(1 / reference.median, per(work.batch, seconds))
        findings.add(f"{title}: {name} over the reference", rates, "x")


def _compare_losses(findings: Findings, device: torch.device) -> None:
    """Compute the difference to the reference's loss, before and after the first update, without dropout."""
    work = Work(SEGMENTATION, 32, 2, PAPER, dropout=0.0)
    ours, expected = our_step(work, FP32, device), reference_step(work, device)
    for moment in ("before an update", "after it"):
        difference = abs(float(ours()) - float(expected()))
        findings.add(f"segmentation: loss differs from the reference's {moment} by", difference, "")
