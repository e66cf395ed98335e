"""A few slices of test cases with truth and prediction, kept by a run so that one can look at what it does."""

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
"""Longest side of a kept slice; of larger ones every second pixel is kept, or every third."""


@dataclass(frozen=True)
class Example:
    """Axial slices through the true structure of one test case, or a photograph, on the prepared grid.

    Slices are as radiologists look at them: the first row is anterior, the first column the patient's right.

    Attributes:
        case: Its id.
        dice: Its foreground Dice.
        depth: Number of slices of the volume, 1 for a photograph.
        positions: Which slices these are, `(S,)`, counted from the feet.
        image: First channel of a volume, mean over those of a photograph, `(S, H, W)` uint8.
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
        """Choose slices by the truth alone, so that they are the same whatever was predicted.

        Args:
            case: Its id.
            dice: Its foreground Dice.
            image: In [0, 1], `(C, I, J, K)` towards right, anterior, superior; the first channel is kept.
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
        """Take a photograph as it is, in grey; arguments as in `of_volume`, `(C, H, W)` and `(H, W)`."""
        step = -(-max(truth.shape) // MOST_PIXELS)
        image = (np.clip(image.astype(np.float32).mean(0), 0, 1) * 255).round()
        arrays = (array[None, ::step, ::step].astype(np.uint8) for array in (image, truth, prediction))
        return cls(case, dice, 1, np.zeros(1, dtype=np.int64), *arrays)


def examples_of(scores: pd.DataFrame) -> Iterator[tuple[str, str, float]]:
    """Give role, id and Dice of the best, the median (the lower of two) and the worst case.

    Args:
        scores: One row per test case with `case` and `dice_foreground`.
    """
    ranked = scores.sort_values(["dice_foreground", "case"], ascending=[False, True], ignore_index=True)
    for role, rank in zip(ROLES, (0, len(ranked) // 2, len(ranked) - 1), strict=True):
        yield role, str(ranked["case"][rank]), float(ranked["dice_foreground"][rank])


def save_examples(path: Path, examples: Mapping[str, Example]) -> None:
    """Write examples by role."""
    arrays = {f"{role}/{name}": value for role, example in examples.items() for name, value in asdict(example).items()}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_examples(path: Path) -> dict[str, Example]:
    """Read what `save_examples` wrote."""
    with np.load(path) as arrays:
        return {role: _example({name: arrays[f"{role}/{name}"] for name in Example.__annotations__}) for role in ROLES}


def _example(arrays: dict[str, NDArray[Any]]) -> Example:
    return Example(**{name: array.item() if array.ndim == 0 else array for name, array in arrays.items()})  # type: ignore[arg-type]
