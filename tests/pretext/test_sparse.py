"""What sparse masked autoencoding promises: visible features know nothing of hidden voxels, nor do statistics."""

import copy

import pytest
import torch
from families import ENCODERS
from outside import PatchTransformer

from sslmed.core.errors import InputError
from sslmed.encoders import DenseNetEncoder, Encoder, ResidualEncoder, ResNetEncoder, UNetEncoder
from sslmed.pretext import MaskedAutoencoder
from sslmed.pretext.sparse import only_visible

CONVOLUTIONAL = {
    "unet": lambda dims: UNetEncoder(dims, 2, widths=(3, 4, 5), dropout=0.0),
    "resnet": lambda dims: ResNetEncoder(dims, 2, (2, 3, 4, 5), (1, 1, 1, 1), stem_stride=1),
    "densenet": lambda dims: DenseNetEncoder(dims, 2, (1, 2), 2, 4),
    "residual": lambda dims: ResidualEncoder(dims, 2, (3, 4, 5)),
}
every_encoder = pytest.mark.parametrize("name", CONVOLUTIONAL)
every_dims = pytest.mark.parametrize("dims", [2, 3])


def _task(name: str, dims: int) -> tuple[MaskedAutoencoder, torch.Tensor]:
    torch.manual_seed(0)
    task = MaskedAutoencoder(CONVOLUTIONAL[name](dims), sparse=True)
    return task, torch.rand(3, 2, *[3 * task.block, 2 * task.block, 2 * task.block][:dims])


@every_encoder
@every_dims
@pytest.mark.parametrize("training", [True, False])
def test_hidden_voxels_change_no_feature_and_no_statistics(name: str, dims: int, training: bool) -> None:
    task, images = _task(name, dims)
    other = copy.deepcopy(task)
    (_, hidden), _ = task.make_task(images)
    maps = task.train(training).encode((images, hidden))
    changed = torch.where(hidden, 100 * torch.rand_like(images), images)
    again = other.train(training).encode((changed, hidden))
    assert all(map(torch.equal, maps, again))
    assert all(map(torch.equal, task.state_dict().values(), other.state_dict().values()))
    with only_visible(task.encoder, ~hidden):
        for each in task.encoder(images):
            at_each = torch.nn.functional.interpolate(hidden.float(), each.shape[2:]).bool()
            assert not (each * at_each).any()
            assert (each * ~at_each).any()


@every_encoder
@every_dims
def test_with_nothing_hidden_it_is_the_dense_encoder(name: str, dims: int) -> None:
    task, images = _task(name, dims)
    dense = copy.deepcopy(task.encoder)
    maps = task.encode((images, torch.zeros_like(images[:, :1], dtype=torch.bool)))
    torch.testing.assert_close(maps, dense(images), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(task.encoder.state_dict(), dense.state_dict())
    task.encoder(images)  # the hooks are gone
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in task.encoder.modules())


def test_statistics_are_those_of_visible_voxels() -> None:
    encoder = UNetEncoder(2, 1, widths=(2,), dropout=0.0)
    norm = next(layer for layer in encoder.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    convolution = next(layer for layer in encoder.modules() if isinstance(layer, torch.nn.Conv2d))
    visible = torch.rand(2, 1, 6, 6).argsort(-1) < 3
    images = torch.rand(2, 1, 6, 6) * visible
    with only_visible(encoder, visible):
        encoder(images)
    seen = convolution(images).relu().movedim(1, -1)[visible[:, 0]]  # the block normalises after the activation
    torch.testing.assert_close(norm.running_mean, 0.1 * seen.mean(0))


@pytest.mark.parametrize("skips", [True, False])
def test_every_parameter_gets_a_gradient_as_several_devices_need_it(skips: bool) -> None:
    task = MaskedAutoencoder(CONVOLUTIONAL["unet"](2), sparse=True, skips=skips)
    inputs, targets = task.make_task(torch.rand(2, 2, 16, 16))
    task.loss(task(inputs), targets).backward()
    assert [key for key, each in task.named_parameters() if each.grad is None] == []


@pytest.mark.slow
def test_it_learns_and_hands_over_the_encoder() -> None:
    task, images = _task("unet", 2)
    inputs, targets = task.make_task(images, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    for _ in range(200):
        loss = task.loss(task(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5 * task.chance_loss(task(inputs), targets)
    assert all(each.grad.any() for each in task.hidden_features)
    assert {key for key in task.state_dict() if key.startswith("encoder.")} == {
        f"encoder.{key}" for key in task.encoder.state_dict()
    }


def _refused(encoder: Encoder, words: str, **options: int) -> None:
    with pytest.raises(InputError, match=words):
        MaskedAutoencoder(encoder, sparse=True, **options)


def test_what_is_not_sparse_is_refused() -> None:
    _refused(PatchTransformer(2, 1, reductions=(2, 4)), "sparse is for convolutional encoders: PatchTransformer has")
    _refused(ENCODERS["UNetEncoder"](2, 1), "multiple of 4 voxels, got 2", block=2)
    task = MaskedAutoencoder(ENCODERS["UNetEncoder"](2, 1), sparse=True)
    with pytest.raises(InputError, match="whole blocks of 4 voxels"):
        task.make_task(torch.rand(2, 1, 16, 18))
