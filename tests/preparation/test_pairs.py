"""Label maps find their images by the names that people give them."""

from collections.abc import Sequence
from pathlib import PurePath

import pytest

from sslmed.preparation.readers.label_names import is_label_name
from sslmed.preparation.survey.pairs import pair
from sslmed.preparation.survey.remarks import Remarks

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
    ("p{0}/ct.nii.gz", "p{0}/p{0}_seg.nii.gz"),
    ("case-{}.nii.gz", "case-{}_seg.nii.gz"),
    ("Export/STS_{}/SER0001", "masks/STS_{}.nii.gz"),
    ("study/Export/STS_{}/SER0001", "study/masks/STS_{}.nii.gz"),
    ("nifti/STS_{}.nii.gz", "masks/STS_{}_GTV.nii.gz"),
    ("nifti/STS_{}.nii.gz", "masks/STS_{}-GTV.nii.gz"),
    (
        "sub-{0}/ses-1/anat/sub-{0}_ses-1_T1w.nii.gz",
        "derivatives/a/sub-{0}/ses-1/anat/sub-{0}_ses-1_desc-x_mask.nii.gz",
    ),
    ("sub-{0}/anat/sub-{0}_acq-mp2rage_T1w.nii.gz", "derivatives/b/sub-{0}/anat/sub-{0}_dseg.nii.gz"),
]


def paired(images: Sequence[str], masks: Sequence[str]) -> tuple[dict[str, dict[str, str]], Remarks]:
    remarks = Remarks()
    shapes = [{PurePath(name): (4, 4, 4) for name in names} for names in (images, masks)]
    found = pair(*shapes, remarks)
    return {str(image): {kind: str(mask) for kind, mask in of.items()} for image, of in found.items()}, remarks


@pytest.mark.parametrize(("image", "mask"), CONVENTIONS)
def test_each_label_map_goes_to_the_image_of_its_case(image: str, mask: str) -> None:
    images, masks = ([pattern.format(number, number) for number in (1, 2, 12)] for pattern in (image, mask))
    assert all(is_label_name(PurePath(name)) for name in masks)
    found, remarks = paired(images, masks)
    assert remarks == Remarks()
    assert {image: [*of.values()] for image, of in found.items()} == {
        image: [mask] for image, mask in zip(images, masks, strict=True)
    }
    assert len({kind for of in found.values() for kind in of}) == 1


@pytest.mark.parametrize(
    "name",
    ["p1/ct.nii.gz", "labelled/1.nii.gz", "unmasked_scans/1.nii.gz", "segura/1.nii", "imagesTr/roland.nii.gz"],
)
def test_images_are_not_taken_for_label_maps(name: str) -> None:
    assert not is_label_name(PurePath(name))


FLAIR, T1, T2 = (f"p1/p1_{name}.nii.gz" for name in ("flair", "t1", "t2"))


@pytest.mark.parametrize(
    ("images", "masks", "kinds", "note", "problem"),
    [
        ([FLAIR, T1, T2], ["p1/p1_t1_seg.nii.gz"], {T1: ["seg"]}, None, None),
        ([FLAIR, T1, T2], ["p1/p1_seg.nii.gz"], {FLAIR: ["seg"]}, f"p1/p1_seg.nii.gz of {FLAIR}, {T1}, {T2}", None),
        (
            [FLAIR, T1, T2],
            ["p1/p1_t1_lesion_mask.nii.gz", "p1/p1_t1_organ_mask.nii.gz"],
            {T1: ["lesion_mask", "organ_mask"]},
            None,
            None,
        ),
        (["a/1.nii"], ["b/2_seg.nii"], {}, None, "b/2_seg.nii: is a label map by its name, but"),
        (["a/p1.nii"], ["masks/p1_gtv.nii", "masks/p1_ctv.nii"], {"a/p1.nii": ["gtv", "ctv"]}, None, None),
        (["p1/ct.nii"], ["p1/p1_seg.nii", "p1/seg.nii"], {"p1/ct.nii": ["p1_seg", "seg"]}, None, None),
        (["a/p1.nii"], ["masks/p1_2.nii"], {}, None, "masks/p1_2.nii: is a label map by its name, but"),
        (["a/p1.nii"], ["masks/p12_gtv.nii"], {}, None, "masks/p12_gtv.nii: is a label map by its name, but"),
        (["a/p1.nii", "b/p1_t.nii"], ["masks/p1_t_gtv.nii"], {"b/p1_t.nii": ["gtv"]}, None, None),
        (["a/p1/s1", "a/p1/s2"], ["masks/p1.nii"], {}, None, "could be that of a/p1/s1, a/p1/s2"),
        (["a/1.nii", "a/2.nii"], ["a/x_seg.nii"], {}, None, "could be that of a/1.nii, a/2.nii"),
    ],
)
def test_several_channels_and_several_kinds_are_told_apart_or_said(images, masks, kinds, note, problem) -> None:
    found, remarks = paired(images, masks)
    assert {image: [*of] for image, of in found.items()} == kinds
    for said, expected in ((remarks.notes, note), (remarks.problems, problem)):
        assert len(said) == (expected is not None)
        assert (expected or "") in "".join(said)
