"""Crops of large volumes: where they lie, that a third of them shows foreground, and that only they are read."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sslmed.data.batches import Draw
from sslmed.data.crops import foreground_voxel, random_crop
from sslmed.data.finetuning import SegmentationData
from sslmed.data.pretraining import PretrainingData
from sslmed.data.samples import StoreDataset
from sslmed.preparation.foreground import VOXELS, foreground_voxels
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.store import Store

AXIS = st.tuples(st.integers(1, 40), st.integers(1, 20), st.integers(0, 39))


@given(st.lists(AXIS, min_size=2, max_size=3), st.text())
def test_a_crop_lies_inside_and_has_its_centre_in_the_middle_where_there_is_room(axes: list, seed: str) -> None:
    sides, size = [side for side, _, _ in axes], [wanted for _, wanted, _ in axes]
    centre = [min(middle, side - 1) for side, _, middle in axes]
    for crop in (random_crop(sides, size, seed), random_crop(sides, size, seed, centre)):
        assert [len(range(side)[part]) for side, part in zip(sides, crop, strict=True)] == [*map(min, sides, size)]
    for side, wanted, middle, part in zip(sides, size, centre, crop, strict=True):
        assert part.start <= middle < part.stop
        assert part.start in (0, side - wanted, middle - wanted // 2)


def test_the_index_has_voxels_of_every_class_a_thousand_at_most() -> None:
    labels = np.zeros((20, 30, 40), np.uint8)
    labels[2:18, 3:27, 5:35] = 1
    labels[9, 9:12, 9] = 7
    voxels = foreground_voxels(labels)
    assert Counter(voxels[:, 0].tolist()) == {1: VOXELS, 7: 3}
    np.testing.assert_array_equal(labels[tuple(voxels[:, 1:].T)], voxels[:, 0])
    assert len(np.unique(voxels, axis=0)) == len(voxels)
    assert set(voxels[voxels[:, 0] == 1, 1]) == set(range(2, 18))  # they are spread over the class
    assert not len(foreground_voxels(labels * 0))


def test_a_third_of_the_crops_has_a_centre_and_rare_classes_are_as_frequent_as_large_ones() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[2:18, 2:18], labels[5, 5] = 1, 2
    voxels = foreground_voxels(labels)
    centres = [foreground_voxel(voxels, 0.33, f"0 1 {update} 2") for update in range(3000)]
    found = [labels[*centre] for centre in centres if centre is not None]
    assert len(found) / 3000 == pytest.approx(0.33, abs=0.03)
    assert np.mean(np.equal(found, 2)) == pytest.approx(0.5, abs=0.06)
    assert foreground_voxel(voxels[:0], 1.0, "a case without foreground") is None


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_crops_around_foreground_show_it(store: Path, spatial_dims: int) -> None:
    options = {"spatial_dims": spatial_dims, "crop_size": (3,) * spatial_dims, "validations": 1}
    data = SegmentationData(store=store, updates=20, foreground_fraction=1.0, **options)
    assert all(label.any() for batch in data.train_dataloader() for label in batch["label"])
    data = SegmentationData(store=store, updates=20, foreground_fraction=0.0, **options)
    assert not all(label.any() for batch in data.train_dataloader() for label in batch["label"])


@pytest.mark.parametrize("module", [SegmentationData, PretrainingData])
def test_crops_depend_on_seed_fold_and_update_alone(store: Path, module: type) -> None:
    def batches(start: int, **changes: int) -> list[torch.Tensor]:
        options = {"seed": 1, "fold": 2, "updates": 8, "validations": 1, "crop_size": (4, 6, 8)} | changes
        loader = module(store=store, **options).train_dataloader()
        loader.batch_sampler.updates_done = lambda: start
        return [batch["image"] for batch in loader]

    whole, resumed = batches(0), batches(5)
    assert all(torch.equal(*pair) for pair in zip(whole[5:], resumed[:3], strict=True))
    for changes in ({"seed": 2}, {"fold": 3}):
        assert not any(torch.equal(*pair) for pair in zip(whole, batches(0, **changes), strict=True))


@pytest.mark.parametrize("codes", [(0, 1), (0, 200)])  # declared classes, and masks of 0 and 200
def test_only_the_crop_is_read(store: Path, monkeypatch, codes: tuple[int, ...]) -> None:
    opened = Store(store)
    opened._codes = [*codes]
    held = {"foreground.npy": np.array([[codes[1], 250, 250, 250]])}
    folder = store / "cases" / opened.labelled[0]
    for name, shape, kind in (("image", (1, 512, 512, 512), np.float16), ("label", (512, 512, 512), np.uint8)):
        path = folder / f"{name}.npy"
        array = np.lib.format.open_memmap(path, "w+", kind, shape)  # a sparse file, written where the crop will be
        array[..., 240:260, 240:260, 240:260] = codes[1]
        del array
        held[path.name] = np.load(path, mmap_mode="r")
    monkeypatch.setattr(Store, "_map", lambda self, case, name: held[name])
    dataset = StoreDataset(opened, [folder.name], label="map", crop_size=(16, 16, 16), foreground_fraction=1.0)
    sample = dataset[Draw(0, "0 0 0 0")]
    assert (sample["image"] == codes[1]).all()
    assert (sample["label"] == 1).all()
    maps = Path("/proc/self/smaps").read_text()
    for name in ("image.npy", "label.npy"):
        kilobytes = re.search(rf"{folder}/{name}\n(?:.*\n)*?Rss: +(\d+) kB", maps)
        assert 0 < int(kilobytes[1]) * 1024 < held[name].nbytes / 10


@pytest.fixture
def store(decathlon_dataset, tmp_path: Path) -> Path:
    data = decathlon_dataset(labelled=10, unlabelled=3)
    return prepare(data, tmp_path / "store", PrepareSettings(size=12), jobs=1).root
