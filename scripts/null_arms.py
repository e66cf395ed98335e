"""Measures coverage of intervals with trained networks, by comparing a method with itself many times.

Each experiment generates a dataset of its own, trains a baseline and a null arm, which differ in their initial weights
only, in five folds through the same code as `sslmed reproduce`, and summarises them as it does. So the true difference
is 0, and the true score is the mean over all experiments: the script counts how often the intervals miss them.

    python scripts/null_arms.py --experiments 200 --out null-arms     # about 40 minutes on 2 cores

Finished experiments are not repeated. The last line is JSON.
"""

import argparse
import contextlib
import io
import json
import logging
import shutil
from functools import partial
from pathlib import Path

import pandas as pd

from sslmed.core.label_amount import LabelAmount
from sslmed.core.workers import run_in_processes
from sslmed.experiments.experiment import read_experiment
from sslmed.experiments.grid import Grid
from sslmed.experiments.places import Places
from sslmed.experiments.plan import plan_runs
from sslmed.experiments.preset import read_preset
from sslmed.phantoms import KINDS
from sslmed.preparation.prepare import prepare

PRESET = Path(__file__).with_name("null_arms_preset")
ARMS = ("baseline", "null-1")
FRACTIONS = (0.15, 0.5, 1.0)
METRIC = "dice_foreground"
N_FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=200, help="datasets, each with 5 folds of 2 arms")
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS, help="label fractions")
    parser.add_argument("--out", type=Path, default=Path("null-arms"), help="folder of the experiments' summaries")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="where the table goes as well")
    parser.add_argument("--jobs", type=int, help="experiments side by side; all cores by default")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    do = partial(experiment, out=options.out, fractions=tuple(options.fractions))
    summaries = run_in_processes(do, range(options.experiments), description="experiments", jobs=options.jobs)
    table = false_positives_and_coverage(pd.concat(summaries))
    print(table.to_string(index=False, float_format="{:.3f}".format))
    if options.csv is not None:
        table.to_csv(options.csv, index=False, float_format="%.6g", lineterminator="\n")
    print(json.dumps(table.to_dict("records")))


def experiment(number: int, *, out: Path, fractions: tuple[float, ...]) -> pd.DataFrame:
    """Generate a dataset, train both arms on all folds, and return the summary of the cells."""
    from sslmed.experiments.job import do_runs  # imports torch
    from sslmed.reporting.tables import collect

    work = out.absolute() / f"{number:04d}"
    runs = work / "runs.csv"
    if not runs.is_file():
        logging.disable(logging.INFO)
        labels = tuple(LabelAmount(fraction=fraction) for fraction in fractions)
        data, settings, preset = work / "data", read_experiment("fig3"), read_preset(PRESET)
        grid = Grid(settings, preset, PRESET, ARMS, labels, tuple(preset.folds), tuple(preset.seeds))
        with contextlib.redirect_stderr(io.StringIO()):
            phantom = preset.phantom
            KINDS["pancreas"](data, cases=phantom.cases, unlabelled=0, size=phantom.size, seed=number, jobs=1)
            store = prepare(data, work / "store", preset.prepare, jobs=1)
        plan = plan_runs(grid, Places(work, store.root), dataset=f"{number}", wandb="disabled")
        with contextlib.chdir(work):
            if not do_runs(plan):
                raise RuntimeError(f"{work}: a run failed, see its run.log")
        for folder in (data, store.root, *work.glob("*/*/*/*/checkpoints")):
            shutil.rmtree(folder)
        runs.write_text("\n".join(run.name for run in plan) + "\n")
    tables = collect([work / name for name in runs.read_text().split()], METRIC)
    cells, results = (table[table["metric"] == METRIC] for table in (tables.summary, tables.results))
    scores = results.pivot(index=["label_fraction", "fold"], columns="arm", values="value")
    variances = (scores["null-1"] - scores["baseline"]).groupby("label_fraction").var()
    return cells.assign(variance_over_folds=cells["label_fraction"].map(variances))


def false_positives_and_coverage(summaries: pd.DataFrame) -> pd.DataFrame:
    """Compute, for each label fraction, how often intervals miss the truth, and their widths."""
    rows = []
    for fraction, cells in summaries.groupby("label_fraction"):
        null, truth = cells[cells["arm"] == "null-1"], cells["mean"].mean()
        row = {"label_fraction": fraction, "n_labels": int(cells["n_labels"].iloc[0]), "experiments": len(null)}
        for kind in ("", "plain_"):
            low, high = cells[f"ci_{kind}low"], cells[f"ci_{kind}high"]
            missed = (null[f"diff_{kind}low"] > 0) | (null[f"diff_{kind}high"] < 0)
            width = null[f"diff_{kind}high"] - null[f"diff_{kind}low"]
            row |= {
                f"{kind}false_positives": missed.mean(),
                f"{kind}coverage": ((low <= truth) & (truth <= high)).mean(),
                f"{kind}width": width.mean(),
            }
        # The mean of k independent folds has 1/k of their variance: the ratio is 1, or more if folds share noise.
        ratio = N_FOLDS * null["diff"].var() / null["variance_over_folds"].mean()
        rows.append(row | {"score": truth, "sd_of_difference": null["diff"].std(), "variance_ratio": ratio})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
