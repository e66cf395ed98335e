"""`sslmed predict --model --images --out`: answers as the run gave them, for any images, in any number of commands."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from commands import exit_status
from PIL import Image
from trained_runs import FINETUNED, MAPS, Trained

from sslmed import load
from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.best_arm import best_arm
from sslmed.experiments.finished import finished_runs
from sslmed.experiments.runs import Run, write_plan
from sslmed.prediction import predict as command


def predict(model: Path | Sequence[Path], images: Path | Sequence[Path], out: Path, *options: str) -> int:
    models, images = ([each] if isinstance(each, Path) else each for each in (model, images))
    return exit_status("predict", "--model", *models, "--images", *images, "--out", out, *options)


def table(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "predictions.csv", index_col="case")


def voxels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path) if path.suffix in (".png", ".tif") else nib.load(path).dataobj)


@pytest.mark.parametrize(
    "kind", ["crops", *(pytest.param(each, marks=pytest.mark.slow) for each in FINETUNED if each != "crops")]
)
def test_a_run_that_was_copied_and_its_export_answer_as_the_run_did(trained: Trained, tmp_path, kind) -> None:
    image = trained.images[kind]
    assert exit_status("export", trained[kind], tmp_path / "export") == 0
    for name, model in (("run", trained[kind]), ("export", tmp_path / "export")):
        out = tmp_path / name
        options = ["--probabilities"] if kind != "regression" else []
        assert predict(model, image, out, *options) == 0
        (row,) = table(out).to_dict("records")
        assert row["file"] == str(image)
        assert row["in_training_data"] == ("no" if name == "run" else "unknown")
        if kind in MAPS:
            for path in out.glob("*_probability_*"):
                np.testing.assert_allclose(voxels(path), voxels(tmp_path / "run" / path.name), atol=1e-5)
            written = next((trained[kind] / "predictions").glob(f"*{trained.case(kind)}.*"))
            np.testing.assert_array_equal(voxels(out / row["mask"]), voxels(written))
            maps = [voxels(path) for path in sorted(out.glob("*_probability_*"))]
            np.testing.assert_allclose(np.sum(maps, axis=0), 1, atol=1e-5)
            labels = sorted(load(model).description.recipe.label_names)
            np.testing.assert_array_equal(np.array(labels)[np.argmax(maps, axis=0)], voxels(out / row["mask"]))
            continue
        rows = pd.read_csv(trained[kind] / "predictions.csv")
        (expected,) = (row for _, row in rows.iterrows() if row["case"].endswith(trained.case(kind)))
        if kind == "regression":
            assert predict(model, image, tmp_path / "none", "--probabilities") == 2
            assert row["value"] == pytest.approx(expected["prediction"], rel=1e-5)
        else:
            names = [*load(model).description.recipe.label_names.values()]
            assert str(row["class"]) == names[expected["prediction"]]
            given = [row[f"probability_{name}"] for name in names]
            assert given == pytest.approx(expected.filter(like="probability").tolist(), abs=1e-5)


def turned(path: Path, folder: Path, axes: str, *, tilted: bool) -> Path:
    """Write a scan with its axes in another order and direction, and perhaps the whole of it tilted in space."""
    image = nib.load(path)
    turn = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(tuple(axes)))
    image = image.as_reoriented(turn)
    angle = 0.2 * tilted
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    image.set_sform(tilt @ image.affine, 2)
    image.set_qform(tilt @ image.affine, 1)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, folder / f"{axes}.nii.gz")
    return folder / f"{axes}.nii.gz"


@pytest.mark.parametrize("tilted", [False, True])
@pytest.mark.parametrize("network", ["segmentation", "crops"])
def test_a_mask_overlays_its_scan_in_simpleitk_however_that_lies(trained: Trained, tmp_path, network, tilted) -> None:
    import SimpleITK

    scans = tmp_path / "scans"
    scans.mkdir()
    for axes in ("RAS", "LAS", "LPS", "SPL", "AIR"):
        turned(trained.learned, scans, axes, tilted=tilted)
    assert predict(trained[network], scans, tmp_path / "out", "--probabilities") == 0
    maps = []
    for name in table(tmp_path / "out")["mask"]:
        scan, mask = (SimpleITK.ReadImage(folder / name) for folder in (scans, tmp_path / "out"))
        maps.append(SimpleITK.ReadImage(tmp_path / "out" / name.replace(".nii", "_probability_1.nii")))
        for written in (mask, maps[-1]):
            for place in ("GetSize", "GetOrigin", "GetSpacing", "GetDirection"):
                assert getattr(written, place)() == getattr(scan, place)()
        headers = [nib.load(folder / name).header for folder in (scans, tmp_path / "out")]
        for field in ("qform_code", "sform_code", "srow_x", "quatern_b", "xyzt_units", "pixdim"):
            np.testing.assert_array_equal(headers[0][field], headers[1][field])
    first, *others = maps
    expected = SimpleITK.GetArrayFromImage(first)
    assert expected.std() > 1e-3
    for other in others:  # lies at the same place in space
        moved = SimpleITK.Resample(other, first, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor, -1.0)
        np.testing.assert_allclose(SimpleITK.GetArrayFromImage(moved), expected, atol=expected.std() / 20)


@pytest.fixture
def scans(trained: Trained, tmp_path: Path) -> Path:
    """Three scans of one name in different folders, the second one unknown to the network."""
    folder = tmp_path / "scans"
    for name in ("p1/day 1/ct.nii", "p2/ct.nii.gz", "p3/ct.nii.gz"):
        (folder / name).parent.mkdir(parents=True)
        nib.save(nib.load(trained.images["segmentation"] if "p2" in name else trained.learned), folder / name)
    (folder / "p2" / "notes.txt").write_text("no image")
    return folder


NAMES = ["p1/day 1/ct", "p2/ct", "p3/ct"]


def test_the_folder_of_the_images_is_mirrored_and_no_name_is_lost(trained: Trained, scans, tmp_path, caplog) -> None:
    before = {path: path.stat().st_mtime_ns for path in scans.rglob("*")}
    caplog.set_level("INFO")
    assert predict(trained["segmentation"], scans, tmp_path / "out") == 0
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    written.remove(".lock")
    assert written == {*(f"{name}.nii.gz" for name in NAMES), "predictions.csv", "predictions.jsonl"}
    assert {path: path.stat().st_mtime_ns for path in scans.rglob("*")} == before
    rows = table(tmp_path / "out")
    assert [*rows.index] == NAMES
    assert [*rows["in_training_data"]] == ["yes", "no", "yes"]
    assert "2 of 3 images are in the training data of a network (p1/day 1/ct, p3/ct)" in caplog.text


@pytest.mark.parametrize("given", ["files", "table", "folders", "dataset"])
def test_images_come_from_files_tables_folders_and_datasets(trained: Trained, scans, tmp_path, given) -> None:
    paths = [path.relative_to(scans) for path in sorted(scans.rglob("*.nii*"))]
    expected = NAMES
    if given == "files":  # two that differ by their extension alone
        paths.append(Path("p3/ct.nii"))
        nib.save(nib.load(trained.learned), scans / paths[-1])
        expected = [*NAMES[:2], "p3/ct.nii", "p3/ct.nii.gz"]
    (tmp_path / "table.csv").write_text("image,who\n" + "".join(f"scans/{path},somebody\n" for path in paths))
    if given == "dataset":
        named = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "organ"}}
        listed = {"name": "mine", "training": [], "test": [*map(str, paths)]}
        (scans / "dataset.json").write_text(json.dumps(named | listed))
    images = {
        "files": [scans / path for path in paths],
        "table": [tmp_path / "table.csv"],
        "folders": [scans / "p1", scans / "p2", scans / "p3" / "ct.nii.gz", scans / "p3"],
        "dataset": [scans],
    }[given]
    assert predict(trained["segmentation"], images, tmp_path / "out") == 0
    prefix = "scans/" if given == "table" else ""
    assert [*table(tmp_path / "out").index] == [f"{prefix}{name}" for name in expected]


@pytest.mark.slow
def test_a_kill_costs_no_image_twice_and_what_changed_is_done_again(
    trained: Trained, scans, tmp_path, monkeypatch, caplog, capsys
) -> None:
    out, done, write = tmp_path / "out", [], command.write_answer
    caplog.set_level("INFO")

    def interrupted(out, image, *others, **options):
        if done:
            raise KeyboardInterrupt
        return counted(out, image, *others, **options)

    def counted(out, image, *others, **options):
        done.append(image.name)
        return write(out, image, *others, **options)

    def again(*options: str) -> list[str]:
        done.clear()
        assert predict(trained["segmentation"], scans, out, *options) == 0
        return done

    monkeypatch.setattr(command, "write_answer", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict(trained["segmentation"], scans, out)
    with (out / "predictions.jsonl").open("a") as file:
        file.write('{"case": "p2/ct", "path"')  # a line that a kill cut off
    monkeypatch.setattr(command, "write_answer", counted)
    assert again() == NAMES[1:]
    assert "1 of 3 images are predicted already" in caplog.text
    rows = table(out)
    assert [*rows.index] == NAMES
    assert again() == []
    pd.testing.assert_frame_equal(table(out), rows)
    (out / "p3" / "ct.nii.gz").unlink()
    assert again() == NAMES[2:]
    shutil.copy(trained.images["segmentation"], scans / "p3" / "ct.nii.gz")
    assert again() == NAMES[2:]
    rows = table(out)
    for options in (["--probabilities"], ["--flips"]):
        assert predict(trained["segmentation"], scans, out, *options) == 2
        assert "holds predictions by other models or with other options; choose another" in capsys.readouterr().err
        assert predict(trained["segmentation"], scans, tmp_path / options[0], *options) == 0
        assert len([*(tmp_path / options[0]).rglob("*_probability_*")]) == 9 * (options == ["--probabilities"])
    pd.testing.assert_frame_equal(table(out), rows)  # masks may have been corrected by hand
    assert all((out / f"{name}.nii.gz").is_file() for name in NAMES)


def changed(run: Path, folder: Path, noise: float = 0.3) -> Path:
    """Copy a run, with other weights."""
    shutil.copytree(run, folder)
    generator = torch.Generator().manual_seed(1)
    for path in (folder / "checkpoints").glob("*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        for value in checkpoint["state_dict"].values():
            if value.is_floating_point():
                value *= 1 + noise * torch.rand(value.shape, generator=generator)
        torch.save(checkpoint, path)
    return folder


def test_an_ensemble_with_flips_is_the_mean_of_probabilities(trained: Trained, tmp_path) -> None:
    models = [trained["classification"], changed(trained["classification"], tmp_path / "other")]
    image, sizes = trained.images["classification"], []
    for flips in (False, True):
        expected = []
        for model in map(load, models):
            prepared, _ = model.prepare(image)
            for axes in product([False, True], repeat=2) if flips else [(False, False)]:
                flipped = np.flip(prepared, [1 + axis for axis in range(2) if axes[axis]]).astype(np.float32)
                with torch.inference_mode():
                    logits = model(torch.from_numpy(flipped.copy())[None])
                expected.append(model.network.objective.probabilities(logits)[0].numpy())
        out = tmp_path / f"out {flips}"
        assert predict(models, image, out, "--probabilities", *(["--flips"] if flips else [])) == 0
        given = table(out).filter(like="probability").to_numpy()[0]
        np.testing.assert_allclose(given, np.mean(expected, axis=0), atol=1e-6)
        sizes.append(len(expected))
        assert np.ptp(expected, axis=0).max() > 1e-3
    assert sizes == [2, 8]


def test_an_experiment_stands_for_the_arm_that_is_best_in_validation(
    trained: Trained, tmp_path, caplog, capsys
) -> None:
    """Another is better on test cases and earlier in training; others have fewer folds, other folds or fewer labels,
    or are a null arm.

    With fewer labels, all are better. Of two, settings or data have changed since, and one is in no plan: they
    are in no table either.
    """
    work, plan = tmp_path / "runs", list[Run]()
    fingerprint = json.loads((trained["segmentation"] / "data.json").read_text())["fingerprint"]
    scores = {
        "baseline": (0.6, 0.1),
        "rotation": (0.5, 0.9),
        "jigsaw": (0.99, 0.9),
        "null-1": (0.99, 0.9),
        "cpc": (0.99, 0.9),
        "voco": (0.99, 0.9),
    }
    scores |= dict.fromkeys(("other-settings", "other-data", "removed"), (0.99, 0.9))
    for arm, (validation, test) in scores.items():
        for fold, percent in product((0, 2) if arm == "cpc" else (0, 1), ("100", "25")):
            if (arm, fold) == ("jigsaw", 1) or (arm, percent) == ("voco", "100"):
                continue
            run = work / arm / f"fold{fold}" / "seed0" / percent
            changed(trained["segmentation"], run, noise=0.1 * fold)
            results = json.loads((run / "results.json").read_text())
            last = results["validation"][-1] | {"val/dice_foreground": validation if percent == "100" else 1.0}
            results["validation"] = [last | {"val/dice_foreground": 0.7} if arm == "rotation" else last, last]
            results["metrics"]["dice_foreground"] = test
            (run / "results.json").write_text(json.dumps(results))
            if arm != "removed":
                key, data = "old" * (arm == "other-settings"), "old" if arm == "other-data" else fingerprint
                name, amount = str(run.relative_to(work)), LabelAmount.from_path(percent)
                plan.append(Run(arm, fold, 0, amount, name, job=arm, needs=None, arguments=(), key=key, data=data))
    write_plan(work / "plan.json", plan)
    shutil.copytree(work / "rotation" / "fold0", work / "rotation" / "fold0.old")
    image = trained.images["segmentation"]
    caplog.set_level("INFO")
    assert predict(work, image, tmp_path / "out") == 0
    chosen = "takes the 2 networks of the arm baseline with 100 % of the labels"
    assert f"{chosen}, whose dice_foreground in validation is 0.600 (rotation 0.500)" in caplog.text
    assert "in their test cases, which had no part in this choice, it is 0.100" in caplog.text
    assert "without finished runs of all these folds, seeds and labels are left out: cpc, jigsaw, voco" in caplog.text
    caplog.clear()
    best_arm(work, finished_runs(work), to_train=True)
    assert "trains the arm baseline, the best with 100 % of the labels, whose dice_foreground in val" in caplog.text
    assert "takes" not in caplog.text
    assert "test cases" not in caplog.text
    for path in work.rglob("config.yaml"):
        path.write_text(re.sub("^select: last$", "select: best", path.read_text(), flags=re.MULTILINE))
    assert predict(work, image, tmp_path / "best") == 0
    assert "whose dice_foreground in validation is 0.700 (baseline 0.600)" in caplog.text
    (work / "results.csv").write_text("")
    (work / "plan.json").unlink()
    assert predict(work, image, tmp_path / "new") == 2
    assert "holds tables; give the runs of this experiment, as runs/" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("crops", "window (none there, [8, 8, 8] here), geometry (cube there, spacing here)"),
        ("slices", "dimensions of the network (3 there, 2 here)"),
        ("classification", "task (sslmed.downstream.Segmentation there, sslmed.downstream.Classification here)"),
        ("rotation", "predicts nothing"),
    ],
)
def test_networks_that_do_not_go_together_are_refused(trained: Trained, tmp_path, capsys, other, words) -> None:
    models = [trained["segmentation"], trained[other]]
    assert predict(models, trained.images["segmentation"], tmp_path / "out") == 2
    message = capsys.readouterr().err
    assert words in message
    assert len(message.splitlines()) == 1
    assert message.startswith(str(trained[other]))
    assert not [*tmp_path.iterdir()]


def test_a_bad_image_among_many_is_named_at_the_end(trained: Trained, scans, tmp_path, capsys) -> None:
    (scans / "p1" / "broken.nii.gz").write_bytes((scans / "p2" / "ct.nii.gz").read_bytes()[:200])
    assert predict(trained["segmentation"], scans, tmp_path / "out") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"{scans / 'p1' / 'broken.nii.gz'}: is truncated")
    assert [*table(tmp_path / "out").index] == NAMES


def test_an_image_that_can_no_longer_be_read_loses_its_row(trained: Trained, scans, tmp_path) -> None:
    changed, out = scans / "p2" / "ct.nii.gz", tmp_path / "out"
    whole = changed.read_bytes()
    assert predict(trained["segmentation"], scans, out) == 0
    changed.write_bytes(whole[:200])
    assert predict(trained["segmentation"], scans, out) == 1
    assert [*table(out).index] == [name for name in NAMES if name != "p2/ct"]
    changed.write_bytes(whole)
    assert predict(trained["segmentation"], scans, out) == 0
    assert [*table(out).index] == NAMES
    alone = tmp_path / "alone"
    assert predict(trained["segmentation"], changed, alone) == 0
    changed.write_bytes(whole[:200])
    assert predict(trained["segmentation"], changed, alone) == 2
    assert not (alone / "predictions.csv").exists()


@pytest.mark.slow
def test_two_commands_at_once_into_one_folder_lose_no_row(trained: Trained, scans, tmp_path, monkeypatch) -> None:
    out, write = tmp_path / "out", command.write_answer

    def while_another_starts(*arguments, **options):
        answer = write(*arguments, **options)
        if not others:
            other = [sys.executable, "-m", "sslmed", "predict", "--model", trained["segmentation"], "--out", out]
            others.append(subprocess.Popen([*other, "--images", scans / "p3"], stderr=subprocess.PIPE, text=True))
            for line in others[0].stderr:
                if "waiting for another command" in line:
                    break
        return answer

    others: list[subprocess.Popen[str]] = []
    monkeypatch.setattr(command, "write_answer", while_another_starts)
    assert predict(trained["segmentation"], [scans / "p1", scans / "p2"], out) == 0
    others[0].communicate()
    assert others[0].returncode == 0
    assert len(table(out)) == 3


def test_nothing_is_written_among_the_images_or_over_other_ones(trained: Trained, scans, tmp_path, capsys) -> None:
    model = trained["segmentation"]
    (tmp_path / "link").symlink_to(scans / "p1")
    before = sorted(scans.rglob("*"))
    inside = [
        (scans, scans),
        (scans, scans / "new"),
        (scans, tmp_path / "link" / "new"),
        (scans / "p2" / "ct.nii.gz", scans / "p2"),
    ]
    for images, out in inside:
        assert predict(model, images, out) == 2
        assert "is in a folder of the images; choose a folder elsewhere" in capsys.readouterr().err
    assert sorted(scans.rglob("*")) == before
    assert predict(model, scans / "p2" / "ct.nii.gz", scans / "new") == 0  # not in the folder of one file
    assert predict(model, scans / "p1" / "day 1" / "ct.nii", scans / "new") == 2
    assert f"holds ct of another image, {scans / 'p2' / 'ct.nii.gz'}; choose another folder" in capsys.readouterr().err


def test_the_commands_of_the_docs_run(trained: Trained, tmp_path, monkeypatch) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "models.md").read_text().split("## Predict new images")[1]
    commands = [shlex.split(line) for line in docs.splitlines() if line.startswith("sslmed predict --")]
    assert len(commands) >= 3
    monkeypatch.chdir(tmp_path)
    experiment, name = Path("runs/segmentation/mine-sound"), "baseline/fold0/seed0/100"
    for place in ("runs/my-segmentation", experiment / name):
        shutil.copytree(trained["segmentation"], place)
    amount = LabelAmount.from_path("100")
    run = Run("baseline", 0, 0, amount, name, job="baseline", needs=None, arguments=(), key="", data=None)
    write_plan(experiment / "plan.json", [run])
    Path("runs/my-segmentation/cases.csv").unlink()  # the export has no scores then, and no licence
    assert exit_status("export", "runs/my-segmentation", "exports/my-model") == 0
    for place in ("scans/p1", "scans/p2"):
        Path(place).mkdir(parents=True)
        shutil.copy(trained.learned, Path(place, "ct.nii.gz"))
    Path("table.csv").write_text("image\nscans/p1/ct.nii.gz\n")
    for _, *arguments in commands:
        assert exit_status(*arguments) == 0
        out = Path(arguments[arguments.index("--out") + 1])
        assert voxels(next(out.rglob("ct.nii.gz"))).shape == voxels(trained.learned).shape


def test_without_a_configuration_it_is_not_lightnings_command(capsys) -> None:
    assert exit_status("predict", "--help") == 0
    assert "--images" in capsys.readouterr().out
    assert exit_status("predict", "--model", "runs/mine", "--out", "masks") == 2
    assert capsys.readouterr().err == "required, and not given: --images\n"
