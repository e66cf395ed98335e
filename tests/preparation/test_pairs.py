"""Label maps find their images by the names that people give them."""

from pathlib import PurePath

import pytest

from sslmed.preparation.readers.label_names import is_label_name
from sslmed.preparation.survey.pairs import pair

CONVENTIONS = [
    ("p{}/ct.nii.gz", "p{}/seg.nii.gz"),
    ("p{}/p{}_ct.nii.gz", "p{}/p{}_ct_label.nii.gz"),
    ("p{0}/p{0}_ct.nii.gz", "p{0}/p{0}_seg.nii.gz"),
    ("{}.nii.gz", "{}_seg.nii.gz"),
    ("{}.nrrd", "{}.seg.nrrd"),
    ("{}_mask/T1.nii", "{}_mask/brain_mask.nii"),
    ("images/{}.nii.gz", "labels/{}.nii.gz"),
    ("imagesTr/case_{}.nii.gz", "labelsTr/case_{}.nii.gz"),
    ("scans/p{}/ct.nii.gz", "masks/p{}/seg.nii.gz"),
    ("images/{}.nii.gz", "annotations/expert/{}.nii.gz"),
    ("MR {}/Scan.nii.gz", "MR {}/Scan Label.nii.gz"),
    ("p{}/study/ct", "p{}/gtv_mask.nii.gz"),
    ("p{}/in/scan.nii.gz", "p{}/out/tumour_seg.nii.gz"),
    ("train/images/{}.jpg", "train/masks/{}.png"),
    ("{}.JPG", "{}_Mask.PNG"),
    (
        "sub-{0}/ses-1/anat/sub-{0}_ses-1_T1w.nii.gz",
        "derivatives/a/sub-{0}/ses-1/anat/sub-{0}_ses-1_desc-x_mask.nii.gz",
    ),
    ("sub-{0}/anat/sub-{0}_acq-mp2rage_T1w.nii.gz", "derivatives/b/sub-{0}/anat/sub-{0}_dseg.nii.gz"),
]


@pytest.mark.parametrize(("image", "mask"), CONVENTIONS)
def test_each_label_map_goes_to_the_image_of_its_case(image: str, mask: str) -> None:
    numbers = ["1", "2", "12"]
    images = {PurePath(image.format(number, number)): (4, 4, 4) for number in numbers}
    masks = {PurePath(mask.format(number, number)): (4, 4, 4) for number in numbers}
    assert all(map(is_label_name, masks))
    pairs = pair(images, masks)
    assert pairs.problems == pairs.notes == []
    assert {image: list(found.values()) for image, found in pairs.masks.items()} == {
        image: [mask] for image, mask in zip(images, masks, strict=True)
    }
    assert len({kind for found in pairs.masks.values() for kind in found}) == 1


@pytest.mark.parametrize(
    "name",
    ["p1/ct.nii.gz", "labelled/1.nii.gz", "unmasked_scans/1.nii.gz", "segura/1.nii", "imagesTr/roland.nii.gz"],
)
def test_images_are_not_taken_for_label_maps(name: str) -> None:
    assert not is_label_name(PurePath(name))


def test_several_channels_and_several_kinds_are_told_apart_or_said() -> None:
    shape = (4, 4, 4)
    images = {PurePath(f"p1/p1_{name}.nii.gz"): shape for name in ("flair", "t1", "t2")}
    named = pair(images, {PurePath("p1/p1_t1_seg.nii.gz"): shape})
    assert {str(image) for image in named.masks} == {"p1/p1_t1.nii.gz"}
    assert not named.notes
    shared = pair(images, {PurePath("p1/p1_seg.nii.gz"): shape})
    assert {str(image) for image in shared.masks} == {"p1/p1_flair.nii.gz"}
    assert "p1/p1_seg.nii.gz of p1/p1_flair.nii.gz, p1/p1_t1.nii.gz, p1/p1_t2.nii.gz" in shared.notes[0]
    kinds = pair(images, {PurePath(f"p1/p1_t1_{name}_mask.nii.gz"): shape for name in ("lesion", "organ")})
    assert [*kinds.masks[PurePath("p1/p1_t1.nii.gz")]] == ["lesion_mask", "organ_mask"]
    alone = pair({PurePath("a/1.nii"): shape}, {PurePath("b/2_seg.nii"): shape})
    assert not alone.masks
    assert alone.problems[0].startswith("b/2_seg.nii: is a label map by its name, but")
    unclear = pair({PurePath("a/1.nii"): shape, PurePath("a/2.nii"): shape}, {PurePath("a/x_seg.nii"): shape})
    assert not unclear.masks
    assert "could be that of a/1.nii, a/2.nii" in unclear.problems[0]
