"""Run directories as training leaves them, scored at random: arms differ, cases are hard or easy for all."""

import json
import zlib

import numpy as np
import pandas as pd

from sslmed.evaluation.metrics import case_row, summarise

FRACTIONS = (0.05, 0.25, 1.0)
TASKS = ("rotation", "jigsaw", "rpl", "exemplar", "cpc")
GAINS = {"baseline": 0.0, "rotation": 0.05, "jigsaw": 0.03, "rpl": 0.02, "exemplar": -0.01, "cpc": 0.06}


def write_runs(
    root, arms=("baseline", *TASKS), folds=2, seeds=1, cases=8, dataset="phantom", fractions=FRACTIONS, skip=()
):
    """Write runs below root, without those in `skip` (arm, fraction, fold), and return the directories of all."""
    paths = []
    for arm in arms:
        for fold in range(folds):
            for seed in range(seeds):
                for fraction in fractions:
                    path = root / arm / f"fold{fold}" / f"seed{seed}" / f"{100 * fraction:g}"
                    paths.append(path)
                    if (arm, fraction, fold) not in skip:
                        _write_run(path, arm, fold, seed, fraction, cases, dataset)
    return paths


def _write_run(path, arm, fold, seed, fraction, n_cases, dataset):
    path.mkdir(parents=True)
    of_fold = np.random.default_rng(fold)
    of_run = np.random.default_rng(zlib.crc32(f"{arm} {fold} {seed} {fraction}".encode()))
    error = (
        0.45
        - 0.1 * np.log2(fraction / 0.05) / 2
        - GAINS[arm.removesuffix("-2d")] * (1 - fraction)
        + 0.02 * of_run.normal()
    )
    error += 0.15 * arm.endswith("-2d")
    rows = []
    for case in range(n_cases):
        truth = of_fold.choice(3, size=600, p=[0.7, 0.2, 0.1])
        wrong = of_run.random(600) < np.clip(error + 0.1 * of_fold.normal(), 0.02, 0.9)
        row = case_row(np.where(wrong, of_run.integers(0, 3, 600), truth), truth, (0, 1, 2))
        rows.append({"case": f"{fold}{case:02}", **row, "dice_foreground_native": 0.98 * row["dice_foreground"]})
    table = pd.DataFrame(rows)
    table.to_csv(path / "cases.csv", index=False)
    metrics = summarise(table)
    updates = np.arange(10, 160, 10)
    curve = metrics["dice_foreground"] * (1 - np.exp(-updates / (40 + 300 * max(error, 0)))) + 0.01 * of_run.normal(
        size=15
    )
    record = {
        **{"kind": "finetune", "figure": "fig3", "dataset": dataset, "preset": "quick", "arm": arm, "fold": fold},
        **{"seed": seed, "label_fraction": fraction, "n_labels": round(40 * fraction), "metrics": metrics},
        "spatial_dims": 2 if arm.endswith("-2d") else 3,
        "validation": [
            {"update": int(update), "seconds": 1.5, "train/loss": 1.0, "val/dice_foreground": float(score)}
            for update, score in zip(updates, curve, strict=True)
        ],
    }
    (path / "results.json").write_text(json.dumps(record))
