from itertools import chain, pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from generated_tables import write_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sslmed.core.errors import UserError
from sslmed.data.finetuning import ClassificationData, SegmentationData
from sslmed.data.pretraining import PoolData, PretrainingData
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.store import Store


@pytest.fixture
def store(decathlon_dataset, tmp_path: Path) -> Path:
    data = decathlon_dataset(labelled=10, unlabelled=3)
    return prepare(data, tmp_path / "store", PrepareSettings(size=8), jobs=1).root


@pytest.fixture
def graded(aptos_dataset, tmp_path: Path) -> Path:
    """25 photographs, 5 of each grade, and 3 unlabelled ones, of which the last is a copy of the first labelled one."""
    data = aptos_dataset(grades=(0, 1, 2, 3, 4) * 5, unlabelled=3)
    (data / "test_images" / "eye_27.png").write_bytes((data / "train_images" / "eye_00.png").read_bytes())
    return prepare(data, tmp_path / "graded", PrepareSettings(size=8), jobs=1).root


def test_pretraining_sees_unlabelled_and_training_cases_but_no_test_or_validation_case(store: Path) -> None:
    for fold in range(5):
        data = PretrainingData(store=store, fold=fold, updates=10)
        split = data.split
        assert set(data.training_cases) == set(split.train) | set(data.store.unlabelled)
        seen = {case for batch in data.train_dataloader() for case in batch["case"]}
        assert seen.isdisjoint((*split.test, *split.validation))
        assert {case for batch in data.val_dataloader() for case in batch["case"]} == set(split.validation)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_pretraining_looks_at_no_label(store: Path, monkeypatch, spatial_dims: int) -> None:
    for name in ("label", "label_map", "native_label", "foreground"):
        monkeypatch.setattr(Store, name, lambda *_: pytest.fail("a label is read"))
    for kind in (PretrainingData, PoolData):
        data = kind(store=store, updates=4, validations=1, crop_size=(4,) * spatial_dims, spatial_dims=spatial_dims)
        batches = [*data.train_dataloader(), *data.val_dataloader()]
        assert all(batch.keys() == {"case", "image"} for batch in batches)


def test_transductive_pretraining_adds_the_test_cases(store: Path) -> None:
    data = PretrainingData(store=store, transductive=True, updates=10)
    assert set(data.training_cases) == set(data.split.train) | set(data.split.test) | set(data.store.unlabelled)


def test_loaders_give_the_cases_of_their_part_and_of_no_other(store: Path) -> None:
    def cases(loader) -> list[str]:
        return [case for batch in loader for case in batch["case"]]

    for fold in range(5):
        data = SegmentationData(store=store, n_labels=3, fold=fold, updates=10, validations=1, batch_size=2)
        assert set(cases(data.train_dataloader())) == set(data.training_cases) < set(data.split.train)
        assert cases(data.val_dataloader()) == [*data.split.validation]
        assert cases(data.test_dataloader()) == [*data.split.test]
        assert cases(data.predict_dataloader()) == [*data.split.test, *data.store.unlabelled]


def test_fractions_are_nested_and_share_validation_and_test_cases(store: Path) -> None:
    fractions = [0.05, 0.25, 0.5, 1.0]
    modules = [SegmentationData(store=store, label_fraction=fraction, fold=1, updates=10) for fraction in fractions]
    assert [data.n_labels for data in modules] == [1, 2, 3, 6]
    for small, large in pairwise(modules):
        assert set(small.training_cases) < set(large.training_cases)
        assert small.split == large.split


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 6), st.integers(1, 100), st.integers(0, 4), st.integers(0, 3))
def test_numbers_and_fractions_are_prefixes_of_one_order(
    store: Path, count: int, percentage: int, fold: int, seed: int
) -> None:
    every = SegmentationData(store=store, fold=fold, seed=seed, updates=10)
    by_count = SegmentationData(store=store, n_labels=count, fold=fold, seed=seed, updates=10)
    by_fraction = SegmentationData(store=store, label_fraction=percentage / 100, fold=fold, seed=seed, updates=10)
    assert by_count.training_cases == every.training_cases[:count]
    assert by_fraction.training_cases == every.training_cases[: by_fraction.n_labels]
    assert by_count.split == by_fraction.split == every.split
    assert by_count.describe()["n_labels"] == count
    assert by_count.label_fraction == count / 6


