"""What holds for every pretext task, in 2-D and 3-D, on a U-Net and, for colour photographs, on a DenseNet."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from sslmed.encoders import DenseNetEncoder, Encoder, UNetEncoder
from sslmed.pretext import CPC, Exemplar, Jigsaw, PretextTask, RelativePatchLocation, Rotation

TASKS = {
    "rotation": Rotation,
    "jigsaw": Jigsaw,
    "rpl": RelativePatchLocation,
    "exemplar": Exemplar,
    "cpc": CPC,
    "cpc-bce": partial(CPC, objective="bce"),
}
ENCODERS: dict[str, Callable[[], Encoder]] = {
    "unet-2d": lambda: UNetEncoder(2, 2, widths=(4, 8, 16), dropout=0.0),
    "unet-3d": lambda: UNetEncoder(3, 2, widths=(4, 8, 16), dropout=0.0),
    "densenet-2d": lambda: DenseNetEncoder(2, 3, block_config=(2, 2), growth_rate=8, init_features=8),
}
# Images of unequal sides, except for rotation; every patch is at least 5 voxels wide.
SHAPES = {2: (26, 31), 3: (18, 19, 21)}

every_task = pytest.mark.parametrize("name", TASKS)
every_encoder = pytest.mark.parametrize("encoder", ENCODERS)


def build(name: str, encoder: str, device: torch.device | str = "cpu") -> PretextTask:
    torch.manual_seed(0)
    make: Callable[..., PretextTask] = TASKS[name]
    return make(ENCODERS[encoder]()).to(device)


def draw_images(task: PretextTask, batch_size: int) -> torch.Tensor:
    dims = task.encoder.spatial_dims
    shape = (20,) * dims if isinstance(task, Rotation) else SHAPES[dims]
    images = torch.rand(batch_size, task.encoder.in_channels, *shape, generator=torch.Generator().manual_seed(1))
    return images.to(task.device)


@every_task
@every_encoder
def test_contract(name, encoder, device):
    task = build(name, encoder, device)
    images = draw_images(task, 3)
    before = images.clone()
    inputs, targets = task.make_task(images)
    assert torch.equal(images, before)
    assert inputs.shape[0] == 3
    assert inputs.shape[-task.encoder.spatial_dims - 1] == task.encoder.in_channels
    assert inputs.dtype == images.dtype
    assert targets is None or targets.shape == (3,)
    outputs = task(inputs)
    loss = task.loss(outputs, targets)
    loss.backward()
    untouched = [key for key, each in task.named_parameters() if each.grad is None or not each.grad.any()]
    assert not [key for key in untouched if key.startswith("encoder.")]
    # An answer that does not depend on the image costs what chance costs.
    uninformed = task.loss(torch.zeros_like(outputs), targets)
    assert uninformed.item() == pytest.approx(task.chance_loss(3), abs=1e-5)
    assert 0.3 < loss.item() / task.chance_loss(3) < 2


@every_task
def test_weights_hand_over_by_the_prefix(name):
    task = build(name, "densenet-2d")
    keys = {key.removeprefix("encoder.") for key in task.state_dict() if key.startswith("encoder.")}
    assert keys == task.encoder.state_dict().keys()


@every_task
@every_encoder
def test_a_generator_decides_everything(name, encoder, device):
    task = build(name, encoder, device)
    images = draw_images(task, 4)

    def draw(seed: int) -> tuple[torch.Tensor, torch.Tensor | None]:
        return task.make_task(images, torch.Generator(device).manual_seed(seed))

    get_state = torch.get_rng_state if device.type == "cpu" else torch.cuda.get_rng_state
    state = get_state()
    (inputs, targets), (again, same_targets), (other, _) = draw(1), draw(1), draw(2)
    assert torch.equal(get_state(), state)
    assert torch.equal(inputs, again)
    assert targets is None or torch.equal(targets, same_targets)
    assert not torch.equal(inputs, other)
    torch.manual_seed(3)
    first = task.make_task(images)[0]
    torch.manual_seed(3)
    assert torch.equal(task.make_task(images)[0], first)


@every_task
def test_validation_repeats(name, device, monkeypatch):
    task = build(name, "unet-3d", device).eval()
    batch = {"image": draw_images(task, 3), "case": ["a", "b", "c"]}

    @torch.no_grad()
    def validate(batch_idx: int) -> tuple[torch.Tensor, dict[str, float]]:
        logged: dict[str, float] = {}
        seen: list[torch.Tensor] = []
        monkeypatch.setattr(task, "log_dict", logged.update)
        with task.encoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0])):
            task.validation_step(batch, batch_idx)
        task.on_validation_epoch_end()
        return seen[0], logged

    (seen, logged), (seen_again, logged_again), (seen_other, _) = validate(0), validate(0), validate(1)
    assert {"val/loss", "val/chance_loss", "val/accuracy"} <= logged.keys()
    assert logged_again == (logged if device.type == "cpu" else pytest.approx(logged, rel=1e-5))
    assert torch.equal(seen, seen_again)
    assert not torch.equal(seen, seen_other)


@every_task
@every_encoder
def test_overfits_a_batch(name, encoder, device):
    task = build(name, encoder, device)
    inputs, targets = task.make_task(draw_images(task, 4), torch.Generator(device).manual_seed(0))
    optimizer = torch.optim.Adam(task.parameters(), lr=3e-3)
    goal = 0.5 * task.chance_loss(4)
    for _ in range(60):
        loss = task.loss(task(inputs), targets)
        if loss < goal:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"loss {loss.item():.3f} is not below {goal:.3f} after 60 steps")


@every_task
@pytest.mark.filterwarnings("ignore:.*self.log")
def test_half_precision_images_make_a_step_in_mixed_precision(name, device):
    task = build(name, "unet-3d", device)
    with torch.autocast(device.type, torch.bfloat16):
        loss = task.training_step({"image": draw_images(task, 3).half()}, 0)
    assert 0.3 < loss.item() / task.chance_loss(3) < 2


@every_task
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_trains_under_lightning_on_half_precision_images(name):
    task = build(name, "densenet-2d")
    images = draw_images(task, 5).half()
    batches = DataLoader([{"image": image, "case": str(i)} for i, image in enumerate(images)], batch_size=3)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    weights = {key: value.clone() for key, value in task.encoder.state_dict().items()}
    trainer.fit(task, batches, batches)
    assert any(not torch.equal(value, weights[key]) for key, value in task.encoder.state_dict().items())
    logged = trainer.callback_metrics
    assert all(math.isfinite(logged[key]) for key in ("train/loss", "val/loss", "val/accuracy"))
    # Batches of 3 and 2 cases count by their size.
    expected = (3 * task.chance_loss(3) + 2 * task.chance_loss(2)) / 5
    assert logged["val/chance_loss"].item() == pytest.approx(expected)
