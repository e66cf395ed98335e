"""Distances between the surfaces of predicted and true classes in millimetres, by MONAI.

Edges and distances are computed once for both scores, in the box around the class. MONAI's `compute_surface_dice` and
`compute_hausdorff_distance` return the same numbers but take up to six times as long, as each computes them again.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from monai.metrics.utils import get_mask_edges, get_surface_distance
from scipy.ndimage import find_objects

LabelMap = npt.NDArray[np.integer]
Box = tuple[slice, ...]

PERCENTILE = 95


def surface_row(
    prediction: LabelMap,
    truth: LabelMap,
    label_values: Sequence[int],
    spacing: Sequence[float],
    *,
    tolerance: float,
) -> dict[str, float]:
    """Compute surface scores of every foreground class of one case.

    The surface of a class is its voxels that touch, by a face, a voxel of another class or the edge of the image.

    * `nsd`, normalised surface Dice (Nikolov et al. 2018, https://arxiv.org/abs/1809.04430): the fraction of the voxels
      of both surfaces that are within the tolerance of the other surface. 1 where the class is absent in prediction and
      truth, 0 where it is absent in one of them.
    * `hd95`, 95 % Hausdorff distance in mm: the 95th percentile of the distances from one surface to the other, the
      larger of both directions (the maximum is Hausdorff's; Huttenlocher et al. 1993,
      https://doi.org/10.1109/34.232073). 0 where the class is absent in both; the diagonal of the image, the largest
      possible distance, where it is absent in one.

    So every case counts, and all arms have the same pairs of case and class.

    Args:
        prediction: Class indices `(*spatial)` on the original grid.
        truth: Class indices of the label, same shape.
        label_values: Values of the classes in the label files, background first; columns are named by them.
        spacing: Size of a voxel in mm along each axis, `(dims,)`.
        tolerance: Distance in mm within which surfaces agree.

    Returns:
        `nsd_class_<value>` and `hd95_class_<value>` for each foreground class, and their means `nsd_foreground` and
        `hd95_foreground`.
    """
    diagonal = float(np.linalg.norm(np.multiply(truth.shape, spacing)))
    n_foreground = len(label_values) - 1
    boxes = [find_objects(labels, max_label=n_foreground) for labels in (prediction, truth)]
    row: dict[str, float] = {}
    for index, predicted, true in zip(range(1, n_foreground + 1), *boxes, strict=True):
        if predicted is None and true is None:
            nsd, hd95 = 1.0, 0.0
        elif predicted is None or true is None:
            nsd, hd95 = 0.0, diagonal
        else:
            box = _around(predicted, true)
            nsd, hd95 = _compare(prediction[box] == index, truth[box] == index, spacing, tolerance)
        row |= {f"nsd_class_{label_values[index]}": nsd, f"hd95_class_{label_values[index]}": hd95}
    means = {kind: [value for name, value in row.items() if name.startswith(kind)] for kind in ("nsd", "hd95")}
    return {f"{kind}_foreground": float(np.mean(of_classes)) for kind, of_classes in means.items()} | row


def _around(first: Box, second: Box) -> Box:
    """Return the smallest box that contains both."""
    return tuple(
        slice(min(one.start, other.start), max(one.stop, other.stop)) for one, other in zip(first, second, strict=True)
    )


def _compare(
    predicted: npt.NDArray[np.bool_],
    true: npt.NDArray[np.bool_],
    spacing: Sequence[float],
    tolerance: float,
) -> tuple[float, float]:
    """Compute normalised surface Dice and 95 % Hausdorff distance (mm) of two masks `(*spatial)` that are not empty."""
    edges = get_mask_edges(predicted, true, crop=False)  # a box's border is background beyond it
    there, back = (get_surface_distance(one, other, spacing=spacing) for one, other in (edges, edges[::-1]))
    nsd = np.mean(np.concatenate([there, back]) <= tolerance)
    return float(nsd), max(float(np.percentile(distances, PERCENTILE)) for distances in (there, back))
