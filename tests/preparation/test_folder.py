"""Loose images in folders, of any format, and tables and MSD tasks that list them: one store whatever the format."""

import json
import os

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from volume_files import AFFINE, DATES, PATIENT, UID, as_itk, scan, write_series, write_volume

from sslmed.core.errors import DataError
from sslmed.downstream.writers import MASKS, write_map
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.prepare import prepare
from sslmed.preparation.readers.dataset import Case
from sslmed.preparation.readers.folder import scan_images
from sslmed.preparation.readers.formats import read_header
from sslmed.preparation.readers.layouts import read
from sslmed.preparation.readers.volumes import read_case
from sslmed.preparation.records import hash_files
from sslmed.preparation.settings import PrepareSettings

CUBE = PrepareSettings(size=8)


def test_images_of_all_formats_are_found_in_all_folders(tmp_path):
    root = tmp_path / "scans"
    for place in ("a.nii.gz", "p1/ct.nrrd", "p2/ct.nrrd", "p2/deep/b.MHD", "p3/old.hdr", "p4/t1.mgz"):
        write_volume(root / place.replace("MHD", "mhd"), scan())
    for old, new in (("p2/deep/b.mhd", "p2/deep/b.MHD"), ("p3/old.hdr", "p3/old.HDR"), ("p3/old.img", "p3/old.IMG")):
        (root / old).rename(root / new)
    write_series(root / "dicom/p5", scan())
    write_series(root / "dicom/p6", scan(), uid=f"{UID}.111")
    write_series(root / "dicom/p6", scan(1), uid=f"{UID}.222")
    (root / "dicom/p6/DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (root / "README").write_text("no image")
    dataset, problems = scan_images(root)
    assert problems == []
    assert [case.id for case in dataset.cases] == [
        *("a", "dicom%2Fp5", f"dicom%2Fp6%2F{UID}.111", f"dicom%2Fp6%2F{UID}.222"),
        *("p1%2Fct", "p2%2Fct", "p2%2Fdeep%2Fb", "p3%2Fold", "p4%2Ft1"),
    ]
    assert (dataset.spatial_dims, dataset.modalities, dataset.labels) == (3, ("CT",), "none")
    assert [case.image.name for case in dataset.cases[6:8]] == ["b.MHD", "old.HDR"]
    for case in dataset.cases:
        assert read_header(case.image).shape == scan().shape


@pytest.mark.parametrize(
    "file", ["a_seg.nii", "a-mask.mha", "labelsTr/p1/a.nii.gz", "p1/segmentation.nrrd", "s_dseg.nii"]
)
def test_a_label_map_among_images_is_none_by_its_name(tmp_path, file):
    write_volume(tmp_path / "a.nii", scan())
    write_volume(tmp_path / file, scan())
    dataset, problems = scan_images(tmp_path)
    assert ([case.id for case in dataset.cases], dataset.label_maps, problems) == (["a"], (tmp_path / file,), [])


def test_a_folder_of_dicom_is_one_image_or_several(tmp_path):
    write_series(tmp_path / "p1", scan())
    dataset, _ = scan_images(tmp_path / "p1")
    assert [(case.id, case.image) for case in dataset.cases] == [("p1", tmp_path / "p1")]


def test_volumes_and_photographs_are_not_mixed(tmp_path):
    write_volume(tmp_path / "a.nii", scan())
    Image.new("L", (9, 9)).save(tmp_path / "preview.png")
    with pytest.raises(DataError, match=r"holds 1 volumes, as .*a.nii, and 1 photographs, as .*preview.png; give"):
        scan_images(tmp_path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha", "a.mgz", "series"])
@pytest.mark.parametrize("ending", MASKS)
def test_a_written_mask_lies_on_its_scan_of_any_format(tmp_path, name, ending):
    affine = AFFINE + np.outer([1, 1, 1, 0], [0, 0, 0, 1 / 3])  # no float32 is equal to it
    write_volume(tmp_path / name, scan(), affine)
    image, _ = read_case(Case("a", tmp_path / name), ("CT",), ())
    geometry = Geometry.closest_to_ras(image.voxels.shape[1:], image.affine, image.position)
    labels = (image.voxels[0] > 0).astype(np.uint8)
    write_map(tmp_path / f"mask{ending}", labels, geometry)
    mask = sitk.ReadImage(tmp_path / f"mask{ending}")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(mask).transpose(), labels)
    exact = ending in (".nrrd", ".mha") and name not in ("a.mgz", "a.nii.gz")  # the others are float32
    there = as_itk(scan(), affine)
    for place in ("GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(mask, place)(), getattr(there, place)(), atol=1e-9 if exact else 1e-5)
    if exact:
        assert sitk.LabelOverlay(there, mask).GetSize() == there.GetSize()  # refuses what lies elsewhere


def test_an_msd_task_may_list_other_formats(tmp_path):
    listed = ["imagesTr/a.nrrd", "imagesTr/b", f"imagesTr/c/{UID}.222"]
    write_volume(tmp_path / listed[0], scan())
    write_series(tmp_path / listed[1], scan(1))
    write_series(tmp_path / "imagesTr/c", scan(2), uid=f"{UID}.111")
    write_series(tmp_path / "imagesTr/c", scan(3), uid=f"{UID}.222")
    labels = [f"labelsTr/{name}" for name in ("a.mha", "b.nii.gz", "c.nrrd")]
    for label in labels:
        write_volume(tmp_path / label, (scan() > 0).astype(np.uint8))
    pairs = [{"image": f"./{image}", "label": label} for image, label in zip(listed, labels, strict=True)]
    content = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "organ"}, "training": pairs}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert [case.id for case in read(tmp_path).cases] == [f"{UID}.222", "a", "b"]
    store = prepare(tmp_path, tmp_path.parent / "store", CUBE, jobs=1)
    assert len(store.labelled) == 3
    content["modality"] = {"0": "MR"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"imagesTr/b: is CT by its DICOM header, but the dataset's images are MR"):
        prepare(tmp_path, tmp_path.parent / "store", CUBE, jobs=1)


