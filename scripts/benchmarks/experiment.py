"""A small experiment: wall time of its runs, and the fraction that is not training."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Findings
from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.experiment import read_experiment
from sslmed.experiments.grid import Grid
from sslmed.experiments.places import Places
from sslmed.experiments.plan import plan_runs
from sslmed.experiments.preset import preset_folder, read_preset
from sslmed.experiments.runs import write_plan
from sslmed.phantoms import KINDS
from sslmed.preparation.prepare import prepare

FIGURE = "fig3"
ARM = "rotation"
NOT_TRAINING = "fraction of a job that is not training"


@dataclass(frozen=True)
class Sizes:
    """Preset of the figure, and amounts of labels to fine-tune on; the others are assumed to cost the same."""

    preset: str = "quick"
    labels: tuple[LabelAmount, ...] = (LabelAmount(fraction=0.25),)


SIZES = {"quick": Sizes(), "full": Sizes(labels=read_experiment(FIGURE).label_amounts)}


def measure(sizes: Sizes, folder: Path) -> Findings:
    """Generate and prepare a preset's phantom, then do one job of its workflow: pretraining and fine-tuning."""
    findings = Findings()
    experiment, presets = read_experiment(FIGURE), preset_folder(FIGURE, sizes.preset)
    preset = read_preset(presets)
    size = preset.phantom
    start = time.perf_counter()
    KINDS[experiment.phantom](folder / "data", cases=size.cases, unlabelled=size.unlabelled, size=size.size)
    findings.add(f"drawing {size.cases + size.unlabelled} phantoms", time.perf_counter() - start, "s")
    start = time.perf_counter()
    prepare(folder / "data", folder / "store", preset.prepare)
    findings.add("preparing them", time.perf_counter() - start, "s")

    grid = Grid(experiment, preset, presets, (ARM,), sizes.labels, (preset.folds[0],), (preset.seeds[0],))
    places = Places(work=folder / "work", store=folder / "store")
    plan = plan_runs(grid, places, dataset="phantom", wandb="disabled")
    write_plan(folder / "plan.json", plan)
    wall, timed = _do_job(folder, plan[0].job)
    runs = timed["runs"]
    for name, parts in runs.items():
        run = name.partition("/")[2]
        findings.add(f"{run}: wall time", parts["total"], "s")
        for part, seconds in parts.items():
            if part != "total":
                findings.add(f"{run}: {part}", seconds, "s")
    starting = wall - sum(parts["total"] for parts in runs.values())
    findings.add("starting Python, importing", starting, "s")

    pretraining, *finetuning = runs.values()
    repeats = len(experiment.label_amounts) / len(finetuning)
    training = pretraining["training"] + repeats * _total(finetuning, "training")
    whole = starting + pretraining["total"] + repeats * _total(finetuning, "total")
    findings.add(NOT_TRAINING, 100 * (1 - training / whole), "%")
    findings.remark(
        f"a job of {FIGURE}, {sizes.preset}: {ARM} and {len(experiment.label_amounts)} fine-tunings in one process "
        f"with 1 thread; measured: {len(finetuning)} of the fine-tunings"
    )
    return findings


def _total(runs: Iterable[dict[str, float]], part: str) -> float:
    return sum(parts[part] for parts in runs)


def _do_job(folder: Path, job: str) -> tuple[float, dict[str, Any]]:
    """Return the wall time of a job in its own process, and the times of its parts."""
    out = folder / "seconds.json"
    script = Path(__file__).with_name("timed_job.py")
    command = [sys.executable, "-P", str(script), str(folder / "plan.json"), job, str(out)]
    log = folder / "job.log"
    start = time.perf_counter()
    with log.open("w") as file:
        done = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
        )
    wall = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"the job failed: {log.read_text()[-2000:]}")
    return wall, json.loads(out.read_text())
