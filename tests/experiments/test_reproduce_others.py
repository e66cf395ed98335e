"""The other figures on tiny phantoms: regions of several channels, slices of volumes, photographs, external pools."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import TINY, exit_status, reproduce
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.usefixtures("in_one_process")]


def _reproduce(figure: str, folder: Path, preset: str, arms: list[str], *options: str) -> int:
    chosen = ["--preset", TINY.with_name(preset), "--arms", *arms, "--fractions", "0.4", "1"]
    return reproduce(folder, figure, *chosen, *options)


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
        ".lock",
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
    assert exit_status("predict", "-c", run / "config.yaml") == 0
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


def test_supervised_pretraining_on_another_labelled_dataset(decathlon_dataset, tmp_path: Path, capsys) -> None:
    """Of other classes and channels; the decoder is handed over as well, and slices work."""
    source = decathlon_dataset(
        "Brain", labelled=10, unlabelled=2, modalities=("T1", "T2"), labels=("background", "core", "rim")
    )
    arms = ["baseline", "supervised-decoder", "supervised-2d"]
    assert _reproduce("fig3", tmp_path, "tiny", arms) == 2
    assert "give it by --source" in capsys.readouterr().err
    assert _reproduce("fig3", tmp_path, "tiny", arms, "--source", str(source)) == 0
    assert _reproduce("fig3", tmp_path, "tiny", arms, "--source", str(source), "--dry-run") == 0
    assert f"labelled source: {source}: pretraining sees images and labels of 9 cases" in capsys.readouterr().out
    work, out = (tmp_path / folder / "fig3" / "phantom-tiny" for folder in ("runs", "out"))
    for arm in arms[1:]:
        folder = work / arm / "fold0"
        record = json.loads((folder / "pretrain" / "results.json").read_text())
        assert (record["kind"], record["source"]) == ("pretrain", "Brain")
        assert record["images"] == {"used": 9, "for validation": 1}
        assert 0 < record["chance_loss"] < 5
        log = (folder / "seed0" / "100" / "run.log").read_text()
        assert "adapted from 2 to 1 input channels" in log
        assert ("decoder tensors from" in log) == ("-decoder" in arm)
    assert "Supervised: pretrained on the labels of Brain, 10 cases." in (out / "fig3.svg").read_text()
    results = pd.read_csv(out / "results.csv")
    assert set(results["arm"]) == set(arms)

    # Frozen encoders are an experiment of their own.
    assert _reproduce("fig3", tmp_path, "tiny", arms[:2], "--source", str(source), "--finetuning", "frozen") == 0
    apart = out.with_name("phantom-tiny-frozen")
    assert set(pd.read_csv(apart / "results.csv")["arm"]) == set(arms[:2])
    for page in ("fig3.svg", "report.html"):
        assert "Frozen encoders" in (apart / page).read_text()
        assert "Frozen encoders" not in (out / page).read_text()

    # A part that does not name the source shows its arms all the same; another label makes them stale.
    assert _reproduce("fig3", tmp_path, "tiny", ["baseline"]) == 0
    assert "finished runs have other" not in capsys.readouterr().err
    assert pd.read_csv(out / "results.csv").equals(results)
    shutil.copy(source / "labelsTr" / "case_01.nii.gz", source / "labelsTr" / "case_00.nii.gz")
    assert _reproduce("fig3", tmp_path, "tiny", arms[1:2], "--source", str(source)) == 0
    assert "the data have changed; sets 3 old runs aside" in capsys.readouterr().err

    # An image that is tested on is refused.
    drawn = next((tmp_path / "downloads").glob("phantom-pancreas-*"))
    assert _reproduce("fig3", tmp_path, "tiny", ["supervised"], "--source", str(drawn)) == 2
    assert "holds labelled images of " in capsys.readouterr().err


def test_supervised_pretraining_on_labels_of_another_kind_and_weights_from_a_file(tmp_path: Path, caplog) -> None:
    rows = ["image,value"]
    generator = np.random.default_rng(0)
    (tmp_path / "ages").mkdir()
    for number in range(6):
        pixels = generator.integers(0, 255, (30, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "ages" / f"{number}.png")
        rows.append(f"{number}.png,{number}")
    (tmp_path / "ages" / "table.csv").write_text("\n".join(rows))
    assert _reproduce("fig4", tmp_path, "tiny-fundus", ["supervised"], "--source", str(tmp_path / "ages")) == 0
    work = tmp_path / "runs" / "fig4" / "phantom-tiny-fundus"
    pretraining = work / "supervised" / "fold0" / "pretrain"
    assert "class_path: sslmed.downstream.Regression" in (pretraining / "config.yaml").read_text()

    shutil.copy(pretraining / "checkpoints" / "last.ckpt", tmp_path / "weights.pth")
    (tmp_path / "theirs.yaml").write_text("model: {init_args: {pretrained: {checkpoint: weights.pth}}}")
    assert _reproduce("fig4", tmp_path, "tiny-fundus", [str(tmp_path / "theirs.yaml")]) == 0
    log = (work / "theirs" / "fold0" / "seed0" / "100" / "run.log").read_text()
    assert f"encoder tensors from {tmp_path / 'weights.pth'}" in log
    assert "which images it has seen is not known" in caplog.text
    figure = (tmp_path / "out" / "fig4" / "phantom-tiny-fundus" / "fig4.svg").read_text()
    assert "theirs: weights of weights.pth (SHA-256" in figure
    assert "Supervised: pretrained on the labels of ages, 6 cases." in figure


def test_supervised_pretraining_on_a_phantom_is_on_other_patients(tmp_path: Path, capsys) -> None:
    assert _reproduce("fig3", tmp_path, "tiny", ["supervised"], "--source", "phantom", "--dry-run") == 0
    assert "-seed1 (not here yet: it will be generated)" in capsys.readouterr().out
    assert _reproduce("fig3", tmp_path, "tiny", ["supervised"], "--source", "phantom") == 0
    fold = tmp_path / "runs" / "fig3" / "phantom-tiny" / "supervised" / "fold0"
    record = json.loads((fold / "pretrain" / "results.json").read_text())
    assert (record["source"], record["images"]) == ("phantom-seed1", {"used": 10, "for validation": 2})
    assert "encoder tensors from" in (fold / "seed0" / "100" / "run.log").read_text()
    first, second = (json.loads((fold / run / "data.json").read_text())["digests"] for run in ("pretrain", "seed0/100"))
    assert not {*first.values()} & {*second.values()}
