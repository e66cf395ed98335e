"""Reads a prepared dataset: one memory-mapped array per image and label."""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from sslmed.core.errors import UserError
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.readers.dataset import Labels
from sslmed.preparation.records import Record
from sslmed.preparation.settings import VERSION, PrepareSettings


class Store:
    """Reads the output of `sslmed prepare`: volumes (`spatial_dims` 3) or photographs (2), their labels and geometry.

    `labels` is the kind of labels, which determines the possible tasks: a `map` of class indices (positions in
    `label_values`), a `class` index or a `value` for each image, or `none`.

    Args:
        root: Folder with `store.json`.
        content: Contents of `store.json`, if they are not to be read.
        unprepared: Cases of a planned store that are not prepared yet.

    Attributes:
        digests: Case id -> SHA-256 of the image's voxels, the same in every format and preparation; of a photograph, of
            its prepared pixels.
        sources: Case id -> the dataset that it comes from, if the store was prepared from several.
        groups: Case id -> group, the same for the cases of a patient and for copies of an image.
        problems: What is wrong with the entries and images of the dataset that are not in the store, one line each.

    Raises:
        UserError: If the store does not exist, is not finished, or has another version.
    """

    def __init__(self, root: Path, content: Mapping[str, Any] | None = None, *, unprepared: Iterable[str] = ()) -> None:
        content = _read_summary(root) if content is None else content
        self.root = root
        self.unprepared = frozenset(unprepared)
        self.name: str = content["name"]
        self.spatial_dims: Literal[2, 3] = content["spatial_dims"]
        self.settings = PrepareSettings(**content["settings"])
        self.modalities: tuple[str, ...] = tuple(content["modalities"])
        self.labels: Labels = content["labels"]
        self.label_names: dict[int, str] = {int(value): name for value, name in content["label_names"].items()}
        self._codes: list[int] = content["codes"]
        self.labelled: tuple[str, ...] = tuple(content["labelled"])
        self.unlabelled: tuple[str, ...] = tuple(content["unlabelled"])
        self._records: dict[str, Record] = content["records"]
        self.digests: dict[str, str] = {case: record["digest"] for case, record in self._records.items()}
        self.groups: dict[str, str] = content["groups"]
        self.sources: dict[str, str] = content["sources"]
        unusable = (problem for record in content["left_out"].values() for problem in record["problems"])
        self.problems: tuple[str, ...] = (*content["problems"], *unusable)

    @property
    def cases(self) -> tuple[str, ...]:
        """Ids of all cases, sorted."""
        return tuple(sorted(self.labelled + self.unlabelled))

    @property
    def preparation(self) -> dict[str, Any]:
        """What a network must be applied to images with: all that changes their size, spacing and intensities."""
        return self.settings.describe(self.spatial_dims, self.modalities)

    def image_hash(self, case: str) -> str:
        """Return the hash of the image's file."""
        return str(self._records[case]["hashes"][0])

    def label_identity(self, case: str) -> str:
        """Return the hash of the label map's file, or the class or the value; empty for an unlabelled case."""
        return str(self._records[case]["label"])

    def distinct(self, cases: Iterable[str]) -> tuple[str, ...]:
        """Remove copies: keep the first of the cases with the same image."""
        return tuple({self.digests[case]: case for case in reversed([*cases])}.values())[::-1]

    @property
    def in_channels(self) -> int:
        """Number of image channels."""
        return len(self.modalities)

    @property
    def label_values(self) -> tuple[int, ...]:
        """Label values as in the files, sorted; for label maps 0 is the first."""
        return tuple(self.label_names)

    @property
    def num_classes(self) -> int:
        """Number of classes; for label maps including background."""
        return len(self.label_names)

    def image(self, case: str) -> NDArray[np.float16]:
        """Memory-map the image `(C, *grid)`, in [0, 1]."""
        return self._map(case, "image.npy")

    def label(self, case: str) -> NDArray[np.uint8]:
        """Read the label `(*grid)` of class indices."""
        return self.to_indices(self.label_map(case))

    def label_map(self, case: str) -> NDArray[np.uint8]:
        """Memory-map the label `(*grid)`, whose numbers `to_indices` converts."""
        return self._map(case, "label.npy")

    def foreground(self, case: str) -> NDArray[np.int32]:
        """Memory-map some voxels of the label `(*grid)`; see `foreground_voxels`."""
        return self._map(case, "foreground.npy")

    def native_label(self, case: str) -> NDArray[np.uint8]:
        """Read the label `(*original)` of class indices."""
        compressed = self._file(case, "native_label.npy.gz").read_bytes()
        label: NDArray[np.uint8] = np.load(io.BytesIO(igzip.decompress(compressed)))  # type: ignore[no-untyped-call]
        return self.to_indices(label)

    def classes(self, case: str) -> frozenset[int]:
        """Return the classes in the label `(*grid)`, or the case's class; empty for an unlabelled case."""
        return frozenset(map(self._codes.index, self._records[case]["classes"]))

    def lost(self, case: str) -> frozenset[int]:
        """Return the foreground classes of a scan's label that are not in the label `(*grid)`: no voxel is left."""
        return frozenset(map(self._codes.index, self._records[case].get("lost", ())))

    def value(self, case: str) -> float:
        """Return the value of a labelled case, if labels are values."""
        return float(self._records[case]["value"])

    def geometry(self, case: str) -> Geometry:
        """Return the geometry, which maps the grid back to that of the original file."""
        return Geometry.from_json(json.loads(self._file(case, "case.json").read_text(encoding="utf-8"))["geometry"])

    def to_indices(self, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Convert the numbers in a label map, or a part of one, to class indices, if they differ."""
        if self._codes == list(range(len(self._codes))):
            return label
        indices = np.zeros(256, dtype=np.uint8)
        indices[self._codes] = np.arange(len(self._codes))
        return indices[label]

    def _map(self, case: str, name: str) -> NDArray[Any]:
        # numpy would resolve every link of a Path, which takes a third of the time.
        array: NDArray[Any] = np.load(str(self._file(case, name)), mmap_mode="r")
        return array

    def _file(self, case: str, name: str) -> Path:
        path = self.root / "cases" / case / name
        if not path.is_file():
            counts = f"{len(self.labelled)} labelled and {len(self.unlabelled)} unlabelled cases"
            raise UserError(f"{self.root}: has no {name.partition('.')[0]} of case {case!r}; the store has {counts}")
        return path


def _read_summary(root: Path) -> dict[str, Any]:
    path = root / "store.json"
    if not path.is_file():
        raise UserError(
            f"{root}: is not a prepared dataset, or not finished; run `sslmed prepare DATA --store {root}` (again)"
        )
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = content["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error}); prepare the data again, into another folder") from error
    if version != VERSION:
        raise UserError(
            f"{root}: was prepared by another version of sslmed; prepare the data again, into another folder"
        )
    return content
