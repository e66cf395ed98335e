"""Intervals of a method against itself, trained through the code of `sslmed reproduce`: see `scripts/null_arms.py`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "null_arms.py"
EXPERIMENTS = 24


@pytest.mark.slow
@pytest.mark.long
def test_a_method_does_not_differ_from_itself_and_folds_are_independent(tmp_path: Path) -> None:
    options = ["--experiments", str(EXPERIMENTS), "--fractions", "1", "--out", str(tmp_path)]
    ended = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=True)
    (found,) = json.loads(ended.stdout.splitlines()[-1])
    assert found["experiments"] == EXPERIMENTS
    assert found["sd_of_difference"] > 0.01  # the arms are not the same
    assert found["false_positives"] <= 2 / EXPERIMENTS
    assert found["coverage"] >= 1 - 4 / (2 * EXPERIMENTS)
    # The ratio is F-distributed with 23 and 96 degrees of freedom: above 2.4 once in 500 times. Were initial weights
    # and batches the same in all folds, which is half of the variance, it would be about 6.
    assert found["variance_ratio"] < 2.4
