"""Holm's tests of all arms of an experiment in which none differs: see `scripts/simulate_families.py`."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulate_families import ARMS, FAMILIES, family_errors

from sslmed.evaluation.statistics import holm
from sslmed.reporting.arm_tests import compare_arms


@pytest.mark.parametrize("seeds", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_at_most_one_experiment_in_twenty_says_that_any_arm_differs(seeds: int) -> None:
    found = family_errors(1000, folds=5, seeds=seeds, from_cases=0.3)
    assert list(found["arms"]) == list(ARMS)
    assert (found["corrected"] <= 0.05).all()
    assert (found["plain"] > 0.1).all()
    # The table behind docs/statistics.md is of this code: four times as many experiments, the same first ones.
    documented = pd.read_csv(FAMILIES).query(f"folds == 5 and seeds == {seeds} and from_cases == 0.3")
    columns = ["plain", "corrected"]
    assert abs(documented[columns].to_numpy() - found[columns].to_numpy()).max() < 0.03


def test_the_page_gives_the_numbers_of_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text()
    rows = re.findall(r"^\| (\d+) % \| (.*) \|$", page, re.MULTILINE)
    written = [[float(number) for number in re.findall(r"[\d.]+", cells)] for _, cells in rows]
    table = pd.read_csv(FAMILIES).dropna().pivot(index="from_cases", columns=["seeds", "arms"])
    assert [int(percent) / 100 for percent, _ in rows] == list(table.index)
    expected = [table[kind, seeds, arms] for seeds in (1, 3) for arms in ARMS for kind in ("corrected", "plain")]
    np.testing.assert_allclose(written, 100 * np.transpose(expected), atol=0.051)


def test_two_folds_with_one_seed_give_no_test_that_could_be_wrong() -> None:
    found = family_errors(300, folds=2, seeds=1, from_cases=0.3)
    assert found["corrected"].isna().all()
    assert (found["plain"] > 0.15).all()  # what such tests would do


@pytest.mark.parametrize(("folds", "seeds", "tested"), [(5, 3, True), (2, 1, False)])
def test_the_tests_of_an_experiment_are_one_family_of_its_arms(folds: int, seeds: int, tested: bool) -> None:
    arms = ["baseline", "null-1", "rotation", "jigsaw", "rpl", "exemplar", "cpc"]
    keys = ["arm", "label_fraction", "fold", "seed"]
    runs = pd.MultiIndex.from_product([arms, [0.1, 1.0], range(folds), range(seeds)], names=keys).to_frame(index=False)
    runs = runs.assign(case=runs["fold"].map("case{}".format), figure="fig3", dataset="phantom", preset="quick")
    values = runs.assign(metric="dice_foreground", value=np.random.default_rng(0).random(len(runs)))
    table = compare_arms(values, test_to_train=0.3)
    assert list(table["arm"]) == (sorted(arms[2:]) if tested else [])
    np.testing.assert_allclose(table["p_holm"], holm(table["p"].astype(float)))
