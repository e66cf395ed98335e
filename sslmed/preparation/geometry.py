"""Maps an image to its prepared grid, and predictions back: order and direction of the axes, crop and resize."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self, TypeVar

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import ArrayLike, NDArray

from sslmed.preparation.resize import nearest, resize, resize_axis

Ints = tuple[int, ...]
Scalar = TypeVar("Scalar", bound=np.generic)

VOXELS_AT_ONCE = 2**24  # of scores that are mapped back; each needs 4 bytes, some times over


@dataclass(frozen=True)
class Geometry:
    """Describes the position of a prepared grid in the original grid. Leading axes of arrays are not changed.

    Source of affines: https://nipy.org/nibabel/coordinate_systems.html.

    Args:
        original_shape: `(I, J, K)` of the file, or rows and columns of a photograph.
        original_affine: Rows of the file's affine, or of the unit matrix for a photograph.
        axes: Prepared axis `a` is the original axis `axes[a]`.
        flips: Prepared axis `a` is reversed if `flips[a]`.
        start: First voxel of the crop on each prepared axis; below 0 if the crop begins outside the image.
        stop: One beyond the last voxel of the crop. The part of the crop outside the image is background.
        grid: Shape of the resized crop, in voxels.
        header: Fields of the file's header that say where its voxels lie; empty for a photograph. Written masks have
            them too.
    """

    original_shape: Ints
    original_affine: tuple[tuple[float, ...], ...]
    axes: Ints
    flips: tuple[bool, ...]
    start: Ints
    stop: Ints
    grid: Ints
    header: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def closest_to_ras(
        cls, shape: Sequence[int], affine: NDArray[np.float64], header: dict[str, Any] | None = None
    ) -> Self:
        """Permute and flip the axes to be closest to right, anterior, superior, without crop and resize.

        Args:
            shape: `(I, J, K)` of the file.
            affine: `(4, 4)`, from voxel indices to mm.
            header: Fields of the file's header that say where its voxels lie.
        """
        orientation = io_orientation(affine)  # type: ignore[no-untyped-call]
        axes = tuple(int(axis) for axis in np.argsort(orientation[:, 0]))
        sides = tuple(int(shape[axis]) for axis in axes)
        return cls(
            original_shape=tuple(map(int, shape)),
            original_affine=tuple(tuple(map(float, row)) for row in affine),
            axes=axes,
            flips=tuple(bool(orientation[axis, 1] < 0) for axis in axes),
            start=(0,) * len(axes),
            stop=sides,
            grid=sides,
            header=header or {},
        )

    @classmethod
    def of_photograph(cls, shape: tuple[int, int], start: tuple[int, int], side: int, grid: int) -> Self:
        """Crop a square, which may extend beyond the photograph, and resize it.

        Args:
            shape: Rows and columns of the photograph.
            start: First row and column of the square.
            side: Side of the square in pixels.
            grid: Side of the resized square in pixels.
        """
        return cls(
            original_shape=shape,
            original_affine=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
            axes=(0, 1),
            flips=(False, False),
            start=start,
            stop=(start[0] + side, start[1] + side),
            grid=(grid, grid),
        )

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Build a geometry from the output of `to_json`."""
        others = {name: tuple(value) for name, value in fields.items() if name not in ("original_affine", "header")}
        rows = tuple(tuple(row) for row in fields["original_affine"])
        return cls(**others, original_affine=rows, header=fields["header"])

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; floats are preserved exactly."""
        return asdict(self)

    @property
    def affine(self) -> NDArray[np.float64]:
        """`(4, 4)`, from original voxel indices to mm, as in the file."""
        return np.array(self.original_affine)

    @property
    def spacing(self) -> NDArray[np.float64]:
        """Voxel size in mm before resizing, along the prepared axes."""
        return self._lengths[list(self.axes)]

    @property
    def original_spacing(self) -> tuple[float, ...] | None:
        """Voxel size in mm along the axes of the file; `None` for a photograph, whose pixel size is unknown."""
        return tuple(map(float, self._lengths)) if len(self.original_shape) == 3 else None

    @property
    def _lengths(self) -> NDArray[np.float64]:
        lengths: NDArray[np.float64] = np.linalg.norm(self.affine[:-1, :-1], axis=0)
        return lengths

    def orient(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view of `(..., *original)` along the prepared axes."""
        n_leading = array.ndim - len(self.axes)
        moved: NDArray[Any] = array.transpose(*range(n_leading), *(n_leading + axis for axis in self.axes))
        return np.flip(moved, tuple(n_leading + axis for axis, flip in enumerate(self.flips) if flip))

    def prepare_image(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map a scan `(C, *original)` to `(C, *grid)` by linear interpolation, with averaging where it shrinks."""
        return resize(self.orient(image)[:, *self._crop], self.grid)

    def prepare_labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Map labels `(*original)` to `(*grid)` by nearest neighbours."""
        crop = self.orient(labels)[self._crop]
        if crop.shape != self._crop_shape:
            crop, whole = np.zeros(self._crop_shape, dtype=np.uint8), crop
            crop[self._inside] = whole
        return nearest(crop, self.grid)

    def restore_labels(self, labels: ArrayLike) -> NDArray[np.uint8]:
        """Map label indices `(*grid)` to `(*original)` by nearest neighbours; background outside the crop."""
        return self._restore(nearest(np.asarray(labels, dtype=np.uint8), self._crop_shape))

    def restore_scores(self, scores: ArrayLike) -> NDArray[np.uint8]:
        """Map class scores `(K, *grid)` to label indices `(*original)` by linear interpolation, then argmax."""
        labels = np.zeros(self._crop_shape, dtype=np.uint8)
        for part, slab in self._in_slabs(np.asarray(scores)):
            best = slab[0].copy()
            for index, score in enumerate(slab[1:], start=1):
                labels[part][score > best] = index
                np.maximum(best, score, out=best)
        return self._restore(labels)

    def restore_score(self, score: ArrayLike, outside: float) -> NDArray[np.float32]:
        """Map a score `(*grid)` to `(*original)` by linear interpolation; `outside` of the crop it is that."""
        crop = np.empty(self._crop_shape, dtype=np.float32)
        for part, slab in self._in_slabs(np.asarray(score)[None]):
            crop[part] = slab[0]
        return self._restore(crop, outside)

    def _in_slabs(self, scores: NDArray[np.floating[Any]]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Resize scores `(K, *grid)` to the crop, slab by slab along its first axis, as whole crops are large."""
        length, *others = self._crop_shape
        weights = resize_axis(np.eye(self.grid[0], dtype=np.float32), 0, length)  # which is linear
        step = max(1, VOXELS_AT_ONCE // math.prod((len(scores), *others)))
        for first in range(0, length, step):
            part = slice(first, min(first + step, length))
            used = np.flatnonzero(weights[part].any(axis=0))
            seen = slice(used[0], used[-1] + 1)
            slab = np.tensordot(weights[part, seen], scores[:, seen].astype(np.float32), axes=(1, 1)).swapaxes(0, 1)
            yield part, resize(slab, slab.shape[1:2] + tuple(others))

    @property
    def _crop(self) -> tuple[slice, ...]:
        """The part of the image that lies in the crop."""
        sides = (self.original_shape[axis] for axis in self.axes)
        return tuple(
            slice(max(start, 0), min(stop, side))
            for start, stop, side in zip(self.start, self.stop, sides, strict=True)
        )

    @property
    def _inside(self) -> tuple[slice, ...]:
        """The same part, counted from the crop's first voxel."""
        return tuple(
            slice(part.start - start, part.stop - start) for part, start in zip(self._crop, self.start, strict=True)
        )

    @property
    def _crop_shape(self) -> Ints:
        return tuple(stop - start for start, stop in zip(self.start, self.stop, strict=True))

    def _restore(self, crop: NDArray[Scalar], outside: float = 0) -> NDArray[Scalar]:
        original = np.full(self.original_shape, outside, dtype=crop.dtype)
        self.orient(original)[self._crop] = crop[self._inside]  # orient gives a view
        return original
