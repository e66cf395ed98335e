import json

import nibabel as nib
import numpy as np
import pytest
import torch

from sslmed.data.finetuning import SegmentationData
from sslmed.downstream import Segmentation
from sslmed.encoders import UNetEncoder
from sslmed.evaluation.resolution import label_round_trip, lost_labels
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings


def test_a_fine_grid_keeps_labels_and_a_coarse_one_loses_some(decathlon_dataset, tmp_path) -> None:
    data = decathlon_dataset(labelled=5, unlabelled=1)
    fine, coarse = (
        prepare(data, tmp_path / str(size), PrepareSettings(geometry="cube", size=size, foreground=0.0), jobs=1)
        for size in (16, 4)
    )
    assert label_round_trip(fine) == pytest.approx([1.0] * 5)
    assert 0.3 < label_round_trip(coarse).max() < 0.95
    assert len(label_round_trip(fine, most=2)) == 2


def test_a_class_that_no_label_map_has_is_named(decathlon_dataset, tmp_path) -> None:
    data = decathlon_dataset(labels=("background", "organ"))
    content = json.loads((data / "dataset.json").read_text())
    content["labels"] |= {"2": "tumour", "3": "vessel"}
    (data / "dataset.json").write_text(json.dumps(content))
    (warning,) = lost_labels(prepare(data, tmp_path / "store", PrepareSettings(size=12), jobs=1))
    assert warning.startswith("no label map has a voxel of tumour, vessel: ")


def test_lesions_that_the_grid_loses_are_counted_and_score_nothing(decathlon_dataset, tmp_path, monkeypatch) -> None:
    data = decathlon_dataset(labelled=6, unlabelled=1)
    for number, path in enumerate(sorted((data / "labelsTr").iterdir())):
        label = np.zeros((12, 10, 8), np.uint8)  # of 4 cases empty, of 2 with a lesion of one voxel
        label[5, 5, 5] = number in (0, 3)
        nib.save(nib.Nifti1Image(label, nib.load(path).affine), path)
    store = prepare(data, tmp_path / "store", PrepareSettings(size=2), jobs=1)
    assert [case for case in store.labelled if store.lost(case) == {1}] == ["case_00", "case_03"]
    (warning,) = lost_labels(store)
    assert warning.startswith("2 of 6 labelled cases lose all voxels of a class")
    assert lost_labels(prepare(data, tmp_path / "fine", PrepareSettings(size=24), jobs=1)) == []

    task = Segmentation(UNetEncoder(3, 1, (4,)), label_values=(0, 1))
    nothing = torch.tensor([0.9, 0.1]).view(1, 2, 1, 1, 1)
    monkeypatch.setattr(task, "infer", lambda images: nothing.expand(len(images), 2, 2, 2, 2))
    for fold in range(3):
        batches = SegmentationData(store=store.root, fold=fold, n_folds=3, updates=1)
        for number, batch in enumerate(batches.test_dataloader()):
            task.test_step(batch, number)
    scores = {row["case"]: (row["dice_foreground"], row["dice_foreground_native"]) for row in task.test_rows}
    assert scores == {case: (0, 0) if store.lost(case) else (1, 1) for case in store.labelled}

    monkeypatch.setattr(task, "apply_whole", lambda network, images: task.infer(images))
    logged = {}
    monkeypatch.setattr(task, "log_dict", logged.update)
    for fold in range(3):
        batches = SegmentationData(store=store.root, fold=fold, n_folds=3, updates=1)
        for number, batch in enumerate(batches.val_dataloader()):
            task.validation_step(batch, number)
        task.on_validation_epoch_end()
        expected = [not store.lost(case) for case in batches.split.validation]
        assert logged["val/dice_foreground"] == pytest.approx(np.mean(expected))
