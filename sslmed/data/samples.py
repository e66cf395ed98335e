"""Reads prepared cases as a torch Dataset."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from sslmed.data.batches import Draw
from sslmed.data.crops import foreground_voxel, pad, random_crop, random_slice
from sslmed.preparation.store import Store

Sample = dict[str, Any]
Label = Literal["map", "class", "value"]


class StoreDataset(Dataset[Sample]):
    """Reads prepared cases from the memory map on access, or once to keep them on a device.

    A sample has `case` and `image` `(C, *spatial)` float16. With `label` it has a map `(*spatial)` uint8, a class `()`
    int64 or a value `()` float32. A whole map comes with `lost`, the classes that its grid has lost. With `native` it
    has `geometry`, which maps back to the original grid, and `native_label` on that grid.

    Args:
        store: The store of the cases.
        cases: Ids of the cases, in order.
        label: Kind of label in the samples, if any.
        native: Whether samples have the geometry and label of the original grid.
        slices: Whether a `Draw` with a seed gives a random axial slice instead of the volume.
        crop_size: Sides in voxels of the crop for a `Draw` with a seed. Smaller images are padded with zeros.
        foreground_fraction: Fraction of the crops that are centred on a foreground voxel, if labels are maps.
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
        foreground_fraction: float = 0.0,
    ) -> None:
        self.store = store
        self.cases = tuple(cases)
        self.label = label
        self.native = native
        self.slices = slices
        self.crop_size = crop_size
        self.foreground_fraction = foreground_fraction
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
        if draw.seed is not None:
            part = self._part(arrays["image"].shape[1:], case, draw.seed)
            arrays = {key: array[(..., *part)] for key, array in arrays.items()}
        tensors = self._read(arrays) if self.kept_on is None else arrays
        if self.crop_size is not None and draw.seed is not None:
            tensors = {key: pad(tensor, self.crop_size) for key, tensor in tensors.items()}
        sample: Sample = {"case": case, **tensors}
        if self.label == "map" and draw.seed is None:
            sample["lost"] = self.store.lost(case)
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
            arrays["label"] = self.store.label_map(case)
        return arrays

    def _part(self, sides: Sequence[int], case: str, seed: str) -> tuple[slice | int, ...]:
        """Choose the slice and the crop that a training sample shows of an image with these sides."""
        centre = None
        if self.crop_size is not None and self.label == "map":
            centre = foreground_voxel(self.store.foreground(case), self.foreground_fraction, seed)
        position: tuple[int, ...] = ()
        if self.slices:
            at = random_slice(sides[-1], f"{seed} {case}") if centre is None else centre[-1]
            sides, centre, position = sides[:-1], centre and centre[:-1], (at,)
        if self.crop_size is None:
            return (*(slice(None) for _ in sides), *position)
        return (*random_crop(sides, self.crop_size, seed, centre), *position)

    def _read(self, arrays: dict[str, Any]) -> dict[str, Tensor]:
        """Read arrays of the memory map, with class indices in label maps."""
        if "label" in arrays:
            arrays = arrays | {"label": self.store.to_indices(arrays["label"])}
        return {key: torch.tensor(array) for key, array in arrays.items()}

    def _resident(self, case: str, device: torch.device) -> dict[str, Any]:
        if case not in self._kept:
            self._kept[case] = {key: each.to(device) for key, each in self._read(self._mapped(case)).items()}
        return self._kept[case]

    def _number(self, case: str) -> Tensor:
        """Return the class or the value of a case."""
        if case not in self._numbers:
            number = self.store.value(case) if self.label == "value" else next(iter(self.store.classes(case)))
            self._numbers[case] = torch.tensor(number).to(self.kept_on)
        return self._numbers[case]


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack tensors; keep everything else (`case`, `lost`, `native_label`, `geometry`) as lists."""
    return {
        key: default_collate([sample[key] for sample in samples])
        if torch.is_tensor(samples[0][key])
        else [sample[key] for sample in samples]
        for key in samples[0]
    }
