import math

import numpy as np
import pytest
import torch

from sslmed.core.errors import InputError
from sslmed.encoders import UNetEncoder
from sslmed.learning.augmentation import RandomIntensity
from sslmed.pretext import DINO
from sslmed.pretext.dino import Prototypes, distillation_loss
from sslmed.pretext.views import RandomViews

UNCHANGED = RandomIntensity(probability=0)


def _task(**options) -> DINO:
    torch.manual_seed(0)
    return DINO(UNetEncoder(2, 1, widths=(2, 4), dropout=0.0), prototypes=6, embedding_size=3, **options)


def _softmax(values: np.ndarray) -> np.ndarray:
    exponents = np.exp(values - values.max(-1, keepdims=True))
    return exponents / exponents.sum(-1, keepdims=True)


def test_the_loss_by_hand():
    generator = np.random.default_rng(0)
    student, teacher = _softmax(generator.normal(size=(3, 5, 6))), _softmax(3 * generator.normal(size=(3, 2, 6)))
    costs = [
        -sum(teacher[case, seen, k] * math.log(student[case, view, k]) for k in range(6))
        for case in range(3)
        for seen in range(2)
        for view in range(5)
        if view != seen  # a view is not compared with itself
    ]
    found = distillation_loss(torch.from_numpy(student).log(), torch.from_numpy(teacher))
    assert found.item() == pytest.approx(np.mean(costs), rel=1e-5)


def test_large_views_come_first_and_crops_have_their_sizes():
    task = _task(
        views=RandomViews(crop=(0.9, 1.0), intensity=UNCHANGED),
        local_views=RandomViews(crop=(0.3, 0.5), intensity=UNCHANGED),
        n_local=3,
    )
    ramp = torch.linspace(0, 1, 40).expand(4, 1, 40, 40)  # its slope is the fraction of the side that a crop has
    views, _ = task.make_task(ramp)
    assert views.shape == (4, 5, 1, 40, 40)
    fractions = (views[..., 30] - views[..., 10]).mean((2, 3)) / (ramp[0, 0, 0, 30] - ramp[0, 0, 0, 10])
    assert (fractions[:, :2] > 0.89).all()
    assert ((fractions[:, 2:] > 0.29) & (fractions[:, 2:] < 0.51)).all()
    assert len(fractions.unique()) == 20


def test_student_and_teacher_by_hand():
    task = _task(temperature=0.2, teacher_temperature=0.05).eval()
    with torch.no_grad():
        for weight in task.teacher.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    task.centre.copy_(torch.linspace(-0.5, 0.5, 6))
    views, _ = task.make_task(torch.rand(3, 1, 16, 16))
    outputs = task(views).detach()
    assert outputs.shape == (3, 2, 4, 6)

    def cosines(encoder, head, prototypes, images):
        embeddings = head(encoder(images.flatten(0, 1))).detach().double().numpy()
        weights = prototypes.weight.detach().double().numpy()
        lengths = np.linalg.norm(embeddings, axis=1)[:, None] * np.linalg.norm(weights, axis=1)
        return (embeddings @ weights.T / lengths).reshape(3, -1, 6)

    student = _softmax(cosines(task.encoder, task.head, task.prototypes, views) / 0.2)
    teacher = _softmax((cosines(*task.teacher, views[:, :2]) - np.linspace(-0.5, 0.5, 6)) / 0.05)
    np.testing.assert_allclose(outputs[:, 0].exp(), student, atol=1e-5)
    np.testing.assert_allclose(outputs[:, 1, :2], teacher, atol=1e-5)
    loss = distillation_loss(torch.from_numpy(student).log(), torch.from_numpy(teacher))
    assert task.loss(outputs).item() == pytest.approx(loss.item(), rel=1e-4)
    mean = teacher.mean((0, 1))  # the best that a constant can say costs its entropy
    assert task.chance_loss(outputs, None).item() == pytest.approx(-(mean * np.log(mean)).sum(), rel=1e-4)
    assert task.measures(outputs)["teacher_entropy"].item() == pytest.approx(
        -(teacher * np.log(teacher)).sum(-1).mean(), rel=1e-4
    )
    same = student[:, [0, 1]].argmax(-1) == teacher[:, [1, 0]].argmax(-1)
    assert task.measures(outputs)["agreement"].item() == pytest.approx(same.mean())


@pytest.mark.parametrize("collapsed", [torch.full((6,), 1 / 6), torch.eye(6)[2]])
def test_a_teacher_that_says_the_same_of_all_images_cannot_be_beaten(collapsed):
    outputs = torch.stack((collapsed.clamp_min(1e-30).log(), collapsed))[:, None].expand(3, 2, 4, 6)
    task = _task()
    assert task.loss(outputs).item() == pytest.approx(task.chance_loss(outputs, None).item(), abs=1e-6)


def test_teacher_and_centre_follow_in_training_only():
    task = _task(momentum=0.75, centre_momentum=0.9)
    views, _ = task.make_task(torch.rand(4, 1, 16, 16))
    students = [*task.encoder.parameters(), *task.head.parameters(), *task.prototypes.parameters()]
    before = [each.clone() for each in students]
    with torch.no_grad():
        for each in students:
            each.add_(1)
    task.eval()(views)
    assert all(map(torch.equal, task.teacher.parameters(), before))
    assert not task.centre.any()
    outputs = task.train()(views)
    for follower, old in zip(task.teacher.parameters(), before, strict=True):
        torch.testing.assert_close(follower, old + 0.25)
    encoder, head, prototypes = task.teacher
    similarities = prototypes(head(encoder(views[:, :2].flatten(0, 1))))
    of_teacher = outputs[:, 1, :2].flatten(0, 1)
    torch.testing.assert_close(of_teacher, (similarities / 0.04).softmax(1))  # by the centre of before, which was 0
    torch.testing.assert_close(task.centre, 0.1 * similarities.mean(0))
    assert torch.equal(task.state_dict()["centre"], task.centre)  # a resumed run goes on with it
    task.loss(outputs).backward()
    assert all(each.grad is None for each in task.teacher.parameters())
    assert all(each.grad is not None for each in students)


def test_prototypes_have_unit_length():
    layer = Prototypes(3, 6)
    embeddings = torch.randn(4, 3)
    with torch.no_grad():
        expected = layer(embeddings)
        layer.weight.mul_(7)
        torch.testing.assert_close(layer(5 * embeddings), expected)
    assert expected.abs().max() <= 1


def test_momentum_out_of_range_is_refused():
    with pytest.raises(InputError, match=r"momentum must be in 0 to 1, got 1\.5"):
        _task(momentum=1.5)
