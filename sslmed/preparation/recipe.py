"""What an image goes through before a network sees it, and what the network's classes mean: recorded with every run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from sslmed.core.errors import DataError
from sslmed.core.files import write_text
from sslmed.core.nearest import did_you_mean_path
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.photograph import digest_of_pixels, place_photo, prepare_photo
from sslmed.preparation.readers.dataset import Case, Labels
from sslmed.preparation.readers.dicom import is_series
from sslmed.preparation.readers.volumes import Volume, read_channels
from sslmed.preparation.settings import VERSION, PrepareSettings
from sslmed.preparation.store import Store
from sslmed.preparation.volume import digest_of, prepare_read

Prepared = tuple[NDArray[np.float16], Geometry]
"""An image `(C, *grid)` in [0, 1], and the position of its grid in the file or the array."""


@dataclass(frozen=True)
class Recipe:
    """Prepares any image as `sslmed prepare` prepared those of a dataset.

    Args:
        dataset: Name of the dataset.
        spatial_dims: 3 for volumes, 2 for photographs.
        modalities: Name of each image channel.
        settings: Settings of the preparation.
        labels: Kind of the labels.
        label_names: Name of each label value, sorted by value.
    """

    dataset: str
    spatial_dims: Literal[2, 3]
    modalities: tuple[str, ...]
    settings: PrepareSettings
    labels: Labels
    label_names: dict[int, str]

    @classmethod
    def of_store(cls, store: Store) -> Self:
        """Return the recipe of a prepared dataset."""
        return cls(store.name, store.spatial_dims, store.modalities, store.settings, store.labels, store.label_names)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Build a recipe from the output of `to_json`.

        Raises:
            DataError: If images were prepared otherwise by the version of sslmed that wrote it.
        """
        fields = {**content}
        if (version := fields.pop("version")) != VERSION:
            problem = f"its images were prepared in form {version}, this version of sslmed prepares in {VERSION}"
            raise DataError([f"{problem}: install the version that it was trained with"])
        fields["modalities"] = tuple(fields["modalities"])
        fields["settings"] = PrepareSettings(**fields["settings"])
        fields["label_names"] = {int(value): name for value, name in fields["label_names"].items()}
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        content: dict[str, Any] = json.loads(json.dumps({"version": VERSION} | asdict(self)))
        return content

    def save(self, path: Path) -> None:
        """Write the recipe to a file."""
        write_text(path, json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n")

    def read_file(self, path: Path, *channels: Path) -> tuple[Prepared, str]:
        """Read, check and prepare an image.

        Args:
            path: A file of a volume, the folder of a DICOM series, or a photograph.
            *channels: Files of the other channels, if each channel is a file.

        Returns:
            The prepared image, and the digest that it has in stores.

        Raises:
            DataError: If the file cannot be used.
        """
        for file in (path, *channels):
            if not file.exists() and not is_series(file):
                raise DataError([f"{file}: no such file or folder{did_you_mean_path(file)}"])
        if self.spatial_dims == 2:
            prepared = prepare_photo(path, self.settings)
            return prepared, digest_of_pixels(prepared[0])
        image = read_channels((path, *channels), self.modalities)
        digest = digest_of(image)
        return self._prepare_volume(path, image), digest

    def prepare_array(self, array: ArrayLike, affine: ArrayLike | None = None, name: str = "the array") -> Prepared:
        """Check and prepare an image in memory.

        Args:
            array: `(I, J, K)` or `(C, I, J, K)`; of a photograph `(rows, columns)` or `(rows, columns, 3)`, 0 to 255.
            affine: `(4, 4)`, from voxel indices to mm, towards right, anterior and superior. By default voxels are 1 mm
                wide and lie in this order; if images are resampled to a spacing, the affine must be given.
            name: Name of the image in messages.

        Raises:
            DataError: If the array cannot be used.
        """
        if self.spatial_dims == 2:
            return self._prepare_pixels(np.asarray(array), name)
        try:
            voxels = np.array(array, dtype=np.float32)  # a copy: it is normalised in place
            matrix = np.eye(4) if affine is None else np.array(affine, dtype=np.float64)
        except (TypeError, ValueError) as error:
            given = type(array).__name__
            raise DataError(
                [f"{name}: expected numbers, got {given} ({error}); give a file, or voxels and affine"]
            ) from error
        voxels = voxels[None] if voxels.ndim == 3 else voxels
        if voxels.ndim != 4 or len(voxels) != len(self.modalities):
            expected = f"(I, J, K) or ({len(self.modalities)}, I, J, K)"
            raise DataError([f"{name}: has shape {np.shape(array)}, expected {expected}"])
        if matrix.shape != (4, 4):
            raise DataError([f"{name}: has an affine of shape {matrix.shape}, expected (4, 4)"])
        if not np.isfinite(voxels).all() or any(channel.min() == channel.max() for channel in voxels):
            raise DataError([f"{name}: holds NaN or infinite voxels, or a channel is constant"])
        if affine is None and self.settings.geometry == "spacing":
            raise DataError([f"{name}: has no spacing, and is to be resampled to one; give its affine"])
        return self._prepare_volume(Path(name), Volume(voxels, [matrix], {}))

    def _prepare_volume(self, path: Path, image: Volume) -> Prepared:
        arrays, geometry = prepare_read(Case(path.name, path), image, None, self.modalities, self.settings)
        return arrays["image"], geometry

    def _prepare_pixels(self, pixels: NDArray[Any], name: str) -> Prepared:
        if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] == 3)):
            expected = "uint8 (rows, columns) or (rows, columns, 3)"
            raise DataError([f"{name}: is {pixels.dtype} {pixels.shape}, expected {expected}"])
        return place_photo(Image.fromarray(pixels).convert("RGB"), Path(name), self.settings)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe that `Recipe.save` wrote.

    Raises:
        DataError: If it cannot be used; the file is named.
    """
    try:
        return Recipe.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (DataError, ValueError, KeyError, TypeError) as error:
        raise DataError([f"{path}: cannot be used ({error}); train the run again"]) from error
