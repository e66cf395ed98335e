"""A figure with another encoder of ours, through the real command on a tiny phantom, and what is exported of it."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from commands import TINY, exit_status, reproduce


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["residual", pytest.param("swin", marks=pytest.mark.long)])
def test_another_encoder_goes_through_a_whole_figure(encoder: str, tmp_path: Path) -> None:
    arms = ["baseline", "mae-decoder", "rotation", "baseline-2d"]
    options = ["--preset", TINY, "--arms", *arms, "--fractions", "1", "--encoder", encoder]
    assert reproduce(tmp_path, "fig3", *options) == 0
    results = pd.read_csv(tmp_path / "out" / "fig3" / f"phantom-tiny-{encoder}" / "results.csv")
    assert set(results["arm"]) == set(arms)
    runs = tmp_path / "runs" / "fig3" / f"phantom-tiny-{encoder}"
    tuned = runs / "mae-decoder" / "fold0" / "seed0" / "100"
    assert "decoder tensors from" in (tuned / "run.log").read_text()
    out = tmp_path / "for-nnunet"
    assert exit_status("export", tuned, out, "--format", "nnunet") == (0 if encoder == "residual" else 2)
    if encoder == "residual":
        weights = torch.load(out / "checkpoint_final.pth", weights_only=True)["network_weights"]
        assert {name.partition(".")[0] for name in weights} == {"encoder", "decoder"}
