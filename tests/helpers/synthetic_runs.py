"""Run directories as training leaves them, scored at random: arms differ, cases are hard or easy for all."""

import json
import zlib

import numpy as np
import pandas as pd

from sslmed.core.label_amount import LabelAmount
from sslmed.evaluation.metrics import summarise
from sslmed.evaluation.segmentation import case_row
from sslmed.experiments.arms import Arm

FRACTIONS = (0.05, 0.25, 1.0)
PRIMARY = {"fig2": "dice_wt", "fig3": "dice_foreground", "fig4": "qwk"}
"""The first metric of each figure."""

TASKS = ("rotation", "jigsaw", "rpl", "exemplar", "cpc")
GAINS = {"rotation": 0.05, "jigsaw": 0.03, "rpl": 0.02, "exemplar": -0.01, "cpc": 0.06}
GRADES = (0.45, 0.1, 0.25, 0.08, 0.12)


def write_runs(
    root,
    arms=("baseline", *TASKS),
    folds=2,
    seeds=1,
    cases=8,
    dataset="phantom",
    fractions=FRACTIONS,
    counts=(),
    skip=(),
    figure="fig3",
    unequal=False,
):
    """Write runs below root, without those in `skip` (arm, fraction or count, fold); return the directories of all.

    A fold has 40 training cases, or, if they are unequal, fold k has 40 + k.
    """
    amounts = [*(LabelAmount(count=count) for count in counts), *(LabelAmount(fraction=f) for f in fractions)]
    paths = []
    for arm in arms:
        for fold in range(folds):
            for seed in range(seeds):
                for amount in amounts:
                    path = root / arm / f"fold{fold}" / f"seed{seed}" / amount.path
                    paths.append(path)
                    if (arm, amount.fraction or amount.count, fold) not in skip:
                        _write_run(path, arm, fold, seed, amount, cases, dataset, figure, 40 + fold * unequal)
    return paths


def _write_run(path, arm, fold, seed, amount, n_cases, dataset, figure, n_train):
    path.mkdir(parents=True)
    fraction = amount.fraction or amount.count / n_train
    of_fold = np.random.default_rng(fold)
    of_run = np.random.default_rng(zlib.crc32(f"{arm} {fold} {seed} {fraction}".encode()))
    gain = GAINS.get(Arm.parse(arm).task, 0) + 0.04 * ("-external" in arm)
    error = 0.45 - 0.1 * np.log2(fraction / 0.05) / 2 - gain * (1 - fraction) + 0.02 * of_run.normal()
    error += 0.15 * arm.endswith("-2d")
    score_case = {"fig2": _brain, "fig3": _pancreas, "fig4": _fundus}[figure]
    rows = [{"case": f"{fold}{case:02}"} | score_case(of_fold, of_run, error) for case in range(n_cases)]
    table = pd.DataFrame(rows)
    table.to_csv(path / "cases.csv", index=False)
    metrics = summarise(table, "classification" if figure == "fig4" else "segmentation")
    followed = PRIMARY[figure]
    updates = np.arange(10, 160, 10)
    curve = metrics[followed] * (1 - np.exp(-updates / (40 + 300 * max(error, 0)))) + 0.01 * of_run.normal(size=15)
    record = {
        **{"kind": "finetune", "figure": figure, "dataset": dataset, "preset": "quick", "arm": arm, "fold": fold},
        **{
            "seed": seed,
            "label_amount": str(amount),
            "label_fraction": fraction,
            "n_labels": amount.count or round(n_train * fraction),
            "n_train": n_train,
            "n_folds": 5,
            "metrics": metrics,
        },
        "spatial_dims": 2 if arm.endswith("-2d") or figure == "fig4" else 3,
        "validation": [
            {"update": int(update), "seconds": 1.5, "train/loss": 1.0, f"val/{followed}": float(score)}
            for update, score in zip(updates, curve, strict=True)
        ],
    }
    (path / "results.json").write_text(json.dumps(record))


def _pancreas(of_fold, of_run, error):
    truth = of_fold.choice(3, size=600, p=[0.7, 0.2, 0.1])
    wrong = of_run.random(600) < np.clip(error + 0.1 * of_fold.normal(), 0.02, 0.9)
    row = case_row(np.where(wrong, of_run.integers(0, 3, 600), truth), truth, (0, 1, 2))
    return {**row, "dice_foreground_native": 0.98 * row["dice_foreground"]}


def _brain(of_fold, of_run, error):
    row = _pancreas(of_fold, of_run, error)
    return {**row, "dice_wt": row["dice_foreground"], "dice_tc": row["dice_class_1"], "dice_et": row["dice_class_2"]}


def _fundus(of_fold, of_run, error):
    truth = of_fold.choice(5, p=GRADES)
    opinion = np.clip(truth + 3 * (error + 0.1) * of_run.normal(), -0.4, 4.4)
    weights = np.exp(-((np.arange(5) - opinion) ** 2))
    probabilities = weights / weights.sum()
    return {
        "truth": truth,
        "prediction": probabilities.argmax(),
        **{f"probability_{grade}": probability for grade, probability in enumerate(probabilities)},
    }
