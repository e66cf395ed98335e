"""Simulates coverage of intervals when folds share training cases. Scores are simulated, splits are real.

Each simulated experiment has its own effects: of every training case on what is learned from it, of every test case,
and of every training. The difference of two arms over a fold is the sum of

* what its labelled training cases do, and what the cases do that it pretrains on, which are all training cases: folds
  have many of them in common;
* what its test cases do, which no other fold has;
* the noise of training, which no other run has.

`from_cases` is the fraction of a run's variance that the choice of its training cases makes up, in equal parts by
labels and by pretraining. With more seeds it is a larger fraction of a fold's variance, as only the noise of training
is averaged. The true mean is 0, so an interval that excludes 0 is a false positive.

    python scripts/simulate_intervals.py --experiments 4000     # about 5 minutes of one core
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from sslmed.core.label_amount import LabelAmount
from sslmed.data.splits import count_labels, label_order, split_cases
from sslmed.evaluation.statistics import assumed_ratio, estimate

Floats = npt.NDArray[np.float64]

CSV = Path(__file__).parents[1] / "docs" / "tables" / "simulated_intervals.csv"
BASE = {"n_cases": 60, "n_folds": 5, "seeds": 1}
VARIED = {"n_cases": (20, 60, 200), "n_folds": (5, 10, 20), "seeds": (1, 3, 5)}
"""The settings that are simulated: `BASE`, with each of these in turn."""

FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)
FROM_CASES = (0.0, 0.2, 0.3, 0.4, 0.6)
WIDE = (-1e9, 1e9)
FROM_RUN = 0.5
"""Fraction of the variance not due to training cases that is training noise; the rest is due to test cases."""


def main() -> None:
    options = read_options(__doc__, CSV)
    others = [BASE | {name: each} for name, values in VARIED.items() for each in values if each != BASE[name]]
    tables = [
        misses(options.experiments, from_cases=each, **setting).assign(**setting, experiments=options.experiments)
        for setting in [BASE, *others]
        for each in FROM_CASES
    ]
    write_table(pd.concat(tables), options.csv)


def read_options(description: str | None, csv: Path) -> argparse.Namespace:
    """Read the number of experiments and the table to write from the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=4000, help="simulated experiments per row")
    parser.add_argument("--csv", type=Path, default=csv, help="table to write")
    return parser.parse_args()


def write_table(table: pd.DataFrame, csv: Path) -> None:
    """Print a table, and write it."""
    print(table.to_string(index=False, float_format="{:.3f}".format))
    table.to_csv(csv, index=False, float_format="%.6g", lineterminator="\n")


def misses(
    experiments: int, *, n_cases: int = 60, n_folds: int = 5, seeds: int = 1, from_cases: float = 0.3
) -> pd.DataFrame:
    """Simulate experiments, and count how often the intervals miss the truth.

    Returns:
        One row per label fraction, and a last one for their mean (`mean`): `corrected` and `plain`, the fractions of
        the intervals that exclude the true mean, and `wider`, the ratio of their widths.
    """
    cases = [f"{i:03}" for i in range(n_cases)]
    splits = [split_cases(cases, fold=fold, n_folds=n_folds) for fold in range(n_folds)]
    ratio = float(np.mean([assumed_ratio(len(split.test), len(split.train), n_folds) for split in splits]))
    used = cases_in_use(splits, cases, seeds)
    rng = np.random.default_rng(0)
    missed, width = np.zeros((2, len(FRACTIONS) + 1)), np.zeros((2, len(FRACTIONS) + 1))
    for _ in range(experiments):
        folds = simulate(used, rng, from_cases=from_cases)
        for i, values in enumerate([*folds, folds.mean(axis=0)]):
            found = estimate(values, WIDE, test_to_train=ratio)
            ends = np.array([[found.low, found.high], [found.plain_low, found.plain_high]])
            missed[:, i] += (ends[:, 0] > 0) | (ends[:, 1] < 0)
            width[:, i] += ends[:, 1] - ends[:, 0]
    n_labels = [count_labels(LabelAmount(fraction=fraction), len(splits[0].train)) for fraction in FRACTIONS]
    return pd.DataFrame(
        {
            "from_cases": from_cases,
            "label_fraction": [*FRACTIONS, "mean"],
            "n_labels": [*n_labels, ""],
            "plain": missed[1] / experiments,
            "corrected": missed[0] / experiments,
            "wider": width[0] / width[1],
        }
    )


def simulate(used: tuple[Floats, Floats], rng: np.random.Generator, *, from_cases: float) -> Floats:
    """Simulate the fold means of one experiment, `(fractions, folds, seeds, 1)`; their variance is 1 with one seed.

    Args:
        used: Of `cases_in_use`.
        rng: Draws the effects.
        from_cases: Fraction of the variance that comes from the choice of training cases.
    """
    labelled, pretrained_on = used
    n_fractions, n_folds, seeds, n_cases = labelled.shape
    of_labels = labelled @ rng.normal(size=n_cases)
    of_pretraining = (pretrained_on @ rng.normal(size=n_cases))[:, None]
    # Test sets do not overlap: one number per fold for all its cases, the same for all fractions.
    of_test = rng.normal(size=(n_folds, 1))
    of_run = rng.normal(size=(n_fractions, n_folds, seeds))
    learned = (from_cases / 2) ** 0.5 * (of_labels + of_pretraining)
    rest = (1 - from_cases) ** 0.5 * (FROM_RUN**0.5 * of_run + (1 - FROM_RUN) ** 0.5 * of_test)
    values: Floats = (learned + rest)[..., None]
    return values


def cases_in_use(splits: Sequence, cases: Sequence[str], seeds: int) -> tuple[Floats, Floats]:
    """Sample weights of cases whose squares sum to 1: labelled `(fractions, folds, seeds, cases)`; pretrained on."""
    one_class = dict.fromkeys(cases, frozenset({0}))
    labelled = np.zeros((len(FRACTIONS), len(splits), seeds, len(cases)))
    pretrained_on = np.zeros((len(splits), len(cases)))
    for fold, split in enumerate(splits):
        pretrained_on[fold, [cases.index(case) for case in split.train]] = len(split.train) ** -0.5
        for seed in range(seeds):
            order = label_order(split.train, fold=fold, seed=seed, class_sets=one_class, stratify=False)
            for i, fraction in enumerate(FRACTIONS):
                n_labels = count_labels(LabelAmount(fraction=fraction), len(split.train))
                labelled[i, fold, seed, [cases.index(case) for case in order[:n_labels]]] = n_labels**-0.5
    return labelled, pretrained_on


if __name__ == "__main__":
    main()
