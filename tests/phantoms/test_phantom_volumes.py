"""Datasets of volumes are in the layout of MSD."""

import json

import nibabel as nib
import numpy as np
import pytest
from drawn import SIZES, draw

from sslmed.core.errors import UserError
from sslmed.preparation.readers.layouts import read
from sslmed.preparation.readers.volumes import read_case


@pytest.mark.parametrize(
    ("kind", "modalities", "labels"),
    [
        ("pancreas", ("CT",), ["background", "pancreas", "cancer"]),
        ("brain", ("FLAIR", "T1w", "t1gd", "T2w"), ["background", "edema", "non-enhancing tumor", "enhancing tumour"]),
    ],
)
def test_the_reader_accepts_it(kind, modalities, labels, datasets):
    found = read(datasets[kind])
    assert found.modalities == modalities
    assert found.label_names == dict(enumerate(labels))
    assert [case.label is not None for case in found.cases] == [True] * 3 + [False] * 2
    assert "PHANTOM" in json.loads((datasets[kind] / "dataset.json").read_text())["description"]
    for case in found.cases:
        assert nib.load(case.image).get_data_dtype() == np.int16
        image, label = read_case(case, found.modalities, tuple(found.label_names))
        assert image.voxels.shape == (len(modalities), *SIZES[kind])
        assert (label is None) == (case.label is None)
        if label is not None:
            assert nib.load(case.label).get_data_dtype() == np.uint8
            assert set(np.unique(label.voxels)) <= set(found.label_names)


@pytest.mark.parametrize("kind", ["pancreas", "brain"])
def test_other_sizes_are_refused(kind, tmp_path):
    with pytest.raises(UserError, match=r"at least 16 voxels, got \(40, 36, 8\)"):
        draw(tmp_path / "new", kind, size=(40, 36, 8))
