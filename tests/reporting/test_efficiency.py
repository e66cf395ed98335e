"""Label-efficiency and speed of convergence of finished runs: values by hand, ends beyond the range, whom with whom."""

import numpy as np
import pandas as pd
import pytest
from synthetic_runs import write_runs

from sslmed.core.errors import DataError
from sslmed.reporting.efficiency import COLUMNS, labels_to_baseline, updates_to_baseline
from sslmed.reporting.tables import collect

FRACTIONS = (0.1, 0.5, 1.0)


def runs(scores, *, points, column, folds=5, cases=3, spread=0.01):
    """One row per arm, fold, case and point of its curve; `scores` gives the curves without noise."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=folds) * spread
    rows = [
        {
            **{"arm": arm, column: point, "fold": fold, "seed": 0, "case": f"{fold}{case}"},
            "value": score + noise[fold] * i + 1e-9 * rng.normal(),  # without any, the noise would be unknown
        }
        for i, (arm, curve) in enumerate(scores.items())
        for point, score in zip(points, curve, strict=True)
        for fold in range(folds)
        for case in range(cases)
    ]
    table = pd.DataFrame(rows).assign(figure="fig3", dataset="toy", preset="quick", metric="dice_foreground")
    return table.assign(n_labels=1) if column == "label_fraction" else table.assign(label_fraction=0.5)


def of_labels(scores, **kwargs):
    table = runs(scores, points=FRACTIONS, column="label_fraction", **kwargs)
    return labels_to_baseline(table, test_to_train=0).set_index("arm")


def of_updates(scores, **kwargs):
    table = runs(scores, points=(10, 20, 40), column="update", cases=1, **kwargs)
    return updates_to_baseline(table, test_to_train=0).set_index("arm")


def test_labels_are_interpolated_along_the_logarithm():
    table = of_labels({"baseline": (0.2, 0.4, 0.6), "rotation": (0.5, 0.7, 0.7)}, spread=0)
    row = table.loc["rotation"]
    assert row["value"] == pytest.approx(np.sqrt(0.1 * 0.5))  # half-way in logarithms
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((row["value"],) * 2)
    assert list(table.loc["baseline", ["value", "ci_low", "ci_high"]]) == pytest.approx([1, 1, 1])
    assert table["n_runs"].tolist() == [5, 5]


def test_an_error_that_falls_is_a_score_that_rises():
    table = runs({"baseline": (0.2, 0.4, 0.6), "cpc": (0.3, 0.5, 0.7)}, points=FRACTIONS, column="label_fraction")
    of_error = labels_to_baseline(table.assign(metric="hd95_foreground", value=9 - table["value"]), test_to_train=0)
    of_score = labels_to_baseline(table, test_to_train=0)
    found = ["value", "ci_low", "ci_high"]
    assert 0.5 < of_score[found].to_numpy()[1, 0] < 1
    np.testing.assert_allclose(of_error[found], of_score[found])
    assert of_error["monotone"].all()


def test_what_lies_beyond_the_range_is_a_bound_or_empty():
    scores = {"baseline": (0.2, 0.4, 0.6), "jigsaw": (0.3, 0.4, 0.5), "rotation": (0.7, 0.8, 0.8)}
    table = of_labels(scores, spread=0.01)
    assert table.loc["jigsaw", ["value", "ci_low", "ci_high"]].tolist() == pytest.approx(
        [np.nan, 1, np.nan], nan_ok=True
    )
    assert table.loc["rotation", ["value", "ci_low", "ci_high"]].tolist() == pytest.approx([0.1, 0, 0.1])
    unsure = of_labels({"baseline": (0.2, 0.4, 0.6), "rotation": (0.55, 0.56, 0.6)}, spread=0.2).loc["rotation"]
    assert (unsure["ci_low"], np.isnan(unsure["ci_high"])) == (0, True)


def test_updates_are_counted_to_the_last_score_of_the_baseline_and_need_five_folds():
    scores = {"baseline": (0.2, 0.4, 0.6), "rotation": (0.3, 0.5, 0.7)}
    row = of_updates(scores).loc["rotation"]
    noise = 0.01 * np.random.default_rng(0).normal(size=5).mean()
    assert row["value"] == pytest.approx(20 + 20 * (0.1 - noise) / 0.2)
    assert 20 < row["ci_low"] < row["value"] < row["ci_high"] < 40
    assert of_updates(scores, folds=4).empty


def test_labels_need_five_runs():
    scores = {"baseline": (0.2, 0.4, 0.6), "rotation": (0.5, 0.7, 0.7)}
    assert of_labels(scores, folds=4).empty
    assert not of_labels(scores, folds=5).empty


def test_a_curve_that_falls_is_flagged():
    table = of_labels({"baseline": (0.2, 0.4, 0.6), "rotation": (0.5, 0.3, 0.7), "cpc": (0.5, 0.6, 0.7)})
    assert table["monotone"].to_dict() == {"baseline": True, "cpc": True, "rotation": False}


def test_passes_of_runs_with_a_few_more_updates_are_taken_together():
    table = runs({"baseline": (0.2, 0.4, 0.6), "cpc": (0.3, 0.6, 0.7)}, points=(10, 20, 30), column="update", cases=1)
    table["update"] += table["update"] // 10 * (table["fold"] == 0)  # an epoch of fold 0 has one update more
    rounded = table.assign(value=table["value"].round(1))
    row = updates_to_baseline(rounded, test_to_train=0).set_index("arm").loc["cpc"]
    assert row["value"] == pytest.approx(20 + 2 / 5)


@pytest.mark.slow
def test_rows_are_those_that_can_be_compared(tmp_path):
    arms = ("baseline", "rotation", "baseline-2d", "rotation-2d")
    skip = [("rotation", 0.25, 1)]
    tables = collect(write_runs(tmp_path / "all", arms, folds=6, cases=3, skip=skip), "dice_foreground")
    assert list(tables.efficiency) == COLUMNS
    assert set(tables.efficiency["arm"]) == set(arms)
    of_labels = tables.efficiency.query("metric == 'dice_foreground' and quantity == 'labels_to_baseline'")
    assert of_labels.set_index("arm")["n_runs"].to_dict() == {**dict.fromkeys(arms, 6), "rotation": 5}
    updates = tables.efficiency.query("quantity == 'updates_to_baseline'")
    assert set(updates["metric"]) == {"dice_foreground"}  # what is followed during training
    # No baseline, or none with all labels.
    five = {"folds": 5, "cases": 2}
    assert collect(write_runs(tmp_path / "none", ("rotation",), **five), "dice_foreground").efficiency.empty
    tables = collect(write_runs(tmp_path / "few", arms[:2], fractions=(0.05, 0.25), **five), "dice_foreground")
    assert set(tables.efficiency["quantity"]) == {"updates_to_baseline"}


def test_2d_arms_are_compared_with_the_2d_baseline():
    scores = {"baseline": (0.2, 0.4, 0.9), "baseline-2d": (0.2, 0.4, 0.6), "rotation-2d": (0.5, 0.7, 0.7)}
    assert of_labels(scores, spread=0).loc["rotation-2d", "value"] == pytest.approx(np.sqrt(0.1 * 0.5))


def test_refuses_runs_that_were_scored_on_other_cases():
    table = runs({"baseline": (0.2, 0.4, 0.6), "cpc": (0.3, 0.6, 0.7)}, points=FRACTIONS, column="label_fraction")
    changed = (table["arm"] == "cpc") & (table["label_fraction"] == 0.1) & (table["case"] == "01")
    with pytest.raises(DataError, match="cpc and baseline were scored on different test cases"):
        labels_to_baseline(table.assign(case=table["case"].mask(changed, "other")), test_to_train=0)
