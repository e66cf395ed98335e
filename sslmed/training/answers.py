"""Pictures with captions: validation cases, the inputs that a pretext task makes of them, and the network's answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import Trainer
from torch import Tensor

from sslmed.core.files import atomic_path
from sslmed.data.datamodule import StoreDataModule
from sslmed.data.samples import Sample
from sslmed.learning.distributed import alone
from sslmed.pretext.base import Answer, PretextTask
from sslmed.training.pictures import Picture, draw_puzzle

EXAMPLES = 4
"""Number of cases in pictures."""


@dataclass(frozen=True)
class Drawn:
    """A picture of a case.

    Attributes:
        case: Id of the case.
        picture: The case, the network's input and, if it is an image, the answer.
        words: The answer in words, if it has any.
    """

    case: str
    picture: Picture
    words: str = ""

    def caption(self, case: str) -> str:
        """Put the answer behind the name of the case."""
        return ": ".join(filter(None, (case, self.words)))


def validation_batches(trainer: Trainer) -> Iterator[Sample]:
    """Yield validation batches on the model's device. A loader's iterator would advance the random generator."""
    data: StoreDataModule = trainer.datamodule  # type: ignore[attr-defined]
    loader = trainer.val_dataloaders or data.val_dataloader()  # the one in use, which may be kept on the device
    for draws in loader.batch_sampler:
        batch = loader.collate_fn([loader.dataset[draw] for draw in draws])
        yield data.transfer_batch_to_device(batch, trainer.lightning_module.device, 0)


def draw_tasks(trainer: Trainer, *, answered: bool) -> list[Drawn]:
    """Draw a few validation cases, the network's inputs and its answers.

    Args:
        trainer: Trainer with the pretext task and the data.
        answered: Whether to show answers. Before training they mean nothing.
    """
    task: PretextTask[Any] = trainer.lightning_module  # type: ignore[assignment]
    of_volumes = trainer.datamodule.store.spatial_dims == 3  # type: ignore[attr-defined]
    batch = next(validation_batches(trainer))
    images: Tensor = batch["image"]
    training = task.training
    task.eval()
    with torch.no_grad(), alone():
        inputs, targets = task.make_task(images, torch.Generator(images.device).manual_seed(0))
        answers = task.answers(task(inputs), targets) if answered else [Answer()] * len(images)
    shown = inputs
    while isinstance(shown, tuple):  # of several tasks, the first; of images and a mask, the images
        shown = shown[0]
    task.train(training)
    return [
        Drawn(
            case,
            draw_puzzle(
                to_numpy(image),
                to_numpy(seen),
                answer=None if answer.image is None else to_numpy(answer.image),
                of_volume=of_volumes,
            ),
            answer.words,
        )
        for case, image, seen, answer in list(zip(batch["case"], images, shown, answers, strict=True))[:EXAMPLES]
    ]


def save_answers(path: Path, pictures: Sequence[Picture]) -> None:
    """Write pictures of equal width, stacked, as PNG."""
    with atomic_path(path) as temporary:
        Image.fromarray(np.concatenate(pictures)).save(temporary, "png", optimize=True)


def to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Convert a tensor on any device to numpy; bfloat16 becomes float32."""
    array: np.ndarray[Any, Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy()
    return array
