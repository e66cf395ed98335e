import math

import numpy as np
import pytest
import torch

from sslmed.core.errors import InputError
from sslmed.encoders import ResidualEncoder, UNetEncoder
from sslmed.learning.augmentation import RandomIntensity
from sslmed.pretext import VoCo
from sslmed.pretext.voco import base_similarity, overlap_loss, overlaps

UNCHANGED = {"flip": 0.0, "intensity": RandomIntensity(probability=0)}


def _encoder(dims: int, channels: int = 1) -> UNetEncoder:
    torch.manual_seed(0)
    return UNetEncoder(dims, channels, widths=(2, 4), dropout=0.0)


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in second] for a in first])


@pytest.mark.parametrize("shape", [(19, 26), (19, 26, 7)])
@pytest.mark.parametrize("channels", [1, 2])
def test_crops_are_parts_of_the_image_and_overlap_as_said(shape, channels):
    task = VoCo(_encoder(len(shape), channels), grid=3, crops=2, **UNCHANGED)
    images = torch.arange(4.0 * channels * math.prod(shape)).reshape(4, channels, *shape)
    images = images / images.numel()  # every voxel has its own value
    crops, said = task.make_task(images)
    size = (6, 8, *shape[2:])
    assert crops.shape == (4, 2 + 9, channels, *size)
    assert said.shape == (4, 2, 9)
    for case, overlap in zip(crops.numpy(), said.numpy(), strict=True):
        for crop in range(2):
            common = [np.isin(case[crop], case[2 + base]).mean() for base in range(9)]
            np.testing.assert_allclose(overlap[crop], common, atol=1e-6)
    np.testing.assert_allclose(said.sum(2), 1, atol=1e-6)  # random crops lie within the grid
    # Base crops are neighbours, row by row; the grid begins anywhere.
    whole = torch.cat([torch.cat([*crops[:, 2 + row : 5 + row].unbind(1)], dim=3) for row in (0, 3, 6)], dim=2)
    starts = set()
    for image, covered in zip(images, whole, strict=True):
        first = int((image[0] == covered[0].flatten()[0]).nonzero()[0][0])
        second = int((image[0] == covered[0].flatten()[0]).nonzero()[0][1])
        assert torch.equal(covered, image[:, first : first + 18, second : second + 24])
        starts.add((first, second))
    assert len(starts) > 1


def test_overlaps_by_hand():
    bases = torch.tensor([[0, 0], [0, 4], [6, 0], [6, 4]])
    got = overlaps(torch.tensor([[[0, 0], [3, 1], [6, 4]]]), bases, (6, 4))[0]
    np.testing.assert_allclose(got, [[1, 0, 0, 0], [3 / 8, 1 / 8, 3 / 8, 1 / 8], [0, 0, 0, 1]])


def test_the_losses_by_hand():
    generator = np.random.default_rng(0)
    predicted, actual = generator.random((2, 3, 4, 5))
    actual = actual * (generator.random(actual.shape) < 0.5)
    bases = generator.normal(size=(3, 5, 6))
    expected, similar = [], []
    for p, s, b in zip(predicted, actual, bases, strict=True):
        near = -(s * np.log(1 - abs(s - p) + 1e-6)).sum() / (s.sum() + 1e-6)
        expected.append(near + (p[s == 0] ** 2).sum() / ((s == 0).sum() + 1e-6))
        cosines = _cosines(b, b)
        similar.append(np.mean([max(0, cosines[i, j]) ** 2 for i in range(5) for j in range(i + 1, 5)]))
    assert overlap_loss(torch.from_numpy(predicted), torch.from_numpy(actual)).item() == pytest.approx(
        np.mean(expected)
    )
    embeddings = torch.from_numpy(bases).requires_grad_()
    similarity = base_similarity(embeddings)
    assert similarity.item() == pytest.approx(np.mean(similar))
    similarity.backward()
    assert embeddings.grad[:, 0].any()
    assert not embeddings.grad[:, -1].any()  # it is the second one of all of its pairs, where gradients stop


def test_student_and_teacher_are_compared_both_ways():
    task = VoCo(_encoder(2), grid=2, crops=3, embedding_size=5, regularization=0.5)
    outputs, actual = torch.randn(2, 2, 7, 5), torch.rand(2, 3, 4)
    student, teacher = outputs.double().numpy().transpose(1, 0, 2, 3)
    predicted = [
        (np.maximum(_cosines(s[:3], t[3:]), 0) + np.maximum(_cosines(t[:3], s[3:]), 0)) / 2
        for s, t in zip(student, teacher, strict=True)
    ]
    np.testing.assert_allclose(task.predicted_overlaps(outputs), predicted, atol=1e-5)
    loss = overlap_loss(torch.tensor(np.array(predicted)), actual) + 0.5 * base_similarity(outputs[:, 0, 3:])
    assert task.loss(outputs, actual).item() == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.parametrize("grid", [2, 4])
def test_chance_by_hand_is_the_best_that_embeddings_can_do_which_do_not_tell_crops_apart(grid):
    task = VoCo(_encoder(2), grid=grid, **UNCHANGED)
    _, actual = task.make_task(torch.rand(200, 1, 32, 32))
    losses = [overlap_loss(torch.full_like(actual, c), actual).item() + c**2 for c in np.linspace(0, 0.99, 199)]
    outputs = torch.empty(200, 2, 2 + grid**2, 128)
    assert task.chance_loss(outputs, actual).item() == pytest.approx(min(losses), rel=0.01)


def test_the_teacher_follows_in_training_only():
    task = VoCo(_encoder(2), momentum=0.75)
    crops, _ = task.make_task(torch.rand(2, 1, 16, 16))
    weights = [*task.encoder.parameters(), *task.head.parameters()]
    before = [each.clone() for each in weights]
    with torch.no_grad():
        for each in weights:
            each.add_(1)
    followers = [*task.teacher.parameters()]
    task.eval()(crops)
    assert all(map(torch.equal, followers, before))
    outputs = task.train()(crops)
    for follower, old in zip(followers, before, strict=True):
        torch.testing.assert_close(follower, old + 0.25)
    outputs.sum().backward()
    assert all(each.grad is None for each in followers)
    assert not [key for key in task.state_dict() if key.startswith("encoder.") and "teacher" in key]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"grid": 1}, "grid of at least 2"),
        ({"embedding_size": 16}, "above the number of base crops, 16"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        VoCo(_encoder(2), **arguments)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(InputError, match=r"crops of \(1, 2, 8\), but"):
        VoCo(_encoder(3)).make_task(torch.rand(2, 1, 7, 8, 8))
    encoder = ResidualEncoder(3, strides=(1, 2, (2, 2, 1)))  # of a thin image it takes the whole plane, and no crop
    encoder.check(torch.rand(2, 1, 12, 12, 2))
    with pytest.raises(InputError, match=r"crops of \(3, 3, 2\), but .* at least 3:"):
        VoCo(encoder).make_task(torch.rand(2, 1, 12, 12, 2))
