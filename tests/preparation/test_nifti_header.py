"""Where a NIfTI file says that its voxels lie: what is refused, and which labels lie where their images do."""

import gzip
from itertools import product

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from sslmed.core.errors import DataError
from sslmed.downstream.writers import WriteSegmentations
from sslmed.preparation.prepare import prepare
from sslmed.preparation.readers.dataset import Case
from sslmed.preparation.readers.nifti_header import POSITION
from sslmed.preparation.readers.volumes import read_case
from sslmed.preparation.settings import PrepareSettings

SHAPE = (6, 5, 4)
AFFINE = np.array([[-0.8, 0, 0, 30], [0, 0.8, 0, -20], [0, 0, 2.5, 5], [0, 0, 0, 1]])
SHEARED = AFFINE + np.outer([0, 1, 0, 0], [0, 0, -0.9, 0])  # a CT with a tilted gantry
IMAGE = np.arange(120, dtype=np.int16).reshape(SHAPE)
LABEL = (IMAGE % 3 == 0).astype(np.uint8)

FORMS = {  # sform and qform of an image; what nibabel and ITK make of them
    "both": (AFFINE, AFFINE),
    "tilted": (SHEARED, AFFINE),
    "qform": (None, AFFINE),
    "sform": (AFFINE, None),
    "none": (None, None),
}


def volume(voxels, sform, qform, image_class=nib.Nifti1Image):
    image = image_class(voxels, AFFINE, dtype=voxels.dtype)
    image.set_sform(sform, None if sform is None else 1)
    image.set_qform(qform, None if qform is None else 1)
    image.header.set_xyzt_units("mm", "sec")
    return image


@pytest.fixture
def case(tmp_path):
    case = Case("a", tmp_path / "image.nii.gz", tmp_path / "label.nii.gz")
    nib.save(volume(IMAGE, AFFINE, AFFINE), case.image)
    nib.save(volume(LABEL, AFFINE, AFFINE), case.label)
    return case


def problem(case):
    with pytest.raises(DataError) as caught:
        read_case(case, ("MR",), (0, 1))
    (line,) = caught.value.problems
    assert "\n" not in line
    return line


def edit(path, image_class, **fields):
    """Write fields of the header as they are; nibabel would repair them."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    header_class = image_class.header_class
    header = header_class(bytes(content[: header_class.sizeof_hdr]), check=False)
    for name, value in fields.items():
        header[name] = value
    content[: header_class.sizeof_hdr] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(content)))


OFFSETS = [
    *product([nib.Nifti1Image, nib.Nifti2Image], [0, 16, 348, -352, 10**6]),
    *product([nib.Nifti1Image], [np.nan, np.inf, 352.5]),
]


@pytest.mark.parametrize(("image_class", "offset"), OFFSETS)
@pytest.mark.parametrize("which", ["image", "label"])
def test_an_offset_within_the_header_or_beyond_the_end_is_refused(case, image_class, offset, which):
    path = getattr(case, which)
    nib.save(volume(IMAGE if which == "image" else LABEL, AFFINE, AFFINE, image_class), path)
    edit(path, image_class, vox_offset=offset)
    line = problem(case)
    assert line.startswith(f"{path}: ")
    assert f"byte {offset}" in line
    assert "vox_offset" in line


def test_voxels_after_an_extension_are_read(case):
    image = volume(IMAGE, AFFINE, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 100))
    nib.save(image, case.image)
    np.testing.assert_array_equal(read_case(case, ("MR",), (0, 1))[0].voxels[0], IMAGE)


@pytest.mark.parametrize(
    ("scale", "units", "words"),
    [
        (1e-3, "meter", "is measured in metres (xyzt_units is 1)"),
        (1e-3, "mm", "would measure 0.0048 x 0.004 x 0.01 mm"),
        (1e-3, "unknown", "xyzt_units 2, not in metres or microns"),
        (1e3, "micron", "is measured in microns (xyzt_units is 3)"),
        (1e3, "mm", "in voxels of 800 x 800 x 2.5e+03 mm"),
        (1e3, "unknown", "by its pixdim"),
        (1, "meter", "set xyzt_units to 2"),
        (1, "micron", "set xyzt_units to 2"),
    ],
)
@pytest.mark.parametrize("which", ["image", "label"])
def test_metres_and_microns_are_refused(case, scale, units, words, which):
    affine = np.diag([scale, scale, scale, 1]) @ AFFINE
    image = volume(IMAGE if which == "image" else LABEL, affine, affine)
    image.header.set_xyzt_units(units)
    path = getattr(case, which)
    nib.save(image, path)
    line = problem(case)
    assert line.startswith(f"{path}: ")
    assert words in line


def test_an_affine_in_metres_beside_a_spacing_in_mm_is_refused(case):
    nib.save(volume(IMAGE, np.diag([1e-3, 1e-3, 1e-3, 1]) @ AFFINE, AFFINE), case.image)
    assert "by its affine" in problem(case)


def by_itk(affine, image_forms):
    """The affine of an image in ITK, by its rules, for these forms."""
    sform, qform = image_forms
    orthogonal = sform is not None and np.allclose(
        sform[:3, :3].T @ sform[:3, :3], np.diag(np.diag(affine[:3, :3]) ** 2)
    )
    if qform is None and sform is None:
        return np.diag([-1, -1, 1, 1]) @ np.diag([0.8, 0.8, 2.5, 1])
    return sform if orthogonal else qform


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("program", ["copied", "nibabel", "ITK"])
def test_a_label_lies_at_its_image_by_whatever_program_it_was_written(case, name, program):
    """Nibabel writes the sform alone, ITK both forms alike, each of what it took the image's affine to be."""
    image = volume(IMAGE, *FORMS[name])
    itk = by_itk(AFFINE, FORMS[name])
    nib.save(image, case.image)
    forms = {"copied": FORMS[name], "nibabel": (nib.load(case.image).affine, None), "ITK": (itk, itk)}[program]
    nib.save(volume(LABEL, *forms), case.label)
    _, label = read_case(case, ("MR",), (0, 1))
    np.testing.assert_array_equal(label.voxels, LABEL)


