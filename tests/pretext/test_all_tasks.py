"""What holds for every pretext task, in 2-D and 3-D, on several encoders; also for one that reconstructs images."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import families
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from outside import Inpainting, PatchTransformer
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import DataLoader

from sslmed.core.errors import InputError
from sslmed.encoders import DenseNetEncoder, Encoder, ResidualEncoder, SwinEncoder, UNetEncoder
from sslmed.pretext import CPC, Jigsaw, PretextTask, RelativePatchLocation, Rotation

TASKS = families.TASKS | {"CPC-bce": partial(CPC, objective="bce"), "Inpainting": Inpainting}
ENCODERS: dict[str, Callable[[], Encoder]] = {
    "unet-2d": lambda: UNetEncoder(2, 2, widths=(4, 8, 16), dropout=0.0),
    "unet-3d": lambda: UNetEncoder(3, 2, widths=(4, 8, 16), dropout=0.0),
    "densenet-2d": lambda: DenseNetEncoder(2, 3, block_config=(2, 2), growth_rate=8, init_features=8),
    "residual-2d": lambda: ResidualEncoder(2, 2, (4, 8), (1, 1), (1, (2, 1)), (3, (1, 3))),
    "swin-transformer-3d": lambda: SwinEncoder(3, 1, 8, (1,), (2,), 3),
    "transformer-2d": lambda: PatchTransformer(2, 1, reductions=(2, 4)),
}
OTHERS = {"unet-3d": pytest.mark.slow, "densenet-2d": pytest.mark.long}  # the transformer takes longer to overfit
# Images of unequal sides; every patch is at least 5 voxels wide.
SHAPES = {2: (26, 31), 3: (18, 19, 21)}

every_task = pytest.mark.parametrize("name", TASKS)
every_encoder = pytest.mark.parametrize("encoder", ENCODERS)


def build(name: str, encoder: str, device: torch.device | str = "cpu") -> PretextTask[Any]:
    torch.manual_seed(0)
    return TASKS[name](ENCODERS[encoder]()).to(device)


def draw_images(task: PretextTask[Any], batch_size: int) -> Tensor:
    """Draw smooth images with a little noise, other ones for every case and channel."""
    dims = task.encoder.spatial_dims
    shape = SHAPES[dims]
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(batch_size, task.encoder.in_channels, *(5,) * dims, generator=generator)
    smooth = F.interpolate(coarse, shape, mode={2: "bilinear", 3: "trilinear"}[dims])
    return (0.9 * smooth + 0.1 * torch.rand(smooth.shape, generator=generator)).to(task.device)


def tensors(parts: Any) -> list[Tensor]:
    """All tensors of inputs, targets or outputs: several tasks at once have tuples of them."""
    return [each for each in tree_leaves(parts) if isinstance(each, Tensor)]


@every_task
def test_one_case_is_refused_by_those_that_compare_cases_and_by_no_other(name):
    task = build(name, "unet-3d")
    with pytest.raises(InputError, match="at least 2, got 1") if task.least_cases > 1 else nullcontext():
        task.make_task(draw_images(task, 1))


@every_task
@every_encoder
def test_contract(name, encoder, device):
    task = build(name, encoder, device)
    images = draw_images(task, 3)
    before = images.clone()
    inputs, targets = task.make_task(images)
    assert torch.equal(images, before)
    for each in tensors(inputs):
        assert each.shape[0] == 3
        assert each.shape[-task.encoder.spatial_dims - 1] == task.encoder.in_channels
        assert each.dtype == images.dtype
    assert all(len(each) == 3 for each in tensors(targets))
    families.move_from_zero(task)
    outputs = task(inputs)
    loss, chance = task.loss(outputs, targets), task.chance_loss(outputs, targets)
    loss.backward()
    untouched = [key for key, each in task.named_parameters() if each.grad is None or not each.grad.any()]
    assert not [key for key in untouched if key.startswith(("encoder.", "decoder."))]
    assert all(each.grad is not None for each in task.parameters() if each.requires_grad)  # several devices need it
    # What is said by chance is the same for every case; an untrained network knows no better.
    for answer, output in zip(tensors(task.chance_answer(outputs, targets)), tensors(outputs), strict=True):
        assert torch.equal(answer, answer[:1].expand_as(output))
    assert loss.item() > 0.3 * chance.item() > 0
    assert len(task.answers(tree_map(torch.detach, outputs), targets)) == 3


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *[("Rotation", lambda dims: math.log({2: 4, 3: 10}[dims])), ("Jigsaw", lambda _: math.log(100))],
        *[("RelativePatchLocation", lambda dims: math.log(3**dims - 1)), ("Exemplar", lambda _: 0.5)],
        *[("CPC", lambda dims: math.log(3 * {2: 5, 3: 4 * 4}[dims])), ("CPC-bce", lambda _: math.log(2))],
        *[("SimCLR", lambda _: math.log(2 * 3 - 1)), ("VICReg", lambda _: 25 * 0.99), ("Joint", lambda _: 1)],
    ],
)
@pytest.mark.parametrize("encoder", ["unet-2d", "unet-3d"])
def test_what_chance_costs(name, expected, encoder):
    task = build(name, encoder)
    inputs, targets = task.make_task(draw_images(task, 3))
    chance = task.chance_loss(task(inputs), targets).item()
    assert chance == pytest.approx(expected(task.encoder.spatial_dims), abs=1e-5)


def test_chance_may_be_measured_on_the_data():
    task = build("Inpainting", "unet-2d")
    inputs, (images, hidden) = task.make_task(draw_images(task, 3))
    answer = task(inputs)
    variance = images.numpy()[hidden.numpy()].var()
    assert task.chance_loss(answer, (images, hidden)).item() == pytest.approx(variance, rel=1e-5)


@pytest.mark.parametrize("kind", [Jigsaw, RelativePatchLocation, CPC])
def test_thin_patches_are_taken_where_the_encoder_takes_them(kind):
    task = kind(ResidualEncoder(3, strides=(1, 2, (2, 2, 1))))
    inputs, targets = task.make_task(torch.rand(2, 1, 40, 40, 10))
    assert min(inputs.shape[3:]) == 2 < task.encoder.minimum_side
    assert task.loss(task(inputs), targets).isfinite()


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

    def draw(seed: int) -> tuple[list[Tensor], list[Tensor]]:
        inputs, targets = task.make_task(images, torch.Generator(device).manual_seed(seed))
        return tensors(inputs), tensors(targets)

    get_state = torch.get_rng_state if device.type == "cpu" else torch.cuda.get_rng_state
    state = get_state()
    (inputs, targets), (again, same_targets), (other, _) = draw(1), draw(1), draw(2)
    assert torch.equal(get_state(), state)
    assert all(map(torch.equal, inputs, again))
    assert all(map(torch.equal, targets, same_targets))
    assert not any(map(torch.equal, inputs, other))
    torch.manual_seed(3)
    first = tensors(task.make_task(images)[0])
    torch.manual_seed(3)
    assert all(map(torch.equal, tensors(task.make_task(images)[0]), first))


@every_task
def test_validation_repeats(name, device, monkeypatch):
    task = build(name, "unet-3d", device).eval()
    batch = {"image": draw_images(task, 3), "case": ["a", "b", "c"]}

    @torch.no_grad()
    def validate(batch_idx: int) -> tuple[Tensor, dict[str, float]]:
        logged: dict[str, float] = {}
        seen: list[Tensor] = []
        monkeypatch.setattr(task, "log_dict", logged.update)
        with task.encoder.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0])):
            task.validation_step(batch, batch_idx)
        task.on_validation_epoch_end()
        return seen[0], logged

    (seen, logged), (seen_again, logged_again), (seen_other, _) = validate(0), validate(0), validate(1)
    assert {"val/loss", "val/chance_loss"} <= logged.keys()
    assert logged_again == (logged if device.type == "cpu" else pytest.approx(logged, rel=1e-5))
    assert torch.equal(seen, seen_again)
    assert not torch.equal(seen, seen_other)


@every_task
@pytest.mark.parametrize("encoder", ["unet-2d", *(pytest.param(each, marks=mark) for each, mark in OTHERS.items())])
def test_overfits_a_batch(name, encoder, device):
    task = build(name, encoder, device)
    inputs, targets = task.make_task(draw_images(task, 4), torch.Generator(device).manual_seed(0))
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    for _ in range(400):
        outputs = task(inputs)
        loss, goal = task.loss(outputs, targets), 0.5 * task.chance_loss(outputs, targets)
        if loss < goal:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"loss {loss.item():.3f} is not below {goal:.3f} after 400 steps")


@every_task
@pytest.mark.filterwarnings("ignore:.*self.log")
def test_half_precision_images_make_a_step_in_mixed_precision(name, device):
    task = build(name, "unet-3d", device)
    images = draw_images(task, 3).half()
    torch.manual_seed(1)
    expected = task.training_step({"image": images.float()}, 0)
    torch.manual_seed(1)
    with torch.autocast(device.type, torch.bfloat16):
        loss = task.training_step({"image": images}, 0)
    assert loss.item() == pytest.approx(expected.item(), rel=0.1)


@every_task
@torch.no_grad()
def test_mixed_precision_does_not_round_what_is_computed_from_outputs(name):
    """Embeddings of cases are nearly equal at first: their similarities differ by less than bfloat16 tells."""
    task = build(name, "unet-2d").eval()
    inputs, targets = task.make_task(draw_images(task, 3), torch.Generator().manual_seed(0))
    outputs = task(inputs)

    def measured():
        return {"loss": task.loss(outputs, targets), **task.measures(outputs, targets)}

    expected = measured()
    with torch.autocast("cpu", torch.bfloat16):
        found = measured()
    assert {key: value.item() for key, value in found.items()} == pytest.approx(
        {key: value.item() for key, value in expected.items()}, rel=1e-5, abs=1e-6
    )


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
    assert all(math.isfinite(logged[key]) for key in ("train/loss", "val/loss"))
    # Batches of 3 and 2 cases count by their size.
    expected = 0.0
    task.eval()
    for number, batch in enumerate((images[:3], images[3:])):
        inputs, targets = task.make_task(batch, torch.Generator().manual_seed(number))
        expected += len(batch) / 5 * task.chance_loss(task(inputs), targets).item()
    assert logged["val/chance_loss"].item() == pytest.approx(expected, rel=1e-5)


def test_answers_name_the_truth_and_what_the_network_holds_likeliest():
    words = {
        "Rotation": ("no rotation", "90°", "270° about axis 1", "180° about axis 2"),
        "Jigsaw": ("order 0", "order 1", "order 4", "order 8"),
        "RelativePatchLocation": ("cell (-1, -1)", "cell (-1, 0)", "cell (-1, 0, 0)", "cell (-1, +1, +1)"),
    }
    for name, (first, second, fifth, ninth) in words.items():
        task = build(name, "unet-2d")
        assert isinstance(task, Rotation | Jigsaw | RelativePatchLocation)
        (answer,) = task.answers(torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([0]))
        assert answer.words == f"{first}, answered {second} with a probability of 0.75"
        volumes = build(name, "unet-3d")
        assert isinstance(volumes, Rotation | Jigsaw | RelativePatchLocation)
        assert [volumes.class_name(index) for index in (4, 8)] == [fifth, ninth]


def test_a_reconstruction_is_shown_as_an_image():
    task = build("Inpainting", "densenet-2d")
    inputs, targets = task.make_task(draw_images(task, 2))
    outputs = task(inputs).detach()
    assert all(
        torch.equal(answer.image, output)
        for answer, output in zip(task.answers(outputs, targets), outputs, strict=True)
    )
