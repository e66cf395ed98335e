"""The objectives beside the published five, through the real command on tiny phantoms, in 3-D, on slices and in 2-D."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from commands import TINY, reproduce
from PIL import Image

from sslmed.experiments.experiment import read_experiment


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.usefixtures("in_one_process")
@pytest.mark.parametrize(
    ("figure", "preset", "more"), [("fig3", "tiny", ["mae-decoder-2d"]), ("fig4", "tiny-fundus", [])]
)
def test_they_run_to_the_figure_and_log_what_chance_costs(
    figure: str, preset: str, more: list[str], tmp_path: Path
) -> None:
    options = ["--preset", TINY.with_name(preset), "--arms", "@modern", *more, "--fractions", "1", "--folds", "0"]
    assert reproduce(tmp_path, figure, *options) == 0
    arms = [*read_experiment(figure).groups["modern"], *more]
    assert set(pd.read_csv(tmp_path / "out" / figure / f"phantom-{preset}" / "results.csv")["arm"]) == set(arms)
    for arm in arms:
        folder = tmp_path / "runs" / figure / f"phantom-{preset}" / arm / "fold0"
        if arm == "baseline":
            continue
        record = json.loads((folder / "pretrain" / "results.json").read_text())
        assert math.isfinite(record["val_loss"])
        assert record["chance_loss"] > 0
        with Image.open(folder / "pretrain" / "answers.png") as picture:
            assert picture.width > 100
        log = (folder / "seed0" / "100" / "run.log").read_text()
        assert "encoder tensors from" in log
        assert ("decoder tensors from" in log) == ("-decoder" in arm)
