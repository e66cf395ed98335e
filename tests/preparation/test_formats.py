import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from volume_files import AFFINE, FILES, TO_LPS, write_volume

from sslmed.core.errors import DataError
from sslmed.preparation.readers import itk
from sslmed.preparation.readers.dataset import Case
from sslmed.preparation.readers.formats import read_header, source_files
from sslmed.preparation.readers.nifti_header import has_form
from sslmed.preparation.readers.volumes import Volume, read_case
from sslmed.preparation.volume import digest_of

SHAPE = (6, 5, 4)
IMAGE = np.random.default_rng(0).integers(-500, 500, SHAPE).astype(np.int16) * 2
LABEL = (IMAGE > 0).astype(np.int16)
MASKS = [name for name in FILES if name != "series"]


@pytest.mark.parametrize("name", FILES)
def test_a_volume_of_any_format_is_read_as_its_nifti(tmp_path, name):
    write_volume(tmp_path / name, IMAGE)
    image, _ = read_case(Case("a", tmp_path / name), ("CT",), ())
    np.testing.assert_array_equal(image.voxels, IMAGE[None])
    assert image.voxels.dtype == np.float32
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)
    assert digest_of(image) == digest_of(Volume(IMAGE[None].astype(np.float32), [AFFINE], {}))  # copies are known
    header = read_header(tmp_path / name)
    assert (header.shape, header.channels, header.orientation) == (SHAPE, 1, "LPS")
    assert has_form(image.position)
    np.testing.assert_allclose(header.spacing, np.linalg.norm(AFFINE[:3, :3], axis=0), rtol=1e-6)
    assert header.modality == ("CT" if name == "series" else None)
    assert header.dtype == ("int32" if name == "series" else "int16")


@pytest.mark.parametrize("image", ["a.nii.gz", "a.mha", "series"])
@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_may_have_another_format_than_its_scan(tmp_path, image, mask):
    write_volume(tmp_path / "scan" / image, IMAGE)
    write_volume(tmp_path / "mask" / mask, LABEL)
    case = Case("a", tmp_path / "scan" / image, tmp_path / "mask" / mask)
    np.testing.assert_array_equal(read_case(case, ("CT",), (0, 1))[1].voxels, LABEL)


@pytest.mark.parametrize("name", [*MASKS, "of_dicom"])
def test_a_mask_that_lies_elsewhere_is_refused(tmp_path, name):
    write_volume(tmp_path / "series", IMAGE)
    moved = AFFINE.copy()
    moved[0, 3] += 9
    write_volume(tmp_path / "mask" / name, LABEL * 2, moved)
    assert "has another affine than its image" in problem(tmp_path / "series", tmp_path / "mask" / name)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.nhdr", "a.mhd"])
def test_a_file_without_a_volume_of_numbers_is_refused_in_the_words_of_nifti(tmp_path, name):
    channels = np.random.default_rng(1).integers(0, 200, (4, 5, 6, 3))
    path = tmp_path / name
    sitk.WriteImage(sitk.GetImageFromArray(channels.astype(np.uint8), isVector=True), path)
    assert "holds RGB voxels" in problem(path)
    sitk.WriteImage(sitk.GetImageFromArray(channels.astype(np.float32), isVector=True), path)
    assert "has 3 channels, but the dataset has 1 (channel)" in problem(path)
    image, _ = read_case(Case("a", path), ("a", "b", "c"), ())
    np.testing.assert_array_equal(image.voxels, channels.transpose(3, 2, 1, 0))
    sitk.WriteImage(sitk.GetImageFromArray(channels.astype(np.int16), isVector=False), path)  # a time series
    assert "has 4 channels, but the dataset has 1 (channel)" in problem(path)
    sitk.WriteImage(sitk.GetImageFromArray(channels[0].astype(np.int16), isVector=False)[:, :, 0], path)
    assert "fewer than 3 spatial dimensions" in problem(path)
    bad = channels[..., 0].astype(np.float32)
    bad[0, 1, 2] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(bad), path)
    assert "holds NaN or infinite voxels" in problem(path)
    image = sitk.GetImageFromArray(channels[..., 0].astype(np.int16))
    image.SetSpacing((1e-3, 1e-3, 1e-3))
    sitk.WriteImage(image, path)
    assert "not in metres or microns" in problem(path)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_and_its_library_says_nothing_itself(tmp_path, name, capfd):
    write_volume(tmp_path / name, IMAGE)
    for file in source_files(tmp_path / name):
        content = file.read_bytes()
        for damaged in (content[: len(content) // 2], b"", b"not an image"):
            file.write_bytes(damaged)
            if file.suffix != ".mat" and (damaged or file.suffix != ".raw" or name != "a.nhdr"):
                assert str(tmp_path) in problem(tmp_path / name)
        file.write_bytes(content)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("name", ["a.nhdr", "a.mhd"])
def test_data_that_are_not_beside_their_header_are_missed_by_name(tmp_path, name):
    write_volume(tmp_path / name, IMAGE)
    (data,) = itk.data_files(tmp_path / name)
    data.unlink()
    assert f"{tmp_path / name}: has its data in {data.name}, which is not beside it" in problem(tmp_path / name)


def test_a_big_endian_file_is_valid(tmp_path):
    header = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = True\nDimSize = 6 5 4\n"
    text = f"{header}ElementSpacing = 1 1 2\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(text.encode() + IMAGE.transpose().astype(">i2").tobytes())
    image, _ = read_case(Case("a", tmp_path / "a.mha"), ("channel",), ())
    np.testing.assert_array_equal(image.voxels[0], IMAGE)


@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.hdr"])
def test_a_file_that_does_not_say_where_it_lies_is_laid_where_itk_lays_it(tmp_path, name):
    path = tmp_path / name
    if name == "a.nrrd":
        text = "NRRD0004\ntype: short\ndimension: 3\nsizes: 6 5 4\nspacings: 1 2 3\nendian: little\nencoding: raw\n\n"
        path.write_bytes(text.encode() + IMAGE.transpose().tobytes())
    else:
        volume = (nib.AnalyzeImage if name == "a.hdr" else nib.Nifti1Image)(IMAGE, None)
        volume.header.set_zooms((1, 2, 3))
        nib.save(volume, path)
    header = read_header(path)
    assert (header.orientation, header.spacing) == ("LPS", (1, 2, 3))
    image, _ = read_case(Case("a", path), ("channel",), ())
    assert not has_form(image.position)
    by_itk = sitk.ReadImage(path)
    np.testing.assert_array_equal(image.affine, TO_LPS @ np.diag([*by_itk.GetSpacing(), 1]))
    assert by_itk.GetOrigin() == (0, 0, 0)


@pytest.mark.parametrize("kind", [nib.AnalyzeImage, nib.Spm99AnalyzeImage, nib.Nifti1Pair])
def test_a_spacing_of_zero_is_refused_and_a_negative_one_is_its_size(tmp_path, kind):
    path = tmp_path / "a.hdr"
    nib.save(kind(IMAGE, AFFINE), path)
    content = bytearray(path.read_bytes())
    for depth in (0, -2.5):
        content[88:92] = np.float32(depth).tobytes()
        path.write_bytes(content)
        if depth == 0:
            assert "has a zero or NaN spacing" in problem(path)
    assert read_header(path).spacing == pytest.approx(np.linalg.norm(AFFINE[:3, :3], axis=0))


def problem(image, mask=None) -> str:
    with pytest.raises(DataError) as error:
        read_case(Case("a", image, mask), ("channel",), ())
    (line,) = error.value.problems
    assert "\n" not in line
    return line
