"""Compares the scores of a phantom's quick experiment with those that were measured, which ship with the package."""

from importlib import resources
from pathlib import Path

import pandas as pd

from sslmed.core.errors import UserError
from sslmed.core.tables import read_table
from sslmed.experiments.options import Options

CELL = ["metric", "arm", "label_fraction"]


def measured_scores(figure: str) -> pd.DataFrame:
    """Read the measured scores of a figure's phantom with the preset `quick` (docs/results.md).

    Returns:
        Indexed by `CELL`: `mean`, and `range`, by how much scores of the figure (of Figure 2, with this many labels)
        moved at most on another processor or in another precision. No rows for a figure of the user's own.
    """
    with resources.files("sslmed.reporting").joinpath("measured_results.csv").open(encoding="utf-8") as file:
        table = pd.read_csv(file)
    return table[table["figure"] == figure].drop(columns="figure").set_index(CELL)


def refuse_incomparable(options: Options) -> None:
    """Refuse `--check` for what was not measured.

    Raises:
        UserError: If it is of other data, another preset or encoder, other folds or seeds, or is trained otherwise.
    """
    changed = {"data": [*options.data] != ["phantom"], "preset": options.preset != "quick"}
    changed |= {"spacing": options.auto_spacing, "finetuning": options.finetuning != "full"}
    changed |= {"devices": options.devices != 1}
    changed |= {name: getattr(options, name) is not None for name in ("encoder", "folds", "seeds", "labels")}
    for name in [name for name, is_changed in changed.items() if is_changed]:
        raise UserError(f"--check compares phantoms with the preset quick and all its folds; leave out --{name}")
    measured = measured_scores(options.figure)
    if measured.empty:
        raise UserError(f"--check: no scores of {options.figure} ship with sslmed; it is for fig2, fig3 and fig4")
    fractions = [*measured.index.unique("label_fraction")]
    if options.fractions is not None and not {*options.fractions} & {*fractions}:
        raise UserError(f"--check: --fractions has none of those that were measured: {', '.join(map(str, fractions))}")


def check(out: Path, figure: str) -> int:
    """Compare an experiment's `summary.csv` with the measured scores, and say which cells lie outside their range.

    Returns:
        0 if all cells that both have are within the range, 1 if some are not, or there is none.
    """
    measured = measured_scores(figure).rename(columns={"mean": "measured"})
    both = read_table(out / "summary.csv").merge(measured, on=CELL)
    outside = both[~((both["mean"] - both["measured"]).abs() <= both["range"])]  # a mean that is NaN, too
    for cell in outside.to_dict("records"):
        place = f"{cell['metric']} of {cell['arm']} with {100 * cell['label_fraction']:g} % of the labels"
        print(f"{place}: {cell['mean']:.3f}, measured {cell['measured']:.3f} (range {cell['range']:.3f})")
    limits = " to ".join(f"{limit:.3f}" for limit in sorted({measured["range"].min(), measured["range"].max()}))
    print(f"check: {len(both) - len(outside)} of {len(both)} scores are within {limits} of those measured on CPUs")
    return int(not outside.empty or both.empty)
