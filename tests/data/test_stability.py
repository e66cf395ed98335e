"""A release must not change, unnoticed, what is trained on: prepared phantoms, their folds and label orders."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from drawn import draw

from sslmed.data.finetuning import ClassificationData, SegmentationData
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@pytest.mark.parametrize(
    ("kind", "cases", "size", "photo", "data_class", "splits", "labels", "mean"),
    [
        ("pancreas", 12, (16, 16, 16), "plain", SegmentationData, "acdd26db2df5caae", "7afeaea8449b2cb4", 0.302463),
        ("fundus", 45, (64, 48), "fundus", ClassificationData, "f27493e1883bcb48", "5c4eef2cecf61183", 0.267457),
    ],
)
def test_prepared_phantoms_folds_and_label_orders_stay_the_same(
    kind, cases, size, photo, data_class, splits, labels, mean, tmp_path: Path
) -> None:
    data = draw(tmp_path / "phantom", kind, cases=cases, size=size)
    store = prepare(data, tmp_path / "store", PrepareSettings(size=12, photo=photo), jobs=1)
    found = []
    for fold in range(3):
        half = data_class(store=store.root, fold=fold, n_folds=3, label_fraction=0.5, updates=10)
        found.append([half.split.train, half.split.validation, half.split.test, half.training_cases])
    assert digest(json.dumps(found).encode()) == splits
    of_cases = [store.label(case) if store.labels == "map" else sorted(store.classes(case)) for case in store.labelled]
    assert digest(b"".join(np.asarray(label, np.uint8).tobytes() for label in of_cases)) == labels
    # Of images, which are computed with fractions, the last bits may depend on the processor.
    assert np.mean([store.image(case).astype(float).mean() for case in store.cases]) == pytest.approx(mean, abs=1e-5)
