"""The other figures on tiny phantoms: regions of several channels, slices of volumes, photographs, external pools."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sslmed import cli

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


def _reproduce(figure: str, folder: Path, preset: str, arms: list[str], *options: str) -> int:
    places = [f"--{name}={folder / name}" for name in ("runs", "out", "downloads")]
    chosen = ["--preset", str(HERE / preset), "--arms", *arms, "--fractions", "0.4", "1"]
    with pytest.raises(SystemExit) as end:
        cli.main(["reproduce", figure, *chosen, *places, *options])
    return int(end.value.code or 0)


def test_figure_2_scores_regions_of_four_channels_in_3d_and_2d_also_after_pretraining_on_two(
    decathlon_dataset, tmp_path: Path
) -> None:
    pool = decathlon_dataset("UKB", labelled=0, unlabelled=6, modalities=("T1", "T2-FLAIR"))
    arms = ["baseline", "rotation-external", "baseline-2d", "jigsaw-2d"]
    assert _reproduce("fig2", tmp_path, "tiny", arms, "--pool", str(pool)) == 0
    results = pd.read_csv(tmp_path / "out" / "fig2" / "phantom-tiny" / "results.csv")
    for metric in ("dice_wt", "dice_tc", "dice_et", "dice_foreground", "dice_foreground_native"):
        values = results[results["metric"] == metric]
        assert len(values) == len(arms) * 2
        assert values["value"].between(0, 1).all()
    dims = results.groupby("arm")["spatial_dims"].unique().explode()
    assert dims.to_dict() == {"baseline": 3, "rotation-external": 3, "baseline-2d": 2, "jigsaw-2d": 2}
    summary = pd.read_csv(tmp_path / "out" / "fig2" / "phantom-tiny" / "summary.csv")
    assert summary["diff"].isna().all()  # of few runs
    log = tmp_path / "runs" / "fig2" / "phantom-tiny" / "rotation-external" / "fold0" / "seed0" / "40" / "run.log"
    assert "adapted from 2 to 4 input channels" in log.read_text()


def test_figure_4_grades_photographs_also_after_pretraining_on_any_folder_of_images(
    aptos_dataset, tmp_path: Path, capsys
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(aptos_dataset(grades=(0,) * 6, side=30) / "train_images", pool / "deep" / "down")
    (pool / "broken.png").write_bytes(b"left out, and reported")
    arms = ["baseline", "cpc", "exemplar-external"]
    assert _reproduce("fig4", tmp_path, "tiny-fundus", arms, "--pool", str(pool)) == 0
    assert "broken.png" in capsys.readouterr().err
    out = tmp_path / "out" / "fig4" / "phantom-tiny-fundus"
    tables = {f"{name}.csv" for name in ("results", "cases", "summary", "tests", "null_bands", "efficiency")}
    assert {path.name for path in out.iterdir()} == {
        *tables,
        "fig4.png",
        "fig4.svg",
        "fig4.pdf",
        "fig4-caption.txt",
        "report.html",
    }
    results = pd.read_csv(out / "results.csv")
    assert results["value"].notna().all()
    assert set(results["metric"]) == {"qwk", "accuracy", "auroc"}
    cases = pd.read_csv(out / "cases.csv", dtype={"case": str})
    assert set(cases["metric"]) == {"truth", "prediction", *(f"probability_{grade}" for grade in range(5))}
    wide = cases[(cases["arm"] == "cpc") & (cases["label_fraction"] == 1)].pivot(
        index="case", columns="metric", values="value"
    )
    assert len(wide) == 15
    np.testing.assert_allclose(wide[[f"probability_{grade}" for grade in range(5)]].sum(axis=1), 1, atol=1e-5)
    accuracy = results[(results["arm"] == "cpc") & (results["label_fraction"] == 1) & (results["metric"] == "accuracy")]
    assert accuracy["value"].item() == pytest.approx((wide["truth"] == wide["prediction"]).mean())
    run = tmp_path / "runs" / "fig4" / "phantom-tiny-fundus" / "cpc" / "fold0" / "seed0" / "100"
    assert json.loads((run / "results.json").read_text())["n_labels"] == 24
    with pytest.raises(SystemExit) as end:
        cli.main(["predict", "-c", str(run / "config.yaml")])
    assert not end.value.code
    predictions = pd.read_csv(run / "predictions.csv")
    assert len(predictions) == 15 + 2

    # A part that does not name the pool shows what was pretrained on it all the same.
    assert _reproduce("fig4", tmp_path, "tiny-fundus", ["baseline"]) == 0
    assert "finished runs have other" not in capsys.readouterr().err
    assert pd.read_csv(out / "results.csv").equals(results)

    # The same pool with an image that is tested on is refused, whatever it is called, and however compressed.
    drawn = next((tmp_path / "downloads").glob("phantom-fundus-*"))
    Image.open(sorted((drawn / "train_images").iterdir())[0]).save(pool / "harmless.png", compress_level=1)
    assert _reproduce("fig4", tmp_path, "tiny-fundus", [*arms, "rpl-external"], "--pool", str(pool)) == 2
    assert "harmless is " in capsys.readouterr().err
