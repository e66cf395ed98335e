"""The caption of a figure: runs, meaning of bars and bands, and missing runs."""

from collections.abc import Mapping
from typing import Any

from sslmed.core.text import count
from sslmed.evaluation.statistics import ENOUGH_RUNS
from sslmed.experiments.arms import Arm
from sslmed.experiments.runs import Run
from sslmed.reporting.pretraining import labelled_sources, pools
from sslmed.reporting.published import OUR_LABELS, published_curves
from sslmed.reporting.tables import Tables

INCOMPLETE = "†"
NAMED_MISSING = 4
OVER_CASES = "over test cases only: they do not include training noise"
RANGE = "from the lowest to the highest run"
FROZEN = "Frozen encoders: fine-tuning trains only what follows the encoder; the baseline's keeps its random weights."
CHANCE = "chance alone"
"""Name of the band of the null arms."""

CORRECTED = "Intervals are corrected for training sets that overlap between folds (Nadeau and Bengio 2003)."
CONDITIONAL = "Intervals and p-values are for the training sets of these folds: others may give other differences."
NO_DIFFERENCES = (
    f"With fewer than {ENOUGH_RUNS} runs per arm and amount of labels, no difference to the baseline is given: "
    "two baselines that differ only in their initial weights would often seem to differ."
)


def caption(tables: Tables, metric: str, *, scores_only: bool = False) -> list[str]:
    """Describe an experiment in lines of one or two sentences.

    Args:
        tables: What its runs found.
        metric: Test cases are those scored by it.
        scores_only: Whether the figure has neither convergence nor published curves.
    """
    experiment = tables.summary.iloc[0]
    n_cases = tables.summary.loc[tables.summary["metric"] == metric, "n_cases"].max()
    n_folds, n_seeds = (tables.results[key].nunique() for key in ("fold", "seed"))
    counts = f"{count(n_folds, 'fold')} \N{MULTIPLICATION SIGN} {count(n_seeds, 'seed')}, {count(n_cases, 'test case')}"
    few = n_folds * n_seeds < ENOUGH_RUNS
    bands = "" if scores_only or n_folds * n_seeds == 1 else f" Bands: {_bands(n_folds)}."
    lines = [
        f"{experiment['figure']}, dataset {experiment['dataset']}, preset {experiment['preset']}, {counts}.",
        f"Bars: {_bars(n_folds, n_folds * n_seeds)}.{bands}",
    ]
    if not scores_only and not published_curves(experiment["figure"], experiment["dataset"]).empty:
        lines.append(OUR_LABELS)
    lines += [CORRECTED] if n_folds >= ENOUGH_RUNS else []
    lines += [] if tables.tests.empty else [holm_family(tables)]
    lines += [] if tables.null_bands.empty else [null_band(tables)]
    lines += [NO_DIFFERENCES] if few else []
    scores = tables.summary[tables.summary["metric"] == metric]
    if scores["n_runs"].nunique() > 1 and not tables.missing:
        lines.append(f"{INCOMPLETE} fewer runs than elsewhere.")
    if tables.missing:
        rest = len(tables.missing) - NAMED_MISSING
        more = f", and {count(rest, 'further run')}" if rest > 0 else ""
        lines.append(f"{INCOMPLETE} missing: {', '.join(tables.missing[:NAMED_MISSING])}{more}.")
        if not few:
            bands = "" if scores_only else f"; bands are {RANGE}"
            lines.append(f"With fewer than {ENOUGH_RUNS} runs left, bars are {OVER_CASES}{bands}.")
    return lines


def validity(tables: Tables) -> str:
    """Say what intervals of differences hold for."""
    return CORRECTED if tables.results["fold"].nunique() >= ENOUGH_RUNS else CONDITIONAL


def holm_family(tables: Tables) -> str:
    """Say over which tests p-values are corrected."""
    if len(tables.tests) == 1:
        return "One arm is tested, so its p-value needs no correction for several tests."
    return f"The p-values of the figure's {len(tables.tests)} tested arms are corrected together by Holm's method."


def notes_of(results: Mapping[Run, Mapping[str, Any]]) -> list[str]:
    """Say if encoders were not trained in the usual way, by the `results.json` of finished runs."""
    records = results.values()
    notes = [f"External pool: {pool}." for pool in pools(results)]
    notes += [FROZEN] if any(record.get("frozen", False) for record in records) else []
    notes += [f"Supervised: pretrained on the labels of {source}." for source in labelled_sources(records)]
    files = {record["arm"]: record["source"] for record in records if record.get("source")}
    notes += [f"{arm}: weights of {file}." for arm, file in files.items() if not Arm.parse(arm).is_supervised]
    if any(record.get("transductive", False) for record in records):
        notes.append("Transductive: pretraining has seen the images of the test cases.")
    return notes


def null_band(tables: Tables) -> str:
    """Explain the band of the null arms."""
    nulls = [arm for arm in tables.results["arm"].unique() if Arm.parse(arm).is_null]
    df = tables.null_bands["df"].min()
    rough = ", so it is rough itself" if df < ENOUGH_RUNS else ""
    return (
        "Grey: chance alone. With 95 % probability, another baseline with other initial weights has its score "
        f"there; estimated from {', '.join(nulls)} ({count(df, 'degree')} of freedom{rough})."
    )


def _bars(n_folds: int, n_runs: int) -> str:
    if n_folds >= ENOUGH_RUNS:
        return "95 % intervals, which include the noise of training and of test cases"
    if n_runs >= ENOUGH_RUNS:
        return "95 % intervals over seeds and test cases, for the training sets of these folds"
    return f"95 % intervals {OVER_CASES}"


def _bands(n_folds: int) -> str:
    return "95 % intervals over folds" if n_folds >= ENOUGH_RUNS else RANGE
