import pytest

from sslmed.evaluation.resolution import label_round_trip
from sslmed.preparation.prepare import PrepareSettings, prepare


def test_a_fine_grid_keeps_labels_and_a_coarse_one_loses_some(decathlon_dataset, tmp_path) -> None:
    data = decathlon_dataset(labelled=5, unlabelled=1)
    fine, coarse = (
        prepare(data, tmp_path / str(size), PrepareSettings(geometry="cube", size=size, foreground=0.0), jobs=1)
        for size in (16, 4)
    )
    assert label_round_trip(fine) == pytest.approx([1.0] * 5)
    assert 0.3 < label_round_trip(coarse).max() < 0.95
    assert len(label_round_trip(fine, most=2)) == 2
