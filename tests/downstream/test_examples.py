"""Which cases and slices a run keeps to look at, which way up, and how much that can be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sslmed.downstream import Segmentation
from sslmed.downstream.examples import MOST_PIXELS, MOST_SLICES, ROLES, Example, examples_of, load_examples
from sslmed.encoders import UNetEncoder
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings


@pytest.mark.parametrize(("scores", "chosen"), [((0.2, 0.9, 0.5), "bca"), ((0.1, 0.4, 0.3, 0.2), "bda"), ((1,), "aaa")])
def test_best_median_and_worst(scores: tuple[float, ...], chosen: str) -> None:
    table = pd.DataFrame({"case": list("abcd")[: len(scores)], "dice_foreground": scores})
    examples = list(examples_of(table))
    assert [role for role, _, _ in examples] == list(ROLES)
    assert "".join(case for _, case, _ in examples) == chosen
    assert [dice for _, _, dice in examples] == [scores["abcd".index(case)] for case in chosen]


def test_slices_show_the_structure_from_the_front_with_the_patients_right_on_the_left() -> None:
    image, truth = np.zeros((6, 5, 40), np.float16), np.zeros((6, 5, 40), np.uint8)
    image[5, 4, :] = 0.5  # rightmost, foremost
    truth[5, 4, 7:31] = 2
    example = Example.of_volume("a", 0.5, image[None], truth, np.roll(truth, -1, axis=1))
    assert (example.positions[0], example.positions[-1], len(example.positions)) == (7, 30, MOST_SLICES)
    assert example.image.shape == (MOST_SLICES, 5, 6)
    assert (example.image[:, 0, 0] == 128).all()
    assert (example.truth[:, 0, 0] == 2).all()
    assert (example.prediction[:, 1, 0] == 2).all()
    assert (example.truth > 0).sum() == (example.image > 0).sum() == MOST_SLICES


@pytest.mark.parametrize("shape", [(512, 400, 3), (161, 20, 90), (4, 4, 1)])
def test_what_is_kept_is_bounded(shape: tuple[int, int, int]) -> None:
    empty = np.zeros(shape, np.uint8)
    example = Example.of_volume("a", 1.0, empty[None], empty, empty)  # where nothing is, all is looked at
    slices, *sides = example.image.shape
    assert slices == min(MOST_SLICES, shape[-1])
    assert max(sides) <= MOST_PIXELS
    assert example.image.shape == example.truth.shape == example.prediction.shape


def test_a_photograph_is_kept_as_it_is_in_grey() -> None:
    image, truth = np.zeros((3, 4, 6), np.float16), np.zeros((4, 6), np.uint8)
    image[0, 1, 2], truth[1, 2] = 0.75, 1
    example = Example.of_photograph("a", 1.0, image, truth, 2 * truth)
    assert (example.depth, example.image.shape, example.image[0, 1, 2]) == (1, (1, 4, 6), 64)
    np.testing.assert_array_equal(example.truth[0], truth)
    np.testing.assert_array_equal(example.prediction[0], 2 * truth)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_task_keeps_its_own_predictions(decathlon_dataset, tmp_path: Path, dims: int) -> None:
    data = decathlon_dataset(labelled=3, unlabelled=0, modalities=("FLAIR", "T1w"))
    store = prepare(data, tmp_path / "store", PrepareSettings(size=8), jobs=1)
    torch.manual_seed(0)
    task = Segmentation(UNetEncoder(dims, 2, (4, 8), dropout=0.5))
    scores = pd.DataFrame({"case": store.labelled, "dice_foreground": (0.1, 0.3, 0.2)})
    task.write_examples(store, scores, tmp_path / "examples.npz")
    examples = load_examples(tmp_path / "examples.npz")
    assert [examples[role].case for role in ROLES] == [store.labelled[i] for i in (1, 2, 0)]
    best = examples["best"]
    with torch.inference_mode():
        images = torch.tensor(store.image(best.case))[None].float()
        predicted = task.eval().infer(images)[0].argmax(0).numpy()
    for kept, whole in ((best.prediction, predicted), (best.truth, store.label(best.case))):
        assert (kept == whole[::-1, ::-1, best.positions].transpose(2, 1, 0)).all()
    assert best.image.max() > 0
