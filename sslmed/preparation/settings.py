"""Defines the settings of the preparation: all that change a prepared array."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sslmed.core.errors import UserError

VERSION = 7  # of the prepared arrays and their files; increase it if one of them changes

LARGEST = 4096  # side that still fits the memory of a machine
SHORTEST = 0.01  # mm


@dataclass(frozen=True)
class PrepareSettings:
    """Holds the settings of `sslmed prepare`. Photographs use only `size`, `photo` and, for fundus, `foreground`.

    Args:
        geometry: `cube` crops to the bounding box of the foreground and resizes to a cube, as in
            https://arxiv.org/abs/2006.03829; `spacing` resamples the whole volume to `spacing`.
        size: Side of the cube in voxels, or of the square in pixels.
        spacing: Voxel size in mm, for `spacing`, towards right, anterior and superior.
        hu_window: Hounsfield units that become 0 and 1 in a CT; by default the usual abdominal window.
        percentiles: Percentiles of a channel that become 0 and 1 in any other modality.
        foreground: Normalised intensity above which a voxel belongs to the bounding box of `cube`, or to the retina.
        photo: `fundus` crops photographs to the retina; `plain` keeps them whole, in the middle of a black square.

    Raises:
        UserError: If a setting is out of range.
    """

    geometry: Literal["cube", "spacing"] = "cube"
    size: int = 128
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    hu_window: tuple[float, float] = (-160.0, 240.0)
    percentiles: tuple[float, float] = (0.5, 99.5)
    foreground: float = 0.05
    photo: Literal["plain", "fundus"] = "plain"

    def __post_init__(self) -> None:
        # 1, 1.0 and [1] are the same setting, and have the same key.
        for name in ("spacing", "hu_window", "percentiles"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        _require(self.geometry in ("cube", "spacing"), "geometry", "cube or spacing", self.geometry)
        _require(2 <= self.size <= LARGEST, "size", f"from 2 to {LARGEST} voxels", self.size)
        is_spacing = len(self.spacing) == 3 and all(SHORTEST <= length < math.inf for length in self.spacing)
        _require(is_spacing, "spacing", f"three lengths of at least {SHORTEST} mm", self.spacing)
        is_used = self.geometry == "spacing" or set(self.spacing) == {1.0}
        _require(is_used, "spacing", "left out, or given together with geometry spacing", self.spacing)
        is_window = len(self.hu_window) == 2 and -math.inf < self.hu_window[0] < self.hu_window[1] < math.inf
        _require(is_window, "hu_window", "a low and a higher Hounsfield unit", self.hu_window)
        is_range = len(self.percentiles) == 2 and 0 <= self.percentiles[0] < self.percentiles[1] <= 100
        _require(is_range, "percentiles", "a low and a higher percentile, from 0 to 100", self.percentiles)
        _require(0 <= self.foreground < 1, "foreground", "from 0 to below 1", self.foreground)
        _require(self.photo in ("plain", "fundus"), "photo", "plain or fundus", self.photo)

    def key(self, dataset: str) -> str:
        """Return 12 hexadecimal digits that identify a store: these settings, and the name of what is prepared.

        Args:
            dataset: Name of the dataset and kind of its labels. A store follows its dataset, so its files are not here.
        """
        identity = json.dumps({"settings": asdict(self), "version": VERSION, "dataset": dataset}, sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:12]

    def describe(self, spatial_dims: int, modalities: Sequence[str]) -> dict[str, Any]:
        """Describe what a network must know of the images that it is applied to; settings without effect are left out.

        Args:
            spatial_dims: Dimensions of the images.
            modalities: Name of each channel.
        """
        described: dict[str, Any] = {"version": VERSION, "dimensions": spatial_dims}
        if spatial_dims == 2:
            described |= {"size": self.size, "photo": self.photo}
            return described | ({"foreground": self.foreground} if self.photo == "fundus" else {})
        described["geometry"] = self.geometry
        if self.geometry == "cube":
            described |= {"size": self.size, "foreground": self.foreground}
        else:
            described["spacing"] = [*self.spacing]
        are_ct = [is_ct(modality) for modality in modalities]
        described["normalisation"] = ["HU window" if each else "percentiles" for each in are_ct]
        if any(are_ct):
            described["hu_window"] = [*self.hu_window]
        if not all(are_ct):
            described["percentiles"] = [*self.percentiles]
        return described


def is_ct(modality: str) -> bool:
    """Return whether the name of a channel says that its values are Hounsfield units."""
    return modality.strip().upper() == "CT"


def preparation_differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Name what differs between two preparations, as `size (24 there, 128 here)`."""
    names = [name for name in dict.fromkeys((*there, *here)) if there.get(name) != here.get(name)]
    return [f"{name} ({there.get(name, 'none')} there, {here.get(name, 'none')} here)" for name in names]


def _require(valid: bool, name: str, expected: str, value: Any) -> None:  # noqa: ANN401 (shown, whatever it is)
    if not valid:
        raise UserError(f"{name} must be {expected}, not {value}")