def test_both_a_number_and_a_fraction_are_refused_and_too_large_a_number(store: Path) -> None:
    with pytest.raises(UserError, match="one of them"):
        SegmentationData(store=store, n_labels=2, label_fraction=0.5, updates=10)
    with pytest.raises(UserError, match="7 labels: there are only 6 labelled training cases"):
        SegmentationData(store=store, n_labels=7, updates=10)


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


def test_photographs_are_stratified_and_every_fraction_has_every_grade(graded: Path) -> None:
    tested = []
    for fold in range(5):
        data = ClassificationData(store=graded, fold=fold, label_fraction=0.05, batch_size=8, updates=10)
        tested += data.split.test
        validation = data.split.validation
        for part in (validation, data.split.test, data.training_cases):
            assert len({data.store.classes(case) for case in part}) == len(part) == (4 if part is validation else 5)
        assert data.n_labels == data.num_classes == 5
        by_number = ClassificationData(store=graded, fold=fold, n_labels=5, batch_size=8, updates=10)
        assert by_number.training_cases == data.training_cases
        with pytest.raises(UserError, match="4 labels: each of the 5 classes needs one, so the least number is 5"):
            ClassificationData(store=graded, fold=fold, n_labels=4, updates=10)
        (batch,) = data.test_dataloader()
        assert (batch["image"].shape, batch["label"].dtype) == ((5, 3, 8, 8), torch.int64)
        assert [frozenset({int(grade)}) for grade in batch["label"]] == [data.store.classes(c) for c in batch["case"]]
    assert sorted(tested) == list(data.store.labelled)


def test_an_unlabelled_copy_of_a_held_out_image_is_not_pretrained_on(graded: Path) -> None:
    modules = [PretrainingData(store=graded, fold=fold, updates=10) for fold in range(5)]
    assert all(("eye_00" in data.training_cases) == ("eye_00" in data.split.train) for data in modules)
    assert not any("eye_27" in data.training_cases for data in modules)
    assert all({"eye_25", "eye_26"} <= set(data.training_cases) for data in modules)
    for data in modules:  # and of two copies that may be pretrained on, one is
        assert len({data.store.digests[case] for case in data.training_cases}) == len(data.training_cases)


def test_slices_are_of_their_volumes_one_of_each_case_and_evaluation_is_of_whole_volumes(store: Path) -> None:
    data = SegmentationData(store=store, spatial_dims=2, batch_size=4, updates=20, validations=1)
    positions = set()
    for batch in data.train_dataloader():
        assert (batch["image"].shape, batch["label"].shape) == ((4, 1, 8, 8), (4, 8, 8))
        assert len(set(batch["case"])) == 4
        for image, label, case in zip(batch["image"], batch["label"], batch["case"], strict=True):
            volume, truth = data.store.image(case), data.store.label(case)
            found = {k for k in range(8) if np.array_equal(volume[..., k], image)}
            assert any(np.array_equal(truth[..., k], label) for k in found)
            positions |= found
    assert positions == set(range(8))
    assert {batch["image"].shape for batch in data.test_dataloader()} == {(1, 1, 8, 8, 8)}
    assert data.describe()["spatial_dims"] == data.spatial_dims == 2
    epochs = SegmentationData(store=store, spatial_dims=2, epochs=10, batch_size=4, validations=5)
    assert epochs.updates_per_validation * 5 == 10 * 12  # 6 cases of 8 slices
    pretraining = PretrainingData(store=store, spatial_dims=2, epochs=10, batch_size=32, validations=5)
    assert pretraining.updates_per_validation * 5 == 10 * 8  # a batch has 9 slices of 9 cases, which have 8 each


def test_a_pool_holds_out_a_tenth_and_its_slices_do_not_change_in_validation(store: Path) -> None:
    pool = PoolData(store=store, spatial_dims=2, updates=10)
    assert len(pool.selection.validation) == 2
    assert sorted((*pool.training_cases, *pool.selection.validation)) == list(pool.store.cases)
    first, second = (torch.cat([batch["image"] for batch in pool.val_dataloader()]) for _ in range(2))
    assert first.shape == (2, 1, 8, 8)
    assert torch.equal(first, second)


