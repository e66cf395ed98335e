"""What is to be exported, for the writers of all formats."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from sslmed.core.errors import UserError
from sslmed.encoders.weights_file import read_state
from sslmed.exporting.card import write_card
from sslmed.exporting.description import FILE, Description
from sslmed.exporting.model import Model, build_model
from sslmed.exporting.trained_run import TrainedRun


@dataclass(frozen=True)
class Request:
    """Holds a run, and what of it is exported.

    Args:
        trained: The run.
        description: What is exported.
        name: Name of the model.
        licence: Licence of the weights.
        size: Sides in voxels of the input that the user wants; `None` for those of training.
    """

    trained: TrainedRun
    description: Description
    name: str
    licence: str
    size: Sequence[int] | None = None

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The tensors, with the names that they have in checkpoints."""
        state = read_state(self.trained.checkpoint)
        is_whole = self.description.part != "encoder"
        return {name: value.contiguous() for name, value in state.items() if is_whole or name.startswith("encoder.")}

    @cached_property
    def model(self) -> Model:
        """The model."""
        return build_model(self.description, self.trained.checkpoint)

    @property
    def input_size(self) -> tuple[int, ...]:
        """Sides in voxels of the input, for formats that fix them.

        Raises:
            UserError: If they are not known, or not one for each axis.
        """
        dims = self.description.spatial_dims
        size = self.description.input_size if self.size is None else tuple(self.size)
        if size is None:
            raise UserError(
                f"{self.trained.files.path}: its images differ in size; give --size, {dims} sides in voxels"
            )
        if len(size) != dims or min(size) < 1:
            raise UserError(f"--size: expected {dims} sides in voxels, got {' '.join(map(str, size))}")
        return size

    def example(self, batch: int) -> Tensor:
        """Return images `(batch, C, *input_size)` of noise, the same at every call."""
        generator = torch.Generator().manual_seed(0)
        return torch.rand(batch, self.description.in_channels, *self.input_size, generator=generator)

    def write_description(self, folder: Path, form: str, card: str = "README.md") -> None:
        """Write `config.json` and the model card."""
        (folder / FILE).write_text(json.dumps(self.description.to_json(), indent=1, ensure_ascii=False) + "\n", "utf-8")
        size = self.input_size if form == "onnx" else ()
        write_card(folder / card, self.description, name=self.name, form=form, licence=self.licence, size=size)
