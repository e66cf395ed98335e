"""Prints an experiment's tables in Markdown, in the format of docs/results.md.

python scripts/results_tables.py runs/fig3/phantom-quick results/fig3/phantom-quick dice_foreground

With --others it also writes them to the table of `sslmed reproduce --check`. These are the results of other processors,
and the largest difference between them and these is the range.
"""

import argparse
import json
import math
from pathlib import Path

import pandas as pd

from sslmed.core.label_amount import LabelAmount
from sslmed.reporting.measured import CELL

MEASURED = Path(__file__).resolve().parents[1] / "sslmed" / "reporting" / "measured_results.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the experiment's directory, which holds the runs")
    parser.add_argument("results", type=Path, help="folder of summary.csv")
    parser.add_argument("metrics", nargs="+", help="which scores")
    parser.add_argument("--others", nargs="+", type=Path, help="folders of summary.csv from other processors")
    options = parser.parse_args()
    summary = pd.read_csv(options.results / "summary.csv")
    for metric in options.metrics:
        print(f"\n{scores(summary[summary['metric'] == metric])}")
    print(f"\n{pretext_losses(options.runs)}")
    if (tests := options.results / "tests.csv").is_file():
        print(f"\n{differences(pd.read_csv(tests))}")
    if options.others:
        ship(summary[summary["metric"].isin(options.metrics)], options.others)


def ship(summary: pd.DataFrame, others: list[Path]) -> None:
    """Write the means of a figure, and by how much any of them moved on other processors, to the package."""
    means = summary.set_index(["figure", *CELL])["mean"]
    elsewhere = [pd.read_csv(folder / "summary.csv").set_index(["figure", *CELL])["mean"] for folder in others]
    moved = max((other - means).abs().max() for other in elsewhere)
    old = pd.read_csv(MEASURED) if MEASURED.is_file() else pd.DataFrame(columns=["figure"])
    kept = old[~old["figure"].isin(summary["figure"])]
    largest = math.ceil(1000 * moved) / 1000
    table = pd.concat([kept, means.reset_index().assign(range=largest)]).sort_values(["figure", *CELL])
    table.round(6).to_csv(MEASURED, index=False, lineterminator="\n")


def scores(summary: pd.DataFrame) -> str:
    """Return one row per arm and one column per label fraction: mean and interval."""
    columns = list(summary.groupby("label_fraction")["n_labels"].first().items())
    rows = [["arm", *(_heading(fraction, n_labels) for fraction, n_labels in columns)]]
    order = sorted(summary["arm"].unique(), key=lambda arm: (arm != "baseline", not arm.startswith("null"), arm))
    for arm in order:
        cells = summary[summary["arm"] == arm].set_index("label_fraction")
        rows.append([arm, *(_cell(cells.loc[fraction]) for fraction, _ in columns)])
    return _markdown(rows)


def pretext_losses(runs: Path) -> str:
    """Return the validation loss of each fold's pretraining, and the chance loss."""
    records = [json.loads(path.read_text()) for path in sorted(runs.glob("*/fold*/pretrain/results.json"))]
    arms = list(dict.fromkeys(record["arm"] for record in records))
    of_arm = {arm: [record for record in records if record["arm"] == arm] for arm in arms}
    losses = [", ".join(f"{record['val_loss']:.2f}" for record in of_arm[arm]) for arm in arms]
    chance = [f"{of_arm[arm][0]['chance_loss']:.2f}" for arm in arms]
    return _markdown([["", *arms], ["validation loss", *losses], ["chance level", *chance]])


def differences(tests: pd.DataFrame) -> str:
    """Return each arm's difference to the baseline, averaged over amounts of labels, with its interval and p-value."""
    rows = [["arm", "difference to the baseline", "p (Holm)"]]
    for _, test in tests.iterrows():
        interval = f"{test['diff']:+z.3f} [{test['diff_low']:+z.3f},\N{NO-BREAK SPACE}{test['diff_high']:+z.3f}]"
        rows.append([test["arm"], interval, f"{test['p_holm']:.2g}"])
    return _markdown(rows)


def _heading(fraction: float, n_labels: float) -> str:
    """Return a fraction in whole percent with its number of labels, or the number alone."""
    return f"{LabelAmount(fraction=fraction)} ({n_labels:g})" if round(100 * fraction, 4) % 1 == 0 else f"{n_labels:g}"


def _cell(cell: "pd.Series[float]") -> str:
    return f"{cell['mean']:z.3f} [{cell['ci_low']:z.3f},\N{NO-BREAK SPACE}{cell['ci_high']:z.3f}]"


def _markdown(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


if __name__ == "__main__":
    main()
