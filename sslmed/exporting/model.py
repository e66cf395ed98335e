"""A trained network with its preprocessing, which is applied to any image: `sslmed.load`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchio
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from sslmed.core.errors import UserError
from sslmed.downstream import Classification, Segmentation
from sslmed.downstream.base import DownstreamTask
from sslmed.downstream.writers import MASKS, write_map
from sslmed.encoders import Encoder
from sslmed.encoders.weights_file import fill, read_state
from sslmed.exporting.build import build_network
from sslmed.exporting.description import FILE, Description, read_description
from sslmed.exporting.trained_run import read_run
from sslmed.preparation.geometry import Geometry
from sslmed.preparation.readers.torchio_image import voxels_of
from sslmed.preparation.recipe import Prepared
from sslmed.training.run_directory import RunDirectory

Source = str | Path | ArrayLike | torchio.Image | torchio.Subject
"""A file, an array, or an image of torchio's."""


@dataclass(frozen=True)
class Mask:
    """A segmentation on the grid of its image. `numpy.asarray` gives its labels.

    Attributes:
        labels: `(*original)`, with the values of the label files.
        geometry: Where the image lies.
    """

    labels: NDArray[Any]
    geometry: Geometry = field(repr=False)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401
        return np.array(self.labels, dtype=dtype, copy=copy)

    def save(self, path: str | Path) -> None:
        """Write the mask: as NIfTI, NRRD or MetaImage that lies where the image does, or of a photograph as PNG.

        Raises:
            UserError: If the file name has another ending.
        """
        path = Path(path)
        endings = (".png",) if self.labels.ndim == 2 else MASKS
        if not path.name.endswith(endings):
            raise UserError(f"{path}: a mask of this image is written as {' or '.join(endings)}; rename it")
        write_map(path, self.labels, self.geometry)


@dataclass(frozen=True)
class Classes:
    """The class of an image.

    Attributes:
        name: The most probable class, or for grades the decided one.
        index: Its position among the classes.
        probabilities: Of each class.
    """

    name: str
    index: int
    probabilities: dict[str, float]


def row_of(answer: Classes | float, *, probabilities: bool = True) -> dict[str, Any]:
    """Return a class, with the probability of each class, or a value, as columns of a table."""
    if isinstance(answer, float):
        return {"value": answer}
    each = {f"probability_{name}": value for name, value in answer.probabilities.items()}
    return {"class": answer.name, **(each if probabilities else {})}


class Model(nn.Module):
    """Applies a trained network to images: prepares them as in training, and maps the answer back.

    Args:
        network: The network, or an encoder.
        description: What it is.
    """

    def __init__(self, network: nn.Module, description: Description) -> None:
        super().__init__()
        self.network = network
        self.description = description
        self.eval()

    def forward(self, images: Tensor) -> Any:  # noqa: ANN401 - logits, values, or a list of feature maps
        """Apply the network to prepared images `(B, C, *spatial)`."""
        return self.network(images)

    @property
    def encoder(self) -> Encoder:
        """The encoder, also of a whole network."""
        encoder: Any = self.network if self.description.part == "encoder" else self.network.encoder
        return encoder  # type: ignore[no-any-return]

    def prepare(self, image: Source, affine: ArrayLike | None = None) -> Prepared:
        """Read an image and prepare it as in training; see `predict`.

        Returns:
            float16 `(C, *grid)` in [0, 1], and the position of the grid in the image.
        """
        recipe = self.description.recipe
        if isinstance(image, str | Path):
            return recipe.read_file(Path(image))[0]
        if isinstance(image, torchio.Image | torchio.Subject):
            return recipe.prepare_array(*voxels_of(image), name="the torchio image")
        return recipe.prepare_array(image, affine)

    def predict(self, image: Source, affine: ArrayLike | None = None) -> Mask | Classes | float:
        """Segment or classify an image, or predict its value.

        Args:
            image: A file of a volume, the folder of a DICOM series, or a photograph; a torchio image or subject, whose
                images are the channels; or an array `(I, J, K)`, `(C, I, J, K)`, or of a photograph uint8 `(rows,
                columns[, 3])`.
            affine: For an array: `(4, 4)`, from voxel indices to mm. By default voxels of 1 mm that run to the right,
                anterior and superior.

        Returns:
            A mask on the image's own grid, its class, or its value.

        Raises:
            UserError: If the image cannot be used, or the network is an encoder or was only pretrained.
        """
        prepared, geometry = self.prepare(image, affine)
        return self.answer(self.outputs(prepared), geometry)

    @property
    def task(self) -> DownstreamTask:
        """The network, if it predicts.

        Raises:
            UserError: If it is an encoder, or was only pretrained.
        """
        if not isinstance(self.network, DownstreamTask):
            raise UserError("an encoder, or a network that was only pretrained, predicts nothing: use `encode`")
        return self.network

    @torch.inference_mode()
    def outputs(self, image: NDArray[np.float16], others: Sequence["Model"] = (), *, flips: bool = False) -> Tensor:
        """Apply the network to a prepared image `(C, *grid)`.

        Args:
            image: See `prepare`.
            others: Other models, to take the mean over all.
            flips: Take the mean over flipped images, too.

        Returns:
            Class probabilities `(K, *grid)` or `(K,)`, or a value `()`, on the CPU.
        """
        images = torch.from_numpy(image)[None].float()
        outputs: Tensor = self.task.infer(images, [model.task for model in others], flips=flips)[0]
        return outputs

    def answer(self, outputs: Tensor, geometry: Geometry) -> Mask | Classes | float:
        """Turn outputs into a mask on the image's own grid, its class, or its value."""
        task = self.task
        if isinstance(task, Segmentation):
            return Mask(task.label_map(outputs.numpy(), geometry), geometry)
        if not isinstance(task, Classification):
            return float(outputs)
        names = list(self.description.recipe.label_names.values())
        index = int(task.objective.decide(outputs[None]))
        return Classes(names[index], index, dict(zip(names, outputs.tolist(), strict=True)))

    @torch.inference_mode()
    def encode(self, image: Source, affine: ArrayLike | None = None) -> list[Tensor]:
        """Compute the encoder's feature maps `(1, C_i, *spatial_i)` of an image, finest first; see `predict`."""
        prepared, _ = self.prepare(image, affine)
        device = next(self.network.parameters()).device
        maps: list[Tensor] = self.encoder(torch.from_numpy(prepared)[None].to(device).float())
        return maps


def load(path: str | Path) -> Model:
    """Load a network with its preprocessing.

    Args:
        path: An export, or the directory of a finished run.

    Raises:
        UserError: If it is neither, or cannot be used here.
    """
    path = Path(path)
    if (path / FILE).is_file():
        description, weights = read_description(path), path
    else:
        _refuse_file(path)
        run = read_run(path)
        description, weights = Description.of_run(run), run.checkpoint
    return build_model(description, weights)


def _refuse_file(path: Path) -> None:
    """Refuse a file within an export or a run, and name the folder."""
    for folder in path.parents[:2] if path.is_file() else ():
        if (folder / FILE).is_file() or RunDirectory(folder).is_done:
            raise UserError(f"{path}: is a file of {folder}; give this folder")


def build_model(description: Description, weights: Path) -> Model:
    """Build a model and load its weights from a checkpoint or an export.

    Raises:
        UserError: If they do not fit.
    """
    network = build_network(description.network)
    state = read_state(weights)
    if description.part == "encoder":
        state = {name.removeprefix("encoder."): each for name, each in state.items() if name.startswith("encoder.")}
    fill(network, state, weights)
    return Model(network, description)
