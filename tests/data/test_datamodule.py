from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from sslmed.data.datamodule import PretrainingData, SegmentationData
from sslmed.data.prepare import PrepareSettings, prepare
from sslmed.errors import UserError


@pytest.fixture
def store(decathlon_dataset, tmp_path: Path) -> Path:
    data = decathlon_dataset(labelled=10, unlabelled=3)
    return prepare(data, tmp_path / "store", PrepareSettings(size=8), jobs=1).root


def test_pretraining_sees_unlabelled_and_training_cases_but_no_test_or_validation_case(store: Path) -> None:
    for fold in range(5):
        data = PretrainingData(store=store, fold=fold, updates=10)
        split = data.split
        assert set(data.training_cases) == set(split.train) | set(data.store.unlabelled)
        seen = {case for batch in data.train_dataloader() for case in batch["case"]}
        assert seen.isdisjoint((*split.test, *split.validation))
        assert {case for batch in data.val_dataloader() for case in batch["case"]} == set(split.validation)


def test_transductive_pretraining_adds_the_test_cases(store: Path) -> None:
    data = PretrainingData(store=store, transductive=True, updates=10)
    assert set(data.training_cases) == set(data.split.train) | set(data.split.test) | set(data.store.unlabelled)


def test_fractions_are_nested_and_share_validation_and_test_cases(store: Path) -> None:
    fractions = [0.05, 0.25, 0.5, 1.0]
    modules = [SegmentationData(store=store, label_fraction=fraction, fold=1, updates=10) for fraction in fractions]
    assert [data.n_labels for data in modules] == [1, 2, 3, 6]
    for small, large in pairwise(modules):
        assert set(small.training_cases) < set(large.training_cases)
        assert small.split == large.split


def test_batches_have_the_stored_voxels_and_one_size_for_every_fraction(store: Path) -> None:
    data = SegmentationData(store=store, label_fraction=0.05, batch_size=4, updates=10, validations=5)
    batches = list(data.train_dataloader())
    assert len(batches) == 2
    batch = batches[0]
    assert batch["image"].shape == (4, 1, 8, 8, 8)
    assert batch["label"].shape == (4, 8, 8, 8)
    assert batch["image"].dtype == torch.float16
    np.testing.assert_array_equal(batch["image"][2], data.store.image(batch["case"][2]))
    np.testing.assert_array_equal(batch["label"][2], data.store.label(batch["case"][2]))


def test_crops_are_parts_of_the_volume_and_smaller_volumes_are_padded(store: Path) -> None:
    data = SegmentationData(store=store, batch_size=2, updates=10, validations=1, crop_size=(4, 10, 8))
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (2, 1, 4, 10, 8)
    for image, label, case in zip(batch["image"], batch["label"], batch["case"], strict=True):
        assert not image[:, :, 8:].any()
        whole = data.store.image(case)
        starts = [i for i in range(5) if np.array_equal(whole[:, i : i + 4], image[:, :, :8])]
        assert starts
        assert any(np.array_equal(data.store.label(case)[i : i + 4], label[:, :8]) for i in starts)
    assert next(iter(data.val_dataloader()))["image"].shape == (1, 1, 8, 8, 8)


def test_epochs_count_passes_over_the_training_cases(store: Path) -> None:
    data = SegmentationData(store=store, epochs=10, batch_size=4, validations=5)
    assert len(data.training_cases) == 6
    assert data.updates_per_validation * 5 == 10 * 2  # two batches of four hold six cases


@pytest.mark.parametrize("budget", [{}, {"updates": 5, "epochs": 5}, {"updates": 5, "validations": 6}])
def test_an_unclear_budget_is_refused(store: Path, budget: dict[str, int]) -> None:
    with pytest.raises(UserError, match="updates"):
        SegmentationData(store=store, **budget).train_dataloader()
