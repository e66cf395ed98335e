"""The registry of metrics: name, meaning, bounds, unit, direction, and how each is computed from cases.csv.

Tables, intervals, charts, the report and W&B read this registry, so a new metric is one entry in `METRICS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Literal

import pandas as pd

from sslmed.evaluation import classification, regression, segmentation
from sslmed.evaluation.jackknife import Floats

Kind = Literal["segmentation", "classification", "regression"]
"""Kind of task, which decides the columns of cases.csv."""

ANY = "{}"
"""Placeholder in the name of an entry, for a class (its value in the label files) or a region."""


@dataclass(frozen=True)
class Metric:
    """Describes one score of test cases.

    Args:
        name: Column name in tables. `{}` makes a family: `dice_class_{}` covers `dice_class_1`.
        kind: Kind of task that the metric scores.
        title: Text on axes and above tables; `{}` is replaced as in the name.
        meaning: One sentence for physicians outside machine learning, without capital and full stop.
        bounds: Smallest and largest possible value; infinite where there is none.
        unit: Unit of the values, if there is one.
        higher_is_better: Whether it measures success, not error.
        of_grades: Whether classes must have an order, or it means nothing. It is in tables of any classes, for readers
            who know theirs, but shown only where it was asked for.
        values: Computes one value per case, `(cases,)`, from the rows of cases.csv. Their mean is the score. By default
            it reads the column with the name of the metric.
        pooled: Computes the score from all rows at once, where it is not a mean over cases. `values` then computes
            pseudo-values; see `sslmed.evaluation.jackknife.pseudo_values`.
    """

    name: str
    kind: Kind
    title: str
    meaning: str
    bounds: tuple[float, float] = (0.0, 1.0)
    unit: str = ""
    higher_is_better: bool = True
    of_grades: bool = False
    values: Callable[[pd.DataFrame], Floats] | None = None
    pooled: Callable[[pd.DataFrame], float] | None = None

    @property
    def axis(self) -> str:
        """Label for a chart's axis: title, unit and direction."""
        direction = "" if self.higher_is_better else ", lower is better"
        return self.title + (f" ({self.unit})" if self.unit else "") + direction

    @property
    def gain(self) -> int:
        """Sign that makes a positive difference an improvement: 1 or -1."""
        return 1 if self.higher_is_better else -1

    @property
    def difference_bounds(self) -> tuple[float, float]:
        """Smallest and largest possible difference of two scores."""
        low, high = self.bounds
        return low - high, high - low


_DICE = "the overlap of the predicted region with the labelled one: 0 is none, 1 perfect"
_NSD = (
    "the fraction of the predicted and the labelled outlines that lie within a tolerance of each other "
    "(2 mm unless `surface_tolerance` says otherwise): 0 is none, 1 perfect"
)
_HD95 = (
    "how far the predicted outline is from the labelled one, and the labelled one from it, but for the 5 % that are "
    "furthest off: 0 is perfect; where one of the two has no such region, the diagonal of the image"
)
_distance = partial(Metric, kind="segmentation", meaning=_HD95, bounds=(0.0, inf), unit="mm", higher_is_better=False)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("dice_foreground", "segmentation", "foreground Dice", _DICE),
        Metric("dice_foreground_native", "segmentation", "foreground Dice on the original grid", _DICE),
        Metric(
            segmentation.PAPER_DICE,
            "segmentation",
            "Dice pooled over test cases, with background",
            _DICE,
            values=segmentation.paper_dice_values,
            pooled=segmentation.paper_dice,
        ),
        Metric("dice_wt", "segmentation", "whole tumour Dice", _DICE),
        Metric("dice_tc", "segmentation", "tumour core Dice", _DICE),
        Metric("dice_et", "segmentation", "enhancing tumour Dice", _DICE),
        Metric("dice_regions", "segmentation", "Dice, mean over regions", _DICE),
        Metric("dice_class_{}", "segmentation", "Dice of {}", _DICE),
        Metric("dice_{}", "segmentation", "Dice of {}", _DICE),  # regions
        Metric("nsd_foreground", "segmentation", "normalised surface Dice, mean over classes", _NSD),
        Metric("nsd_class_{}", "segmentation", "normalised surface Dice of {}", _NSD),
        _distance(name="hd95_foreground", title="95 % Hausdorff distance, mean over classes"),
        _distance(name="hd95_class_{}", title="95 % Hausdorff distance of {}"),
        Metric(
            "qwk",
            "classification",
            "quadratic weighted kappa",
            "agreement with the true grades, larger mistakes counting more: 0 is chance, 1 perfect",
            bounds=(-1.0, 1.0),
            of_grades=True,
            values=classification.kappa_values,
            pooled=classification.kappa,
        ),
        Metric(
            "accuracy",
            "classification",
            "accuracy",
            "the fraction of images that are classified correctly",
            values=classification.hits,
        ),
        Metric(
            "auroc",
            "classification",
            "AUROC, mean over classes",
            "how well the probabilities set a class apart from the others: 0.5 is chance, 1 perfect",
            values=classification.auroc_values,
            pooled=classification.auroc_of_cases,
        ),
        Metric(
            "mae",
            "regression",
            "mean absolute error",
            "how far predictions are off on average, in the unit of the values: 0 is perfect",
            bounds=(0.0, inf),
            unit="unit of the values",
            higher_is_better=False,
            values=regression.absolute_errors,
        ),
        Metric(
            "r2",
            "regression",
            "r² (explained variance)",
            "the fraction of the variance of the values that is explained: 0 is always predicting the mean, 1 perfect",
            bounds=(-inf, 1.0),
            values=regression.r2_values,
            pooled=regression.r2,
        ),
    )
}
"""Name -> entry, in the order in which scores are listed."""


