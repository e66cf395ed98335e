"""One training step, as sslmed does it in several ways, and in the straightforward way: the same network and loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.losses.dice import DiceCELoss
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import reference, reference_tasks, tasks
from benchmarks.rates import synchronise
from sslmed.downstream import Segmentation
from sslmed.encoders import UNetEncoder
from sslmed.learning.layout import store_channels_last

NUM_CLASSES = 3
SEGMENTATION = "segmentation"
Step = Callable[[], Tensor]


@dataclass(frozen=True)
class Way:
    """Sets how a step is computed."""

    precision: str = "fp32"
    channels_last: bool = True
    compiled: bool = False
    captured: bool = False

    @property
    def name(self) -> str:
        """Text in tables."""
        layout = "channels last" if self.channels_last else "default layout"
        return f"{self.precision}, {layout}{', compiled' * self.compiled}{', captured' * self.captured}"


@dataclass(frozen=True)
class Work:
    """Describes the work of a step: a task's name, side of the volumes, volumes per batch, and the network."""

    task: str
    side: int
    batch: int
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    dropout: float = 0.5

    def module(self) -> Any:  # noqa: ANN401 - a pretext task or a segmentation
        """Build the network, with the same weights at every call."""
        if self.task != SEGMENTATION:
            return tasks.build(self.task, self.widths, self.dropout)
        torch.manual_seed(0)
        loss = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False, batch=True)
        encoder = UNetEncoder(3, 1, widths=self.widths, dropout=self.dropout)
        return Segmentation(encoder, range(NUM_CLASSES), loss=loss, dropout=self.dropout)

    def data(self) -> dict[str, Tensor]:
        """A batch as the loader gives it: images float16, labels uint8."""
        generator = torch.Generator().manual_seed(0)
        shape = (self.side,) * 3
        images = torch.rand(self.batch, 1, *shape, generator=generator).half()
        return {"image": images, "label": (images[:, 0] * NUM_CLASSES).clamp(max=NUM_CLASSES - 1).byte()}


def count_flops(work: Work) -> int:
    """Floating-point operations of forward and backward pass; on the meta device, where only shapes are computed."""
    module, images = work.module(), work.data()["image"]
    inputs = images if work.task == SEGMENTATION else module.make_task(images)[0]
    with FlopCounterMode(display=False) as counter:
        module.to("meta")(inputs.float().to("meta")).sum().backward()
    flops: int = counter.get_total_flops()
    return flops


def our_update(work: Work, way: Way, device: torch.device) -> Callable[[dict[str, Any]], Tensor]:
    """Build the function that does one update on a batch, as Lightning would with this precision and layout."""
    module = work.module().to(device)
    if way.channels_last:
        store_channels_last(module)
    if way.compiled:
        module.compile()
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3, fused=True)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=way.precision == "bf16")

    if way.captured:
        module.capture_steps()

    def update(batch: dict[str, Any]) -> Tensor:
        with autocast:
            loss: Tensor = module.training_step(batch, 0)
        optimizer.zero_grad()
        module.backward(loss)
        optimizer.step()
        return loss.detach()

    return update


def our_step(work: Work, way: Way, device: torch.device) -> Step:
    """One update on a batch that is already on the device."""
    update = our_update(work, way, device)
    batch = {name: tensor.to(device) for name, tensor in work.data().items()}

    def step() -> Tensor:
        loss = update(batch)
        synchronise(device)
        return loss

    return step


def reference_step(work: Work, device: torch.device) -> Step:
    """One update in fp32, in the default layout, on inputs that are made in numpy and one-hot labels in float64."""
    module = work.module().to(device)
    data = work.data()
    volumes = [*data["image"].float().numpy()]
    labels = [torch.from_numpy(reference.one_hot(label.numpy(), NUM_CLASSES)) for label in data["label"]]
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)

    def loss_of_batch() -> Tensor:
        if work.task == SEGMENTATION:
            images = torch.stack([torch.from_numpy(volume) for volume in volumes]).to(device)
            loss: Tensor = reference.segmentation_loss(module(images), torch.stack(labels).float().to(device))
            return loss
        inputs, targets = reference_tasks.TASKS[work.task](module, volumes, rng)
        task_loss: Tensor = module.loss(module(inputs.to(device)), None if targets is None else targets.to(device))
        return task_loss

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of_batch()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        synchronise(device)
        return loss.detach()

    return step
