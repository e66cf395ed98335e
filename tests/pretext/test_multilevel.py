import pytest
import torch
import torch.nn.functional as F

from sslmed.core.errors import InputError
from sslmed.encoders import UNetEncoder
from sslmed.pretext import CPC, Exemplar, Jigsaw, MaskedAutoencoder, MultiLevel, Rotation, SimCLR, VICReg


def _encoder(dims: int = 2) -> UNetEncoder:
    return UNetEncoder(dims, 1, widths=(2, 3, 4), dropout=0.0)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_loss_is_the_mean_of_those_of_heads_on_each_map(dims: int) -> None:
    torch.manual_seed(0)
    task = MultiLevel(_encoder(dims), Rotation, levels=3).eval()
    inputs, targets = task.make_task(torch.rand(5, 1, *[12] * dims))
    maps = task.encoder(inputs)
    assert [level.head.num_features for level in task.tasks] == [2, 3, 4]
    losses = []
    for level, each in zip(task.tasks, maps, strict=True):
        pooled = each.flatten(2).mean(2)
        losses.append(F.cross_entropy(level.head.layers(pooled), targets))
    outputs = task(inputs)
    torch.testing.assert_close(task.loss(outputs, targets), sum(losses) / 3)
    measured = task.measures(outputs, targets)
    torch.testing.assert_close([measured[f"loss_{level}"] for level in range(3)], losses)
    assert measured["accuracy"] == (outputs[-1].argmax(1) == targets).float().mean()


def test_the_encoder_runs_once_and_one_level_is_the_task_itself() -> None:
    torch.manual_seed(0)
    task = MultiLevel(_encoder(), Jigsaw, levels=1).eval()
    inputs, targets = task.make_task(torch.rand(3, 1, 18, 18))
    calls = []
    with task.encoder.register_forward_hook(lambda *_: calls.append(1)):
        outputs = task(inputs)
    assert len(calls) == 1
    assert task.loss(outputs, targets) == task.task.loss(task.task(inputs), targets)


@pytest.mark.parametrize("kind", [Exemplar, SimCLR, VICReg])
def test_embeddings_are_compared_at_each_level(kind: type) -> None:
    task = MultiLevel(_encoder(), kind)
    inputs, targets = task.make_task(torch.rand(4, 1, 16, 16))
    loss = task.loss(task(inputs), targets)
    loss.backward()
    assert all(each.grad is not None for each in task.parameters())


def test_what_cannot_be_done_at_several_levels_is_refused() -> None:
    for kind in (CPC, MaskedAutoencoder):
        with pytest.raises(InputError, match=f"{kind.__name__} does not answer by a head"):
            MultiLevel(_encoder(), kind)
    with pytest.raises(InputError, match="levels is 4, but UNetEncoder has 3 feature maps"):
        MultiLevel(_encoder(), levels=4)