def find(name: str, classes: Mapping[int, str] | None = None) -> Metric:
    """Look up a metric by name.

    Args:
        name: Name in tables, such as `dice_class_1`.
        classes: Names of classes by their value in the label files, for titles.

    Returns:
        The entry. For a family, its name and title are those of the requested class or region.

    Raises:
        ValueError: If no entry has the name.
    """
    if name in METRICS:
        return METRICS[name]
    beginnings = [entry.partition(ANY)[0] for entry in METRICS if ANY in entry]
    found = max((start for start in beginnings if name.startswith(start)), key=len, default=None)
    if found is None:
        raise ValueError(f"{name!r} is not a metric; the metrics are {', '.join(METRICS)}")
    entry, part = METRICS[found + ANY], name.removeprefix(found)
    shown = (classes or {}).get(int(part), f"class {part}") if part.isdigit() else part
    return replace(entry, name=name, title=entry.title.replace(ANY, shown))


def best_is(monitored: str) -> Literal["min", "max"]:
    """Return Lightning's mode for a logged value such as `val/loss` or `val/qwk`: whether `min` or `max` is best.

    Raises:
        ValueError: If it is neither a loss nor a metric.
    """
    name = monitored.rpartition("/")[2]
    return "min" if name == "loss" or not find(name).higher_is_better else "max"


def case_values(cases: pd.DataFrame, name: str) -> Floats:
    """Compute one value per case. Their mean is the score of the whole test set.

    Args:
        cases: One row per test case of one run, as in its cases.csv.
        name: One of the names that `summarise` returns.

    Returns:
        `(cases,)`, in the unit of the metric.

    Raises:
        ValueError: If columns that the metric needs are missing, or values are not valid.
    """
    metric = find(name)
    try:
        return cases[name].to_numpy(dtype="float64") if metric.values is None else metric.values(cases)
    except KeyError as error:
        columns = ", ".join(map(str, cases.columns))
        raise ValueError(f"metric {name!r} is not determined by the columns of the cases: {columns}") from error


def summarise(cases: pd.DataFrame, kind: Kind) -> dict[str, float]:
    """Compute every metric that the columns of the cases allow.

    Args:
        cases: One row per test case of one run, as in its cases.csv.
        kind: Kind of the task that wrote them.

    Returns:
        Metric -> score.

    Raises:
        ValueError: If there are no cases, if columns of their kind are missing, or if values are not valid.
    """
    if cases.empty:
        raise ValueError("there are no test cases to summarise, expected at least one")
    columns = [str(column) for column in cases.columns]
    names = [name for entry in METRICS.values() if entry.kind == kind for name in _names(entry, columns)]
    return {name: _score(cases, name) for name in dict.fromkeys(names)}


def _names(entry: Metric, columns: list[str]) -> list[str]:
    """List the metrics of an entry for cases with these columns."""
    if entry.values is not None:
        return [entry.name]
    start, is_family, _ = entry.name.partition(ANY)
    return [column for column in columns if column == entry.name or (is_family and column.startswith(start))]


def _score(cases: pd.DataFrame, name: str) -> float:
    pooled = find(name).pooled
    return float(case_values(cases, name).mean() if pooled is None else pooled(cases))