def test_a_changed_slice_makes_its_series_stale_and_a_copied_tree_does_not(tmp_path, capsys):
    for number in range(3):
        write_series(tmp_path / "scans" / f"p{number}", scan(number))
    first = prepare(tmp_path / "scans", tmp_path / "store", CUBE, jobs=1)
    for file in (tmp_path / "scans/p0").iterdir():
        file.touch()
    assert prepare(tmp_path / "scans", tmp_path / "store", CUBE, jobs=1).digests == first.digests
    assert "changed" not in capsys.readouterr().err
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "scans/p1").iterdir()}
    oldest, *others = write_series(tmp_path / "scans/p1", scan(7))
    os.utime(oldest, (1, 1))
    for file in others:
        os.utime(file, ns=(times[file], times[file]))
    changed = prepare(tmp_path / "scans", tmp_path / "store", CUBE, jobs=1)
    assert "1 changed (p1)" in capsys.readouterr().err
    assert [case for case in first.cases if changed.digests[case] != first.digests[case]] == ["p1"]


def test_a_change_of_any_channel_changes_the_image(tmp_path):
    for name in ("t1.nii", "t2.mhd", "mask.nii"):
        write_volume(tmp_path / name, scan())
    case = Case("a", tmp_path / "t1.nii", tmp_path / "mask.nii", channels=(tmp_path / "t2.mhd",))
    image, mask = hash_files(case)
    write_volume(tmp_path / "t2.mhd", scan(1))
    again, same = hash_files(case)
    assert (again != image, same) == (True, mask)


def test_nothing_about_a_patient_is_written_or_said(tmp_path, capfd):
    for number in range(2):
        write_series(tmp_path / "scans" / f"p{number}", scan(number))
    (write_series(tmp_path / "scans/gap", scan(2))[2]).unlink()
    write_series(tmp_path / "scans/localiser", scan(3), t0008_0008="ORIGINAL\\PRIMARY\\LOCALIZER")
    write_volume(tmp_path / "scans/p0_seg.nii", scan())
    store = prepare(tmp_path / "scans", tmp_path / "store", CUBE, jobs=1, pool=True)
    assert (store.cases, len(store.problems)) == (("p0", "p1"), 2)
    written = b"".join(path.read_bytes() for path in store.root.rglob("*") if path.is_file())
    said = "".join(capfd.readouterr())
    assert "1 volume not taken as images, but as label maps by name" in said
    for value in (*PATIENT.values(), *DATES.values()):
        assert value not in said
        assert value.encode() not in written
