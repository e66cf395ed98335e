import gzip

import nibabel as nib
import numpy as np
import pytest

from sslmed.core.errors import DataError
from sslmed.preparation.readers.decathlon import Case
from sslmed.preparation.readers.volumes import read_case

SHAPE = (6, 5, 4)
AFFINE = np.array([[-0.8, 0.1, 0, 30], [0.1, 0.8, 0, -20], [0, 0, 2.5, 5], [0, 0, 0, 1]])
IMAGE = np.arange(120, dtype=np.int16).reshape(SHAPE)
LABEL = (IMAGE % 3 == 0).astype(np.uint8)
RGB = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])


def save(path, voxels, affine=AFFINE, image_class=nib.Nifti1Image):
    content = image_class(voxels, affine, dtype=voxels.dtype).to_bytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def read(case, modalities=("CT",), label_values=(0, 1)):
    return read_case(case, modalities, label_values)


def edit(start, replacement):
    """Overwrite bytes of the file within its gzip."""

    def change(path):
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[start : start + len(replacement)] = replacement
        path.write_bytes(gzip.compress(content))

    return change


def rewrite(change):
    """Change the file's own bytes."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


def with_voxel(voxels, value):
    voxels = voxels.copy()
    voxels[1, 2, 3] = value
    return voxels


DIM, DATATYPE, PIXDIM, SLOPE, SFORM = 40, 70, 76, 112, 280  # byte offsets in a NIfTI-1 header

BAD_FILES = {  # of images and labels alike
    "empty": (rewrite(lambda content: b""), "is empty"),
    "empty inside": (rewrite(lambda content: gzip.compress(b"")), "is empty"),
    "text": (rewrite(lambda content: b"not an image"), "is not a NIfTI file"),
    "gzipped text": (rewrite(lambda content: gzip.compress(b"not an image" * 99)), "is not a NIfTI file"),
    "truncated": (rewrite(lambda content: content[: len(content) // 2]), "is truncated"),
    "truncated in the last byte": (rewrite(lambda content: content[:-1]), "is truncated"),
    "truncated inside": (rewrite(lambda content: gzip.compress(gzip.decompress(content)[:-3])), "is truncated"),
    "checksum": (rewrite(lambda content: content[:-8] + bytes([content[-8] ^ 1]) + content[-7:]), "checksum"),
    "zero spacing": (edit(PIXDIM + 8, np.float32(0).tobytes()), "has a zero or NaN spacing (0.8"),
    "NaN spacing": (edit(PIXDIM + 8, np.float32(np.nan).tobytes()), "has a zero or NaN spacing (0.8"),
    "huge": (edit(DIM + 2, np.int16([32767] * 3).tobytes()), "is truncated"),
    "negative side": (edit(DIM + 2, np.int16(-6).tobytes()), "has shape"),
    "unknown data type": (edit(DATATYPE, np.int16(9999).tobytes()), "damaged header"),
    "NaN affine": (edit(SFORM, np.float32([np.nan] * 4).tobytes()), "NaN affine"),
    "singular affine": (edit(SFORM, np.float32([0, 0, 0, 5]).tobytes()), "singular"),
}


@pytest.fixture
def case(tmp_path):
    case = Case("a", tmp_path / "image.nii.gz", tmp_path / "label.nii.gz")
    save(case.image, IMAGE)
    save(case.label, LABEL)
    return case


@pytest.mark.parametrize("which", ["image", "label"])
@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file(case, name, which):
    breaks, words = BAD_FILES[name]
    path = getattr(case, which)
    breaks(path)
    check_refused(case, path, words)


BAD_IMAGES = {
    "NaN": (with_voxel(IMAGE.astype(np.float32), np.nan), "NaN or infinite"),
    "infinite": (with_voxel(IMAGE.astype(np.float32), -np.inf), "NaN or infinite"),
    "beyond float32": (with_voxel(IMAGE.astype(np.float64), 1e300), "NaN or infinite"),
    "constant": (np.full(SHAPE, 7, np.int16), "is constant (every voxel is 7)"),
    "complex": (IMAGE.astype(np.complex64), "holds complex voxels"),
    "RGB": (RGB, "holds RGB voxels"),
    "2-D": (IMAGE[:, :, 0], "fewer than 3 spatial dimensions or one slice"),
    "one slice": (IMAGE[:, :, :1], "fewer than 3 spatial dimensions or one slice"),
    "one slice along I": (IMAGE[:1], "fewer than 3 spatial dimensions or one slice"),
    "5-D": (np.stack([np.stack([IMAGE] * 2, -1)] * 2, -1), "more than 4 dimensions"),
    "channels": (np.stack([IMAGE, IMAGE], -1), "has 2 channels, but the dataset has 1 (CT)"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_image(case, name):
    voxels, words = BAD_IMAGES[name]
    save(case.image, voxels)
    check_refused(case, case.image, words)


@pytest.mark.parametrize(
    ("voxels", "words"),
    [
        (np.stack([IMAGE, 0 * IMAGE], -1), "channel T2 is constant"),
        (IMAGE, "has 1 channels"),
        (np.stack([IMAGE] * 3, -1), "has 3 channels"),
    ],
)
def test_bad_image_of_two_channels(case, voxels, words):
    save(case.image, voxels)
    check_refused(case, case.image, words, modalities=("T1", "T2"))


MILLIMETRE = np.outer([1, 0, 0, 0], [0, 0, 0, 1.0])  # added to an affine, it moves the volume
STRETCHED = AFFINE @ np.diag([1.05, 1, 1, 1])  # the first corner is equal, the last one a quarter of a voxel apart
BAD_LABELS = {
    "shape": (LABEL[:-1], AFFINE, "has shape (5, 5, 4), but its image (6, 5, 4)"),
    "shifted": (LABEL, AFFINE + 0.15 * MILLIMETRE, "another affine than its image (by 0.2 voxels"),
    "stretched": (LABEL, STRETCHED, "another affine than its image (by 0.2 voxels"),
    "flipped": (LABEL, AFFINE @ np.diag([-1, 1, 1, 1]), "another affine"),
    "channels": (np.stack([LABEL, LABEL], -1), AFFINE, "must have one channel"),
    "fractional": (with_voxel(LABEL.astype(np.float32), 0.5), AFFINE, "fractional label values (0.5)"),
    "NaN": (with_voxel(LABEL.astype(np.float32), np.nan), AFFINE, "NaN or infinite"),
    "infinite": (with_voxel(LABEL.astype(np.float32), np.inf), AFFINE, "NaN or infinite"),
    "negative": (with_voxel(LABEL.astype(np.int16), -1), AFFINE, "negative label values (-1)"),
    "undeclared": (with_voxel(LABEL, 2), AFFINE, "undeclared label values (2); declared are 0, 1"),
    "255": (with_voxel(LABEL, 255), AFFINE, "undeclared label values (255)"),
    "overflow": (with_voxel(LABEL.astype(np.int32), 256), AFFINE, "undeclared label values (256)"),
    "float overflow": (with_voxel(LABEL.astype(np.float64), 2.0**70), AFFINE, "undeclared label values (1.18059e+21)"),
}


@pytest.mark.parametrize("name", BAD_LABELS)
def test_bad_label(case, name):
    voxels, affine, words = BAD_LABELS[name]
    save(case.label, voxels, affine)
    check_refused(case, case.label, words)


def test_image_and_label_are_both_reported(case):
    case.image.write_bytes(b"")
    case.label.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        read(case)
    assert len(caught.value.problems) == 2


def check_refused(case, path, words, **arguments):
    with pytest.raises(DataError) as caught:
        read(case, **arguments)
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: ")
    assert words in line
    assert "\n" not in line


ACCEPTED_LABELS = {
    "as it is": LABEL,
    "float": LABEL.astype(np.float64),
    "int64": LABEL.astype(np.int64),
    "empty": 0 * LABEL,
    "trailing axis": LABEL[..., None],
}


@pytest.mark.parametrize("name", ACCEPTED_LABELS)
@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("affine", [AFFINE, np.diag([1, 2, -3, 1.0]), np.eye(4)[[1, 2, 0, 3]]])
def test_accepted(tmp_path, name, image_class, suffix, affine):
    voxels = ACCEPTED_LABELS[name]
    case = Case("a", tmp_path / f"îmage{suffix}", tmp_path / f"label{suffix}")
    save(case.image, IMAGE, affine, image_class)
    save(case.label, voxels, affine + 0.07 * MILLIMETRE, image_class)
    image, label = read(case)
    assert (image.voxels.dtype, label.voxels.dtype) == (np.float32, np.uint8)
    np.testing.assert_array_equal(image.voxels, IMAGE[None])
    np.testing.assert_array_equal(label.voxels, voxels.reshape(SHAPE))
    np.testing.assert_array_equal(image.affine, nib.load(case.image).affine)


def test_channels_come_first_and_labels_become_indices(case):
    save(case.image, np.stack([IMAGE, IMAGE + 5], -1)[..., None])
    save(case.label, LABEL * 4)
    image, label = read(case, ("T1", "T2"), label_values=(0, 2, 4))
    np.testing.assert_array_equal(image.voxels, np.stack([IMAGE, IMAGE + 5]))
    np.testing.assert_array_equal(label.voxels, LABEL * 2)


def test_slope_and_intercept_are_honoured(case):
    save(case.label, LABEL * 30)
    edit(SLOPE, np.float32([2, -1024]).tobytes())(case.image)
    edit(SLOPE, np.float32([0.1, 0]).tobytes())(case.label)
    image, label = read(case, label_values=(0, 3))
    np.testing.assert_array_equal(image.voxels, IMAGE[None] * 2.0 - 1024)
    np.testing.assert_array_equal(label.voxels, LABEL)
