"""A run's key holds the settings and the data that the run sees, and not more."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from commands import TINY, reproduce
from grids import grid_of, plan

from sslmed.core.label_amount import LabelAmount
from sslmed.data.finetuning import SegmentationData
from sslmed.data.pretraining import PretrainingData
from sslmed.experiments.places import Places
from sslmed.experiments.preset import read_preset
from sslmed.experiments.runs import Run
from sslmed.experiments.seen import ABSENT, SeenData
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings

FOLDS = 3
AMOUNTS = (LabelAmount(count=1), LabelAmount(fraction=1.0))


@pytest.fixture
def data(decathlon_dataset) -> Path:
    return decathlon_dataset(labelled=9, unlabelled=2)


def _plan(data: Path, store: Path, preset: Path = TINY) -> dict[str, Run]:
    grid = grid_of("baseline", "rotation", preset=preset, labels=AMOUNTS, folds=range(FOLDS))
    prepared = prepare(data, store, PrepareSettings(size=8), jobs=1)
    places = Places(work=Path("/work"), store=store, seen=SeenData(prepared))
    return {run.name: run for run in plan(grid, places)}


def _changed(before: dict[str, Run], after: dict[str, Run]) -> set[str]:
    assert before.keys() == after.keys()
    assert all(after[name].key == before[name].key for name in before)  # the settings are the same
    return {name for name in before if after[name].data != before[name].data}


def _change_label(data: Path, case: str) -> None:
    path = data / "labelsTr" / f"{case}.nii.gz"
    label = np.zeros(nib.load(path).shape, np.uint8)
    label[3:6, 3:6, 3:6] = 1
    nib.save(nib.Nifti1Image(label, nib.load(path).affine), path)


def test_one_more_unlabelled_scan_concerns_pretraining_and_what_starts_from_it(data: Path, tmp_path: Path) -> None:
    before = _plan(data, tmp_path / "store")
    content = json.loads((data / "dataset.json").read_text())
    image = nib.load(data / "imagesTs" / "case_09.nii.gz")
    nib.save(nib.Nifti1Image(image.get_fdata()[::-1].astype(np.int16), image.affine), data / "imagesTs" / "new.nii.gz")
    (data / "dataset.json").write_text(json.dumps(content | {"test": [*content["test"], "./imagesTs/new.nii.gz"]}))
    after = _plan(data, tmp_path / "store")
    assert _changed(before, after) == {name for name in before if name.startswith("rotation")}


@pytest.mark.parametrize("case", ["case_00", "case_04", "case_08"])
def test_a_label_replaced_in_place_concerns_the_runs_that_see_it(data: Path, tmp_path: Path, case: str) -> None:
    before = _plan(data, tmp_path / "store")
    _change_label(data, case)
    after = _plan(data, tmp_path / "store")
    expected = set()
    for name, run in before.items():
        if run.labels is not None:
            options = {"n_labels": run.labels.count, "n_folds": FOLDS, "fold": run.fold, "updates": 10}
            selection = SegmentationData(store=tmp_path / "store", **options).selection
            if case in (*selection.training, *selection.validation, *selection.test):
                expected.add(name)
    assert _changed(before, after) == expected  # never a pretraining run
    assert any(run.labels == AMOUNTS[0] and name not in expected for name, run in before.items())


def test_an_image_replaced_in_place_concerns_pretraining_too(data: Path, tmp_path: Path) -> None:
    before = _plan(data, tmp_path / "store")
    _change_image(data, "case_03")
    changed = _changed(before, _plan(data, tmp_path / "store"))
    for fold in range(FOLDS):
        pretraining = PretrainingData(store=tmp_path / "store", fold=fold, n_folds=FOLDS, updates=10)
        sees = "case_03" in (*pretraining.selection.training, *pretraining.selection.validation)
        assert (f"rotation/fold{fold}/pretrain" in changed) == sees
        assert f"baseline/fold{fold}/seed0/100" in changed


def test_places_and_times_concern_no_run(data: Path, tmp_path: Path) -> None:
    before = _plan(data, tmp_path / "store")
    for path in data.rglob("*.nii.gz"):
        os.utime(path, (1, 1))
    assert _changed(before, _plan(data, tmp_path / "store")) == set()
    shutil.move(data, tmp_path / "elsewhere")
    assert _changed(before, _plan(tmp_path / "elsewhere", tmp_path / "another store")) == set()


@pytest.mark.parametrize(
    "written", ["data: {init_args: {transductive: true}}", "data: {transductive: true}", "data.transductive: true"]
)
def test_a_plan_knows_the_splits_and_pools_that_a_preset_asks_for(data: Path, tmp_path: Path, written: str) -> None:
    shutil.copytree(TINY, tmp_path / "preset")
    (tmp_path / "preset" / "pretrain.yaml").write_text(written)
    before = _plan(data, tmp_path / "store", tmp_path / "preset")
    _change_image(data, "case_03")
    changed = _changed(before, _plan(data, tmp_path / "store", tmp_path / "preset"))
    assert {f"rotation/fold{fold}/pretrain" for fold in range(FOLDS)} <= changed  # test cases are pretrained on


def test_earlier_runs_with_more_labels_than_there_are_now_are_stale_and_those_on_an_absent_pool_are_not_compared(
    data: Path, tmp_path: Path
) -> None:
    store = prepare(data, tmp_path / "store", PrepareSettings(size=8), jobs=1)
    amounts = (LabelAmount(count=99), LabelAmount(count=1))
    grid = grid_of("baseline", "rotation", "rotation-external", labels=amounts)
    places = Places(tmp_path / "work", store.root, tmp_path / "pool", seen=SeenData(store))
    runs = {run.name: run for run in plan(grid, places)}
    assert {run.data for run in runs.values() if run.arm == "rotation-external"} == {None}
    ours = [run for run in runs.values() if run.arm != "rotation-external"]
    assert {run.data == ABSENT for run in ours if run.labels == amounts[0]} == {True}
    assert not any(run.data in (ABSENT, None) for run in ours if run.labels != amounts[0])


def _change_image(data: Path, case: str) -> None:
    path = data / "imagesTr" / f"{case}.nii.gz"
    image = nib.load(path)
    nib.save(nib.Nifti1Image(image.get_fdata()[:, ::-1].astype(np.int16), image.affine), path)


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.slow
def test_labels_corrected_after_an_experiment_set_its_runs_aside_and_a_new_scan_does_not(
    data: Path, tmp_path: Path, capsys
) -> None:
    command = [tmp_path, "fig3", "--data", data, "--preset", TINY, "--arms", "baseline", "--fractions", "1"]
    assert reproduce(*command) == 0
    for number in range(9):
        _change_label(data, f"case_{number:02}")
    capsys.readouterr()
    assert reproduce(*command, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "9 cases not prepared yet, as new or changed (case_00" in shown
    assert "of which 0 are done and 1 are to do" in shown
    assert reproduce(*command) == 0
    assert "the data have changed; sets 1 old run aside: baseline/fold0/seed0/100 is now" in capsys.readouterr().err
    run = tmp_path / "runs" / "fig3" / "Task00_Toy-tiny" / "baseline" / "fold0" / "seed0" / "100"
    scores = [json.loads((path / "results.json").read_text())["metrics"] for path in (run, run.with_name("100.old1"))]
    assert scores[0] != scores[1]
    content = json.loads((data / "dataset.json").read_text())
    shutil.copy(data / "imagesTs" / "case_09.nii.gz", data / "imagesTs" / "new.nii.gz")
    (data / "dataset.json").write_text(json.dumps(content | {"test": [*content["test"], "./imagesTs/new.nii.gz"]}))
    assert reproduce(*command, "--dry-run") == 0
    assert "of which 1 are done and 0 are to do" in capsys.readouterr().out


@pytest.mark.slow
def test_a_dry_run_counts_every_image_of_a_pool(aptos_dataset, tmp_path: Path, capsys) -> None:
    tiny = TINY.with_name("tiny-fundus")
    data, pool = aptos_dataset(grades=(0, 1, 2, 3, 4) * 5), tmp_path / "pool"
    pool.mkdir()
    images = sorted((aptos_dataset("others", grades=(0,) * 12, side=30) / "train_images").iterdir())
    for number in range(40):
        shutil.copy(images[number % 12], pool / f"scan_{number:02}.png")
    (pool / "broken.png").write_bytes(b"no image")
    (pool / "slide.tif").write_bytes(b"not read")
    options = ["--data", data, "--preset", tiny, "--arms", "baseline", "rpl-external", "--pool", pool]

    def dry_run() -> str:
        assert reproduce(tmp_path, "fig4", *options, "--dry-run") == 0
        return capsys.readouterr().out

    assert "pretraining sees 37 of 42 images (others: 4 for validation, 1 cannot be used)" in dry_run()
    preset = read_preset(tiny)
    settings = replace(preset.prepare, size=preset.size_2d or preset.prepare.size, photo="fundus")
    store = tmp_path / "runs" / "stores" / f"pool-pool-{settings.key('pool none')}"
    prepare(pool, store, settings, jobs=1, pool=True)
    assert (
        "pretraining sees 10 of 42 images (others: 2 for validation, 28 copies of another image, 2 cannot be used)"
    ) in dry_run()
