"""Defines the settings of the preparation: all that change a prepared array."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sslmed.core.errors import UserError

VERSION = 5  # of the prepared arrays and their files; increase it if one of them changes

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
        is_window = len(self.hu_window) == 2 and -math.inf < self.hu_window[0] < self.hu_window[1] < math.inf
        _require(is_window, "hu_window", "a low and a higher Hounsfield unit", self.hu_window)
        is_range = len(self.percentiles) == 2 and 0 <= self.percentiles[0] < self.percentiles[1] <= 100
        _require(is_range, "percentiles", "a low and a higher percentile, from 0 to 100", self.percentiles)
        _require(0 <= self.foreground < 1, "foreground", "from 0 to below 1", self.foreground)
        _require(self.photo in ("plain", "fundus"), "photo", "plain or fundus", self.photo)

    def key(self, digest: str) -> str:
        """Return 12 hexadecimal digits that identify the prepared arrays of a dataset.

        Args:
            digest: Digest of the dataset.
        """
        identity = json.dumps({"settings": asdict(self), "version": VERSION, "dataset": digest}, sort_keys=True)
        return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _require(valid: bool, name: str, expected: str, value: Any) -> None:  # noqa: ANN401 (shown, whatever it is)
    if not valid:
        raise UserError(f"{name} must be {expected}, not {value}")
