"""What labels are decides what is done: every kind of them, of volumes and of photographs, through the real command."""

from pathlib import Path

import pandas as pd
import pytest
from commands import reproduce
from generated_tables import CLASSES, write_table

FOLDER = Path(__file__).parent
PRESETS = {"segmentation": "tiny", "classification": "tiny-fundus", "regression": "tiny-fundus"}
METRICS = {
    "segmentation": {"dice_foreground", "dice_foreground_native", "dice_paper"},
    "classification": {"auroc", "accuracy", "qwk"},
    "regression": {"mae", "r2"},
}
SHOWN = {"segmentation": "Dice", "classification": "Confusion matrix", "regression": "Predicted and true values"}
BINARY = ("0", "1")


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("dims", "figure", "columns", "classes", "arms"),
    [
        pytest.param(2, "segmentation", ["mask"], CLASSES, ["jigsaw"], marks=pytest.mark.long),
        (3, "segmentation", ["mask", "class"], CLASSES, ["baseline-2d", "cpc-2d"]),
        pytest.param(2, "classification", ["class"], BINARY, ["cpc"], marks=pytest.mark.long),
        pytest.param(2, "classification", ["class", "value"], CLASSES, ["exemplar"], marks=pytest.mark.long),
        pytest.param(3, "classification", ["class"], CLASSES, ["jigsaw"], marks=pytest.mark.long),
        (2, "regression", ["value"], CLASSES, ["rpl"]),
        pytest.param(3, "regression", ["value", "mask"], CLASSES, ["rotation"], marks=pytest.mark.long),
    ],
)
def test_every_kind_of_labels_runs_to_its_figure(dims, figure, columns, classes, arms, tmp_path: Path) -> None:
    data = write_table(tmp_path / "mine", dims, columns, cases=24, classes=classes)
    options = ["--arms", "baseline", *arms, "--fractions", "0.5", "1", "--wandb", "offline"]
    assert reproduce(tmp_path, figure, "--data", data, "--preset", FOLDER / PRESETS[figure], *options) == 0
    name = f"mine-{PRESETS[figure]}"
    out = tmp_path / "out" / figure / name
    results = pd.read_csv(out / "results.csv")
    assert set(results["arm"]) == {"baseline", *arms}
    assert METRICS[figure] <= set(results["metric"])
    assert set(results.loc[results["arm"] == "baseline", "spatial_dims"]) == {dims}
    summary = pd.read_csv(out / "summary.csv")
    assert summary["mean"].notna().all()
    assert (summary["ci_low"] <= summary["mean"]).all()
    report = (out / "report.html").read_text()
    assert SHOWN[figure] in report
    assert (out / f"{figure}.png").is_file()
    if figure == "classification":
        natural = ", ".join(sorted(classes, key=[*BINARY, "healthy", "stage 2", "stage 10"].index))
        assert f"<dt>Classes</dt><dd>{natural}</dd>" in report
    assert list((tmp_path / "runs" / figure / name).rglob("offline-run-*"))
