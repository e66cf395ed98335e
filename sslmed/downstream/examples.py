"""A few slices of test cases with truth and prediction, saved by each run for the report."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sslmed.core.files import atomic_path

ROLES = ("best", "median", "worst")
MOST_SLICES = 9
MOST_PIXELS = 160
"""Longest side of a saved slice. Larger slices are subsampled by a whole number."""


@dataclass(frozen=True)
class Example:
    """Holds axial slices of one test case, or a photograph, with truth and prediction, on the prepared grid.

    Slices follow the radiological convention: the first row is anterior, the first column the patient's right.

    Attributes:
        case: Its id.
        dice: Its foreground Dice.
        depth: Number of slices of the volume, 1 for a photograph.
        positions: Indices of the slices, `(S,)`, counted from the feet.
        image: First channel of a volume, or mean over the channels of a photograph, `(S, H, W)` uint8.
        truth: Class indices, `(S, H, W)` uint8.
        prediction: Class indices, `(S, H, W)` uint8.
    """

    case: str
    dice: float
    depth: int
    positions: NDArray[np.int64]
    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]

    @classmethod
    def of_volume(
        cls, case: str, dice: float, image: NDArray[Any], truth: NDArray[Any], prediction: NDArray[Any]
    ) -> Self:
        """Choose slices from the truth alone, so that every run shows the same slices.

        Args:
            case: Its id.
            dice: Its foreground Dice.
            image: In [0, 1], `(C, I, J, K)`, axes towards right, anterior and superior; the first channel is kept.
            truth: Class indices `(I, J, K)`.
            prediction: Class indices `(I, J, K)`.
        """
        image, depth = image[0], truth.shape[-1]
        with_structure = np.flatnonzero((truth > 0).any((0, 1)))
        first, last = (with_structure[0], with_structure[-1]) if with_structure.size else (0, depth - 1)
        positions = np.unique(np.linspace(first, last, MOST_SLICES).round().astype(np.int64))
        step = -(-max(truth.shape[:2]) // MOST_PIXELS)
        image, truth, prediction = (
            array[::-step, ::-step, positions].transpose(2, 1, 0) for array in (image, truth, prediction)
        )
        image = (np.clip(image.astype(np.float32), 0, 1) * 255).round()
        arrays = (array.astype(np.uint8) for array in (image, truth, prediction))
        return cls(case, dice, depth, positions, *arrays)

    @classmethod
    def of_photograph(
        cls, case: str, dice: float, image: NDArray[Any], truth: NDArray[Any], prediction: NDArray[Any]
    ) -> Self:
        """Convert a photograph to grey; arguments as in `of_volume`, with shapes `(C, H, W)` and `(H, W)`."""
        step = -(-max(truth.shape) // MOST_PIXELS)
        image = (np.clip(image.astype(np.float32).mean(0), 0, 1) * 255).round()
        arrays = (array[None, ::step, ::step].astype(np.uint8) for array in (image, truth, prediction))
        return cls(case, dice, 1, np.zeros(1, dtype=np.int64), *arrays)


def examples_of(scores: pd.DataFrame) -> Iterator[tuple[str, str, float]]:
    """Yield role, id and Dice of the best, the median (the lower of two) and the worst case.

    Args:
        scores: One row per test case with `case` and `dice_foreground`.
    """
    ranked = scores.sort_values(["dice_foreground", "case"], ascending=[False, True], ignore_index=True)
    for role, rank in zip(ROLES, (0, len(ranked) // 2, len(ranked) - 1), strict=True):
        yield role, str(ranked["case"][rank]), float(ranked["dice_foreground"][rank])


def save_examples(path: Path, examples: Mapping[str, Example]) -> None:
    """Write examples, keyed by role, to one `.npz` file."""
    arrays = {f"{role}/{name}": value for role, example in examples.items() for name, value in asdict(example).items()}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_examples(path: Path) -> dict[str, Example]:
    """Read the examples that `save_examples` wrote."""
    with np.load(path) as arrays:
        return {role: _example({name: arrays[f"{role}/{name}"] for name in Example.__annotations__}) for role in ROLES}


def _example(arrays: dict[str, NDArray[Any]]) -> Example:
    return Example(**{name: array.item() if array.ndim == 0 else array for name, array in arrays.items()})  # type: ignore[arg-type]