def test_data_that_does_not_fit_is_refused(store: Path, graded: Path, tmp_path: Path) -> None:
    scans, classes = write_table(tmp_path / "scans", 3, ["class"]), tmp_path / "classes"
    prepare(scans, classes, PrepareSettings(size=8), jobs=1)
    with pytest.raises(UserError, match="of whole volumes, not of slices"):
        ClassificationData(store=classes, spatial_dims=2, updates=10)
    for module, path, words in (
        (SegmentationData, graded, "classes: use ClassificationData"),
        (ClassificationData, store, "label maps: use SegmentationData"),
    ):
        with pytest.raises(UserError, match=words):
            module(store=path, updates=10)
    with pytest.raises(UserError, match="images of 2 dimensions"):
        PretrainingData(store=graded, spatial_dims=3, updates=10)
    with pytest.raises(UserError, match="crop_size needs 2 sides"):
        SegmentationData(store=store, spatial_dims=2, crop_size=(4, 4, 4), updates=10)
    with pytest.raises(UserError, match="told by their names"):
        SegmentationData(store=store, regions="brain_tumour", updates=10)


@pytest.mark.parametrize(
    "options",
    [
        *[pytest.param(each, marks=pytest.mark.slow) for each in ({}, {"spatial_dims": 2}, {"crop_size": (4, 10, 8)})],
        {"spatial_dims": 2, "crop_size": (4, 10)},
    ],
)
def test_data_that_is_kept_on_a_device_makes_the_same_batches(store: Path, options: dict, device, monkeypatch) -> None:
    for module in (SegmentationData, PretrainingData):
        data = [module(store=store, updates=20, validations=1, num_workers=2, **options) for _ in range(2)]
        trainer = SimpleNamespace(global_step=0, strategy=SimpleNamespace(root_device=device))
        read, kept = (
            [each.train_dataloader(), each.val_dataloader()] for each in _with_room(data, trainer, monkeypatch)
        )
        assert all(loader.num_workers == 0 for loader in kept)
        for ours, expected in zip(chain(*kept, *kept), chain(*read, *read), strict=True):
            assert ours.keys() == expected.keys()
            lists = ours.keys() & {"case", "lost"}
            assert {key: ours[key] for key in lists} == {key: expected[key] for key in lists}
            for key in ours.keys() - lists:
                assert ours[key].device.type == device.type
                assert ours[key].dtype == expected[key].dtype
                assert torch.equal(ours[key].cpu(), expected[key])


def test_grades_are_kept_too(graded: Path, device, monkeypatch) -> None:
    data = [ClassificationData(store=graded, batch_size=8, updates=10, validations=1) for _ in range(2)]
    trainer = SimpleNamespace(global_step=0, strategy=SimpleNamespace(root_device=device))
    read, kept = (each.train_dataloader() for each in _with_room(data, trainer, monkeypatch))
    for ours, expected in zip(kept, read, strict=True):
        assert ours["label"].device.type == device.type
        assert torch.equal(ours["label"].cpu(), expected["label"])
        assert torch.equal(ours["image"].cpu(), expected["image"])


def _with_room(data: list, trainer: SimpleNamespace, monkeypatch):
    """Yield the first without room on a device, and the second with a lot of it."""
    for each, free in zip(data, (0, 2**30), strict=True):
        monkeypatch.setattr("sslmed.data.datamodule.free_memory", lambda device, free=free: free)
        each.trainer = trainer
        yield each


def test_data_is_kept_as_long_as_there_is_room(store: Path, monkeypatch) -> None:
    def kept(room: int, **options: float) -> list[bool]:
        monkeypatch.setattr("sslmed.data.datamodule.free_memory", lambda device: room)
        data = SegmentationData(store=store, updates=10, **options)
        loaders = data.train_dataloader(), data.val_dataloader(), data.test_dataloader()
        return [loader.dataset.kept_on is not None for loader in loaders]

    case = 8**3 * 3  # bytes of an image and a label map; 6 cases train, 2 validate
    assert kept(16 * case) == [True, True, False]
    assert kept(12 * case) == [True, False, False]
    assert kept(8 * case, device_memory=1.0) == [True, True, False]
    assert kept(8 * case) == [False, True, False]
    assert kept(16 * case, device_memory=0.0) == [False, False, False]
    with pytest.raises(UserError, match=r"device_memory .* 1\.5"):
        SegmentationData(store=store, updates=10, device_memory=1.5)
