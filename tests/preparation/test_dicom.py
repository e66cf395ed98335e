"""DICOM series: which are read, where they lie, and which are refused by name."""

import numpy as np
import pytest
import SimpleITK as sitk
from volume_files import AFFINE, PATIENT, UID, write_series

from sslmed.core.errors import DataError
from sslmed.preparation.prepare import prepare
from sslmed.preparation.readers.dataset import Case
from sslmed.preparation.readers.dicom import series_uids
from sslmed.preparation.readers.formats import open_volume, read_header, source_files
from sslmed.preparation.readers.volumes import channel_names, read_case
from sslmed.preparation.settings import PrepareSettings

IMAGE = np.random.default_rng(0).integers(-500, 500, (7, 6, 5)).astype(np.int16) * 2
OTHER = f"{UID}.288"


def problem(path) -> str:
    with pytest.raises(DataError) as error:
        np.asarray(open_volume(path).dataobj)
    (line,) = error.value.problems
    return line


def test_a_series_lies_where_itk_lays_it_and_is_in_hounsfield_units(tmp_path):
    files = write_series(tmp_path, IMAGE)
    image, _ = read_case(Case("a", tmp_path), ("CT",), ())
    np.testing.assert_array_equal(image.voxels[0], IMAGE)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    by_itk = reader.Execute()
    for index in ((0, 0, 0), (6, 5, 4), (1, 2, 3)):
        x, y, z = by_itk.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((image.affine @ (*index, 1))[:3], (-x, -y, z), atol=1e-4)
    assert channel_names([tmp_path]) == ("CT",)


def test_a_tilted_gantry_is_no_trouble(tmp_path):
    tilted = AFFINE.copy()
    tilted[:3, 2] = (0, 0.7, 2.4)
    write_series(tmp_path, IMAGE, tilted)
    image, _ = read_case(Case("a", tmp_path), ("CT",), ())
    np.testing.assert_allclose(image.affine, tilted, atol=1e-4)


def test_each_slice_may_have_its_own_slope(tmp_path):
    expected = IMAGE.astype(np.float32)
    expected[:, :, 2] /= 8
    files = write_series(tmp_path / "series", IMAGE, modality="PT")
    stored = {"t0028_0100": "16", "t0028_0101": "16", "t0028_0102": "15", "t0028_0103": "1"}
    fractions = write_series(
        tmp_path / "fractions", expected, t0028_1052="0", t0028_1053="0.25", modality="PT", **stored
    )
    fractions[2].replace(files[2])
    image, _ = read_case(Case("a", tmp_path / "series"), ("PT",), ())
    np.testing.assert_array_equal(image.voxels[0], expected)


def test_several_series_are_listed_and_one_is_named_by_its_uid(tmp_path):
    write_series(tmp_path, IMAGE)
    write_series(tmp_path, IMAGE[:, :, :3] + 2, uid=OTHER, modality="PT", t0008_0008="DERIVED\\LOCALIZER")
    (tmp_path / "notes.txt").write_text("not an image")
    line = problem(tmp_path)
    assert f"{tmp_path}: holds 2 series; name the one to take as FOLDER/UID: " in line
    assert f"{UID} (CT 7 x 6 x 5); {OTHER} (PT a localiser)" in line
    assert series_uids(tmp_path) == [UID, OTHER]
    assert read_header(tmp_path / UID).shape == IMAGE.shape
    assert len(source_files(tmp_path / UID)) == 5
    assert "is not a volume: a localiser" in problem(tmp_path / OTHER)
    assert "has no such series" in problem(tmp_path / f"{UID}.1")


def test_a_folder_of_several_series_is_read_once_for_each(tmp_path, monkeypatch):
    for number in range(4):
        write_series(tmp_path / "flat", IMAGE + 2 * number, uid=f"{UID}.{100 + number}")
    read, names = [], sitk.ImageSeriesReader.GetGDCMSeriesFileNames
    count = staticmethod(lambda *arguments: read.append(arguments) or names(*arguments))
    monkeypatch.setattr(sitk.ImageSeriesReader, "GetGDCMSeriesFileNames", count)
    store = prepare(tmp_path / "flat", tmp_path / "store", PrepareSettings(size=4), jobs=1)
    assert (len(store.cases), len(read)) == (4, 4)


def without(*indices):
    return lambda files: [files[index].unlink() for index in indices]


def cut(start, stop):
    return lambda files: files[3].write_bytes(files[3].read_bytes()[start:stop])


def joined_by(voxels, affine):
    """Add slices of these voxels to the series."""

    def change(files):
        for file in write_series(files[0].parent / "more", voxels, affine):
            file.rename(file.parents[1] / f"more_{file.name}")

    return change


BEYOND = AFFINE + np.outer(AFFINE[:, 2], [0, 0, 0, 5.3])  # the first slice lies 5.3 steps after that of the series


def replaced(old, new):
    return lambda files: [file.write_bytes(file.read_bytes().replace(old, new)) for file in files]


def untagged(tag):
    """Make a tag another one, which nobody reads."""
    return replaced(tag, tag[:2] + bytes([tag[2] - 1]) + tag[3:])


@pytest.mark.parametrize(
    ("change", "tags", "words"),
    [
        (without(2), {}, "slices are missing or unequally spaced: 5 mm apart instead of 2.5 mm"),
        (without(0, 1, 2, 3), {}, "a single slice"),
        (without(0, 1, 2, 3, 4), {}, "holds no DICOM series"),
        (cut(0, -30), {}, "damaged"),
        (cut(0, 300), {}, "damaged"),
        (without(), {"t0008_0008": "ORIGINAL\\PRIMARY\\LOCALIZER"}, "a localiser"),
        (untagged(b"\x20\0\x32\0"), {}, "do not say where they lie"),
        (untagged(b"\x20\0\x37\0"), {}, "do not say where they lie"),
        (replaced(b"MONOCHROME2", b"MONOCHROME1"), {}, "the least is white (MONOCHROME1)"),
        (without(), {"t0020_0032": "1\\2\\3"}, "several slices at one place"),
        (joined_by(IMAGE[:, :, :1], BEYOND), {}, "unequally spaced: 3.25 mm apart"),
        (joined_by(IMAGE, AFFINE[:, [0, 2, 1, 3]]), {}, "slices of different directions, sizes or spacings"),
    ],
)
def test_a_series_that_is_no_volume_is_refused(tmp_path, change, tags, words):
    change(write_series(tmp_path, IMAGE, **tags))
    line = problem(tmp_path)
    assert words in line
    assert str(tmp_path) in line
    assert not any(value in line for value in PATIENT.values())
