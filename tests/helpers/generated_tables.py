"""Tables of generated images, volumes or photographs, whose labels follow from what they show: a bright ball."""

import nibabel as nib
import numpy as np
from PIL import Image

CLASSES = ("stage 2", "stage 10", "healthy")


def write_table(folder, dims, columns, cases=12, unlabelled=2, classes=CLASSES, side=18):
    """Write `table.csv` with these columns and its images below `folder`; return its path.

    The larger the ball, the later the class and the greater the value. Every other image has the patient of the one
    before it. Photographs are wider than high, and their masks are 0 and 255.
    """
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    lines = [",".join(("image", *columns, "patient"))]
    for number in range(cases + unlabelled):
        kind = number % len(classes)
        radius = 0.3 + 0.5 * (kind + 0.4 * (number % 4) / 4) / len(classes)
        shape = (side, side + 2, side - 2)[:dims]
        where = np.stack(np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij"))
        ball = (where**2).sum(0) < radius**2
        image = 40 + 120 * ball + np.random.default_rng(number).integers(0, 30, shape)
        files = {name: f"{name}s/case_{number:02}.{'nii.gz' if dims == 3 else 'png'}" for name in ("image", "mask")}
        for name, array in (("image", image), ("mask", ball * (1 if dims == 3 else 255))):
            _save(folder / files[name], array.astype(np.uint8))
        cells = {"image": files["image"], "mask": files["mask"], "class": classes[kind], "value": f"{50 * radius:.1f}"}
        labels = [cells[name] if number < cases else "" for name in columns]
        lines.append(",".join([files["image"], *labels, f"p{number // 2}"]))
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder / "table.csv"


def _save(path, array):
    if array.ndim == 3:
        nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), path)
    else:
        Image.fromarray(array).save(path)
