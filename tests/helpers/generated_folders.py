"""Folders of scans as people have them: in no layout that sslmed asks for."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

SHAPE = (14, 12, 10)
AFFINE = np.diag([-1.5, 1.5, 3.0, 1.0])


def scan(number: int, *, ct: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A body with an organ: a CT in Hounsfield units, or positive values as an MR has them; and the organ."""
    where = np.stack(np.meshgrid(*(np.linspace(-1, 1, side) for side in SHAPE), indexing="ij"))
    organ = ((where - 0.02 * number) ** 2).sum(0) < 0.15
    image = np.where((where**2).sum(0) < 0.9, 40, -1000) + 60 * organ
    image += np.random.default_rng(number).integers(-9, 10, SHAPE)
    return (image if ct else image + 1100).astype(np.int16), organ.astype(np.uint8)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def nested(root: Path, cases: int = 8, labelled: int = 6) -> Path:
    """`<hospital>/<patient>/ct.nii.gz` with a `ct_seg.nii.gz` beside some: equal file names in all folders."""
    for number in range(cases):
        image, organ = scan(number)
        folder = root / f"hospital_{number % 2}" / f"p{number:02}"
        save(folder / "ct.nii.gz", image)
        if number < labelled:
            save(folder / "ct_seg.nii.gz", organ)
    return root


def bids(root: Path, subjects: int = 6) -> Path:
    """T1w and FLAIR of each subject, and masks and a preprocessed image in `derivatives`."""
    for number in range(1, subjects + 1):
        name = f"sub-{number:02}"
        image, organ = scan(number, ct=False)
        save(root / name / "anat" / f"{name}_T1w.nii.gz", image)
        save(root / name / "anat" / f"{name}_FLAIR.nii.gz", image + image % 7)
        (root / name / "anat" / f"{name}_T1w.json").write_text("{}")
        derived = root / "derivatives" / "manual" / name / "anat"
        save(derived / f"{name}_space-T1w_desc-organ_mask.nii.gz", organ)
        save(derived / f"{name}_desc-preproc_T1w.nii.gz", image * 2)
    (root / "dataset_description.json").write_text('{"Name": "study", "BIDSVersion": "1.9.0"}')
    return root


def nnunet(root: Path, labelled: int = 6, unlabelled: int = 2) -> Path:
    """Two files for the two channels of each case."""
    for number in range(labelled + unlabelled):
        image, organ = scan(number)
        folder = root / ("imagesTr" if number < labelled else "imagesTs")
        save(folder / f"case_{number:03}_0000.nii.gz", image)
        save(folder / f"case_{number:03}_0001.nii.gz", (image + 1100) // 2)
        if number < labelled:
            save(root / "labelsTr" / f"case_{number:03}.nii.gz", organ)
    names = {"channel_names": {"0": "CT", "1": "PET"}, "labels": {"background": 0, "tumour": 1}}
    (root / "dataset.json").write_text(json.dumps({**names, "numTraining": labelled, "file_ending": ".nii.gz"}))
    return root


def eye(number: int) -> Image.Image:
    """A round eye in black."""
    where = np.stack(np.meshgrid(*[np.linspace(-1.1, 1.1, 40)] * 2, indexing="ij"))
    noise = np.random.default_rng(number).integers(0, 8, (40, 40, 3))
    pixels = np.where((where**2).sum(0)[..., None] < 1, (200, 100, 40), 0) + noise
    return Image.fromarray(pixels.astype(np.uint8))


def photographs(root: Path, count: int = 12) -> Path:
    """Round eyes in black, and a CSV file with their grades."""
    (root / "photos").mkdir(parents=True)
    rows = ["file,grade,patient_id"]
    for number in range(count):
        eye(number).save(root / "photos" / f"eye_{number}.png")
        rows.append(f"eye_{number},{number % 3},p{number // 2}")
    (root / "grades.csv").write_text("\n".join(rows) + "\n")
    return root
