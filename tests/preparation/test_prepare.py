import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import nibabel as nib
import numpy as np
import psutil
import pytest
import torch

from sslmed.core.errors import DataError, UserError
from sslmed.preparation.prepare import prepare
from sslmed.preparation.preview import preview
from sslmed.preparation.readers.layouts import scan
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.store import Store

CUBE = PrepareSettings(size=8)
NATIVE = PrepareSettings(geometry="spacing", spacing=(0.8, 0.8, 2.5))


def contents(folder):
    """Return the bytes of all files."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_spacing(decathlon_dataset, tmp_path):
    data = decathlon_dataset(labels=("background", "organ", "tumour"))
    before = contents(data)
    store = prepare(data, tmp_path / "store", NATIVE, jobs=1)
    assert contents(data) == before
    assert (store.labelled, store.unlabelled) == (("case_00", "case_01", "case_02"), ("case_03",))
    assert (store.name, store.in_channels, store.num_classes, store.label_values) == ("Task00_Toy", 1, 3, (0, 1, 2))
    assert store.settings == NATIVE

    image = nib.load(data / "imagesTr/case_00.nii.gz")
    label = nib.load(data / "labelsTr/case_00.nii.gz").get_fdata()
    expected = np.clip((nib.as_closest_canonical(image).get_fdata() + 160) / 400, 0, 1)
    np.testing.assert_allclose(store.image("case_00")[0], expected, atol=1e-3)
    np.testing.assert_array_equal(store.label("case_00"), label[::-1])  # the file's first axis runs to the left
    np.testing.assert_array_equal(store.native_label("case_00"), label)
    assert store.classes("case_00") == {0, 1, 2}
    assert store.classes("case_03") == frozenset()
    geometry = store.geometry("case_00")
    np.testing.assert_array_equal(geometry.affine, image.affine)
    np.testing.assert_array_equal(geometry.restore_labels(store.label("case_00")), label)


@pytest.mark.parametrize("settings", [NATIVE, CUBE])
def test_a_scan_stored_along_other_axes_is_prepared_alike(decathlon_dataset, tmp_path, settings):
    data = decathlon_dataset(labelled=2, unlabelled=0)
    for folder in ("imagesTr", "labelsTr"):
        turned = nib.load(data / folder / "case_00.nii.gz").as_reoriented([[2, 1], [0, -1], [1, 1]])
        nib.save(turned, data / folder / "case_01.nii.gz")
    store = prepare(data, tmp_path / "store", settings, jobs=1)
    np.testing.assert_allclose(store.image("case_01"), store.image("case_00"), atol=1e-3)
    np.testing.assert_array_equal(store.label("case_01"), store.label("case_00"))
    assert store.geometry("case_01").original_spacing == pytest.approx(turned.header.get_zooms())
    assert len({*turned.header.get_zooms()}) > 1


def test_cube_is_the_foregrounds_box_with_both_ends(decathlon_dataset, tmp_path):
    data = decathlon_dataset(labelled=1, unlabelled=0)
    path = data / "imagesTr/case_00.nii.gz"
    image = nib.load(path)
    voxels = np.full(image.shape, -1000, np.int16)
    voxels[2:9, 3:7, 4:6] = 100
    voxels[0, 0, 0] = -145  # below the threshold, at -140
    nib.save(nib.Nifti1Image(voxels, image.affine), path)
    store = prepare(data, tmp_path / "store", CUBE, jobs=1)
    assert store.image("case_00").shape == (1, 8, 8, 8)
    assert store.image("case_00").min() == pytest.approx(0.65, abs=1e-3)
    geometry = store.geometry("case_00")
    assert (geometry.start, geometry.stop) == ((3, 3, 4), (10, 7, 6))  # the first axis is flipped


def test_channels_are_normalised_by_their_modality(decathlon_dataset, tmp_path):
    store = prepare(decathlon_dataset(modalities=("T1", "CT")), tmp_path / "store", NATIVE, jobs=1)
    voxels = np.moveaxis(nib.load(tmp_path / "Task00_Toy/imagesTr/case_00.nii.gz").get_fdata()[::-1], -1, 0)
    low, high = np.percentile(voxels[0], (0.5, 99.5))
    np.testing.assert_allclose(store.image("case_00")[0], np.clip((voxels[0] - low) / (high - low), 0, 1), atol=1e-3)
    np.testing.assert_allclose(store.image("case_00")[1], np.clip((voxels[1] + 160) / 400, 0, 1), atol=1e-3)


def test_bad_cases_are_all_reported_and_good_ones_kept(decathlon_dataset, tmp_path):
    data, store = decathlon_dataset(labelled=4), tmp_path / "store"
    content = (data / "imagesTr/case_03.nii.gz").read_bytes()
    (data / "imagesTr/case_01.nii.gz").write_bytes(b"")
    (data / "labelsTr/case_01.nii.gz").write_bytes(b"")
    nib.save(
        nib.Nifti1Image(np.full((12, 10, 8), -1000, np.int16) + np.eye(10, 8, dtype=np.int16), None),
        data / "imagesTs/case_04.nii.gz",
    )
    (data / "imagesTr/case_03.nii.gz").write_bytes(content[:-9])
    (data / "imagesTr/case_02.nii.gz").unlink()
    with pytest.raises(DataError) as caught:
        prepare(data, store, CUBE, jobs=2)
    absent, *problems = caught.value.problems
    assert "imagesTr/case_02.nii.gz does not exist" in absent
    expected = ("imagesTr/case_01", "labelsTr/case_01", "imagesTr/case_03", "imagesTs/case_04")
    for problem, file in zip(problems, expected, strict=True):
        assert problem.startswith(f"{data}/{file}.nii.gz: ")
    assert sorted(path.name for path in store.iterdir()) == [".lock", "cases", "settings.json"]
    assert sorted(path.name for path in (store / "cases").iterdir()) == ["case_00"]
    with pytest.raises(UserError, match="not finished; run `sslmed prepare"):
        Store(store)


def test_a_store_for_something_else_is_refused(decathlon_dataset, tmp_path):
    data, store = decathlon_dataset(), tmp_path / "store"
    prepare(data, store, CUBE, jobs=1)
    before = contents(store)
    with pytest.raises(UserError, match=r"size \(8 there, 16 now\), foreground \(0.05 there, 0.1 now\)"):
        prepare(data, store, replace(CUBE, size=16, foreground=0.1), jobs=1)
    with pytest.raises(UserError, match=r"dataset \("):
        prepare(decathlon_dataset("Task01_Other"), store, CUBE, jobs=1)
    assert contents(store) == before
    with pytest.raises(UserError, match="is not a store"):
        prepare(data, tmp_path, CUBE, jobs=1)
    with pytest.raises(UserError, match="within the data folder"):
        prepare(data, data / "store", CUBE, jobs=1)
    with pytest.raises(UserError, match="has no label of case 'case_03'"):
        Store(store).label("case_03")


def test_photographs_become_squares_with_a_class_each(aptos_dataset, tmp_path):
    data = aptos_dataset(grades=(4, 0, 2), unlabelled=1)
    before = contents(data)
    store = prepare(data, tmp_path / "store", CUBE, jobs=1)
    assert contents(data) == before
    assert (store.spatial_dims, store.in_channels, store.num_classes) == (2, 3, 5)
    assert (store.labelled, store.unlabelled) == (("eye_00", "eye_01", "eye_02"), ("eye_03",))
    assert [store.classes(case) for case in store.cases] == [{4}, {0}, {2}, set()]
    image = store.image("eye_00")
    assert (image.shape, image.dtype) == ((3, 8, 8), np.float16)
    np.testing.assert_allclose(image[:, 4, 4], np.array([203, 103, 43]) / 255, atol=0.15)  # about the middle of the eye
    with pytest.raises(UserError, match="photographs have no spacing"):
        prepare(data, tmp_path / "other", NATIVE, jobs=1)


def test_one_job_uses_the_threads_of_this_process_and_leaves_their_number(decathlon_dataset, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        prepare(decathlon_dataset(), tmp_path / "store", CUBE, jobs=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_copies_of_an_image_and_eyes_of_a_patient_are_one_group(aptos_dataset, tmp_path, capsys):
    data = aptos_dataset(grades=(0, 1, 2, 3, 4))
    (data / "train_images" / "eye_03.png").write_bytes((data / "train_images" / "eye_01.png").read_bytes())
    patients = {"eye_00": "a", "eye_01": "b", "eye_02": "a", "eye_03": "c", "eye_04": "c"}
    rows = [f"{case},{grade},{patient}" for grade, (case, patient) in enumerate(patients.items())]
    (data / "train.csv").write_text("\n".join(["id_code,diagnosis,patient", *rows]))
    groups = prepare(data, tmp_path / "store", CUBE, jobs=1).groups
    assert groups == {
        "eye_00": "eye_00",
        "eye_02": "eye_00",
        "eye_01": "eye_01",
        "eye_03": "eye_01",
        "eye_04": "eye_01",
    }
    assert "copies of an image have different labels (eye_03 and eye_01); correct" in capsys.readouterr().err


def test_a_full_disk_is_said(aptos_dataset, tmp_path, monkeypatch):
    def write(*arguments, **options):
        raise OSError("32768 requested and 24512 written")  # all that NumPy says

    monkeypatch.setattr("sslmed.preparation.prepare.run_in_processes", write)
    with pytest.raises(UserError, match=r"24512 written; the disk is full: free some of it, and run the same command"):
        prepare(aptos_dataset(grades=(0, 1)), tmp_path / "store", CUBE, jobs=1)


def test_what_a_pool_cannot_use_is_left_out_and_reported_and_known_to_the_next_plan(aptos_dataset, tmp_path, capsys):
    data = aptos_dataset(grades=(0, 1, 2))
    (data / "train_images" / "eye_01.png").write_bytes(b"broken")
    (data / "train_images" / "eye_03.png").symlink_to("/proc/self/mem")  # its first page cannot be read
    (data / "train.csv").unlink()
    for _ in range(2):
        store = prepare(data, tmp_path / "store", CUBE, jobs=1, pool=True)
        assert store.unlabelled == ("train_images%2Feye_00", "train_images%2Feye_02")
        said = capsys.readouterr().err
        assert "left-out.txt lists 2 problems with images" in said
        assert "eye_01.png" in said
        left_out = (tmp_path / "store" / "left-out.txt").read_text()
        assert "eye_01.png" in left_out
        assert "eye_03.png: cannot be read (Input/output error)" in left_out
    planned = preview(*scan(data, pool=True), tmp_path / "store", CUBE, pool=True)
    assert planned.unprepared == {"train_images%2Feye_03"}  # what could not be read is tried again
    assert "eye_01.png" in planned.problems[0]


@pytest.mark.parametrize("layout", ["decathlon", "aptos", "folder"])
def test_a_pool_is_all_images_and_no_label(decathlon_dataset, aptos_dataset, tmp_path, layout):
    data = decathlon_dataset(labelled=2) if layout == "decathlon" else aptos_dataset(grades=(0, 1), unlabelled=1)
    if layout == "decathlon":
        (data / "labelsTr/case_01.nii.gz").write_bytes(b"not looked at")
    if layout == "folder":
        (data / "train.csv").unlink()
    store = prepare(data, tmp_path / "store", CUBE, jobs=1, pool=True)
    assert (len(store.labelled), len(store.unlabelled)) == (0, 3)
    assert [store.image(case).shape[1] for case in store.cases] == [8, 8, 8]


COMMAND = """
import sys
from pathlib import Path
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
prepare(Path(sys.argv[1]), Path(sys.argv[2]), PrepareSettings(size=64), jobs=2)
"""


@pytest.mark.slow
def test_killed_and_resumed(decathlon_dataset, tmp_path):
    """Kill -9 in mid-work: the workers die too, and the same call ends with the bytes of an uninterrupted one."""
    data, store = decathlon_dataset(labelled=12, shape=(48, 48, 40)), tmp_path / "store"
    process = subprocess.Popen([sys.executable, "-c", COMMAND, data, store])
    wait_until(lambda: len(list(store.glob("cases/*"))) >= 2)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in store.glob("cases/*/case.json")}
    assert len(finished) < 13
    assert not (store / "store.json").exists()
    _, alive = psutil.wait_procs(
        [worker for worker in workers if "resource_tracker" not in worker_command(worker)], timeout=10
    )
    assert not alive

    settings = PrepareSettings(size=64)
    prepare(data, store, settings, jobs=1)
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in finished.items())
    prepare(data, tmp_path / "uninterrupted", settings, jobs=2)
    assert contents(store) == contents(tmp_path / "uninterrupted")


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def worker_command(process):
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def test_key():
    key = CUBE.key("toy map")
    assert PrepareSettings(size=8, spacing=[1, 1, 1]).key("toy map") == key
    assert replace(CUBE, hu_window=(-100, 300)).key("toy map") != key
    assert CUBE.key("toy class") != key


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("geometry", "sphere"),
        ("size", 1),
        ("spacing", (1, 0, 1)),
        ("spacing", (1, 1)),
        ("hu_window", (300, -200)),
        ("percentiles", (0, 101)),
        ("foreground", 1),
    ],
)
def test_bad_setting(name, value):
    with pytest.raises(UserError, match=f"{name} must be"):
        PrepareSettings(**{name: value})