ELSEWHERE = AFFINE + np.outer([1, 0, 0, 0], [0, 0, 0, 9.0])


@pytest.mark.parametrize(
    ("of_image", "of_label", "words"),
    [
        ((AFFINE, AFFINE), (ELSEWHERE, ELSEWHERE), "has another affine than its image"),
        ((AFFINE, AFFINE), (ELSEWHERE, AFFINE), "has another affine than its image"),  # one form agrees, one does not
        ((AFFINE, AFFINE), (None, None), "copy its image's header to it"),
        ((None, None), (ELSEWHERE, None), "but its image's header gives none (both form codes are 0)"),
    ],
)
def test_a_label_that_lies_elsewhere_is_refused_with_the_cure(case, of_image, of_label, words):
    nib.save(volume(IMAGE, *of_image), case.image)
    nib.save(volume(LABEL, *of_label), case.label)
    line = problem(case)
    assert line.startswith(f"{case.label}: ")
    assert words in line


@pytest.mark.parametrize(("name", "image_class"), [*product(FORMS, [nib.Nifti1Image]), ("tilted", nib.Nifti2Image)])
def test_a_written_mask_has_its_images_header_and_opens_where_it_does(
    decathlon_dataset, tmp_path, name, image_class, capsys
):
    """Prepared, stored, read back and written, a mask says all about its place that its image said."""
    data = decathlon_dataset(labelled=2, unlabelled=0)
    for path in (data / "imagesTr/case_00.nii.gz", data / "labelsTr/case_00.nii.gz"):
        nib.save(volume(np.asarray(nib.load(path).dataobj), *FORMS[name], image_class), path)
    store = prepare(data, tmp_path / "store", PrepareSettings(size=8), jobs=1)
    warning = capsys.readouterr().err
    assert ("1 image at an unknown place" in warning) == (name == "none")
    labels = store.native_label("case_00")
    batch = {"case": ["case_00"], "geometry": [store.geometry("case_00")]}
    WriteSegmentations(tmp_path / "run").write_on_batch_end(None, None, [labels], None, batch, 0, 0)
    source, written = data / "imagesTr/case_00.nii.gz", tmp_path / "run/predictions/case_00.nii.gz"
    image, mask = nib.load(source), nib.load(written)
    for field in POSITION:
        np.testing.assert_array_equal(mask.header[field], image.header[field].astype(mask.header[field].dtype))
    np.testing.assert_allclose(mask.affine, image.affine, rtol=1e-6)
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(mask.dataobj), labels)
    if image_class is nib.Nifti2Image:  # which ITK does not read
        return
    there, here = sitk.ReadImage(source), sitk.ReadImage(written)
    for place in ("GetSpacing", "GetOrigin", "GetDirection", "GetSize"):
        assert getattr(there, place)() == getattr(here, place)()
