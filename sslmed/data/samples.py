"""Reads prepared cases as a torch Dataset."""

import random
from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from sslmed.data.batches import Draw
from sslmed.preparation.store import Store

Sample = dict[str, Any]
Label = Literal["map", "class", "value"]


class StoreDataset(Dataset[Sample]):
    """Reads prepared cases from the memory map on access, or once to keep them on a device.

    A sample has `case` and `image` `(C, *spatial)` float16. With `label` it has a map `(*spatial)` uint8, a class `()`
    int64 or a value `()` float32. With `native` it has `geometry`, which maps back to the original grid, and
    `native_label` on that grid.

    Args:
        store: The store of the cases.
        cases: Ids of the cases, in order.
        label: Kind of label in the samples, if any.
        native: Whether samples have the geometry and label of the original grid.
        slices: Whether a `Draw` with a seed gives a random axial slice instead of the volume.
        crop_size: Sides in voxels of the crop for a `Draw` with a seed. Smaller images are padded with zeros.
    """

    def __init__(
        self,
        store: Store,
        cases: Sequence[str],
        *,
        label: Label | None = None,
        native: bool = False,
        slices: bool = False,
        crop_size: Sequence[int] | None = None,
    ) -> None:
        self.store = store
        self.cases = tuple(cases)
        self.label = label
        self.native = native
        self.slices = slices
        self.crop_size = crop_size
        self.kept_on: torch.device | None = None
        self._kept: dict[str, dict[str, Tensor]] = {}
        self._numbers: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def n_bytes(self) -> int:
        """Size of all images and label maps in bytes."""
        return sum(map(self.bytes_of, self.cases))

    def bytes_of(self, case: str) -> int:
        """Size of the image and label map of a case in bytes."""
        return sum(array.nbytes for array in self._mapped(case).values())

    def keep_on(self, device: torch.device) -> None:
        """From now on, copy every case to a device when it is first read, and reuse it from there."""
        self.kept_on = device

    def release(self) -> None:
        """Free the cases that are kept on a device."""
        self._kept.clear()

    def __getitem__(self, draw: Draw) -> Sample:
        case = self.cases[draw.case]
        arrays = self._mapped(case) if self.kept_on is None else self._resident(case, self.kept_on)
        if self.slices and draw.seed is not None:
            arrays = _slice(arrays, f"{draw.seed} {case}")
        if self.crop_size is not None and draw.seed is not None:
            arrays = _crop(arrays, self.crop_size, draw.seed)
        sample: Sample = {"case": case, **{key: _tensor(array) for key, array in arrays.items()}}
        if self.label in ("class", "value"):
            sample["label"] = self._number(case)
        if self.native:
            sample["geometry"] = self.store.geometry(case)
            if self.label is not None:
                sample["native_label"] = self.store.native_label(case)
        return sample

    def _mapped(self, case: str) -> dict[str, Any]:
        arrays: dict[str, Any] = {"image": self.store.image(case)}
        if self.label == "map":
            arrays["label"] = self.store.label(case)
        return arrays

    def _resident(self, case: str, device: torch.device) -> dict[str, Any]:
        if case not in self._kept:
            self._kept[case] = {key: torch.tensor(array, device=device) for key, array in self._mapped(case).items()}
        return self._kept[case]

    def _number(self, case: str) -> Tensor:
        """Return the class or the value of a case."""
        if case not in self._numbers:
            number = self.store.value(case) if self.label == "value" else next(iter(self.store.classes(case)))
            self._numbers[case] = torch.tensor(number).to(self.kept_on)
        return self._numbers[case]


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack tensors; keep everything else (`case`, `native_label`, `geometry`) as lists."""
    return {
        key: default_collate([sample[key] for sample in samples])
        if torch.is_tensor(samples[0][key])
        else [sample[key] for sample in samples]
        for key in samples[0]
    }


def _slice(arrays: dict[str, Any], seed: str) -> dict[str, Any]:
    n_slices = arrays["image"].shape[-1]
    position = random.Random(f"slice {seed}").randrange(n_slices)  # noqa: S311 - not for secrets
    return {key: array[..., position] for key, array in arrays.items()}


def _crop(arrays: dict[str, Any], size: Sequence[int], seed: str) -> dict[str, Any]:
    generator = random.Random(f"crop {seed}")  # noqa: S311 - not for secrets
    sides = arrays["image"].shape[1:]
    starts = [generator.randint(0, max(0, side - wanted)) for side, wanted in zip(sides, size, strict=True)]
    window = tuple(slice(start, start + wanted) for start, wanted in zip(starts, size, strict=True))
    missing = [max(0, wanted - side) for side, wanted in zip(sides, size, strict=True)]
    padding = [amount for axis in reversed(missing) for amount in (0, axis)]  # torch starts with the last axis
    return {key: F.pad(_tensor(array[(..., *window)]), padding) for key, array in arrays.items()}


def _tensor(array: Any) -> Tensor:  # noqa: ANN401 - a tensor, or an array of the memory map
    return array if torch.is_tensor(array) else torch.tensor(array)
