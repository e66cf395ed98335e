"""Several folders and tables as one dataset or pool."""

from pathlib import Path

import numpy as np
import pytest
from generated_tables import write_table
from volume_files import scan, write_series, write_volume

from sslmed.core.errors import DataError, UserError
from sslmed.data.pretraining import PoolData
from sslmed.experiments.data_checks import refuse_common_images
from sslmed.preparation.prepare import prepare
from sslmed.preparation.readers.layouts import read
from sslmed.preparation.settings import PrepareSettings

CUBE = PrepareSettings(size=8)


def write_pool(folder: Path, *numbers: int, ending: str = ".nii") -> Path:
    for number in numbers:
        write_volume(folder / f"scan{number}{ending}", scan(number))
    return folder


def test_cases_of_equal_names_in_several_pools_are_different_and_copies_count_once(tmp_path):
    pools = [write_pool(tmp_path / "x" / "scans", 0, 1), write_pool(tmp_path / "y" / "scans", 1, 2, ending=".mha")]
    store = prepare(pools, tmp_path / "store", CUBE, jobs=1, pool=True)
    assert store.cases == ("x%2Fscan0", "x%2Fscan1", "y%2Fscan1", "y%2Fscan2")
    assert store.sources == {case: case[0] for case in store.cases}
    assert store.distinct(store.cases) == ("x%2Fscan0", "x%2Fscan1", "y%2Fscan2")
    assert store.name == "scans+scans"
    assert prepare(pools[0], tmp_path / "one", CUBE, jobs=1, pool=True).sources == {}


def test_batches_are_balanced_over_pools_if_asked(tmp_path):
    pools = [write_pool(tmp_path / "few", 0, 1, 2), write_pool(tmp_path / "many", *range(3, 15))]
    prepare(pools, tmp_path / "store", CUBE, jobs=1, pool=True)
    counts = {}
    for balanced in (False, True):
        data = PoolData(tmp_path / "store", balanced=balanced, batch_size=4, updates=8, validations=1)
        batches = [
            [data.training_cases[draw.case] for draw in batch] for batch in data.train_dataloader().batch_sampler
        ]
        counts[balanced] = [sum(case.startswith("few") for case in batch) for batch in batches]
    assert counts[True] == [2] * 8
    assert sum(counts[False]) < 12


def test_a_table_with_labels_takes_unlabelled_images_from_a_folder(tmp_path):
    table = write_table(tmp_path / "mine", 3, ["mask", "class"], cases=4, unlabelled=0)
    scans = write_pool(tmp_path / "scans", 0, 1)
    (tmp_path / "more.csv").write_text("image\nscans/scan0.nii\n")
    dataset = read(table, scans, tmp_path / "more.csv", labels="map")
    assert (dataset.labels, dataset.name, len(dataset.cases)) == ("map", "mine+scans+more", 7)
    assert [case.id for case in dataset.cases if not case.is_labelled] == [
        *("more%2Fscans%2Fscan0", "scans%2Fscan0", "scans%2Fscan1")
    ]
    assert {case.source for case in dataset.cases} == {"mine", "scans", "more"}
    assert [case.patient for case in dataset.cases if case.is_labelled] == ["p0", "p0", "p1", "p1"]


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (["photographs"], "its images are of 2 dimensions, but of .*volumes the images are of 3 dimensions"),
        (["masks", "classes"], "its labels are classes, but of .*masks.* the labels are label maps"),
        (["ct", "mr"], "its images are no CT, but of .*ct the images are CT"),
        (["volumes"], "is given twice"),
    ],
)
def test_datasets_of_different_kinds_are_not_mixed(tmp_path, others, words):
    write_pool(tmp_path / "volumes", 0)
    write_table(tmp_path / "photographs", 2, ["class"], cases=3)
    write_table(tmp_path / "masks", 3, ["mask"], cases=3)
    write_table(tmp_path / "classes", 3, ["class"], cases=3)
    write_series(tmp_path / "ct", scan(0))
    write_series(tmp_path / "mr", scan(0), modality="MR")
    with pytest.raises(DataError, match=words):
        read(tmp_path / "volumes", *(tmp_path / other for other in others))


def test_channels_in_another_order_are_not_mixed(tmp_path):
    for name, number, modalities in (("a", 0, "T1;T2"), ("b", 1, "T2;T1"), ("c", 2, "t1;t2")):
        write_pool(tmp_path / name, 2 * number, 2 * number + 1)
        files = f"scan{2 * number}.nii;scan{2 * number + 1}.nii"
        (tmp_path / name / "table.csv").write_text(f"image,modality\n{files},{modalities}\n")
    with pytest.raises(
        DataError, match=r"b/table.csv: its channels are T2, T1, but of .*a/table.csv the channels are T1"
    ):
        read(tmp_path / "a", tmp_path / "b", pool=True)
    assert read(tmp_path / "a", tmp_path / "c", pool=True).modalities == ("T1", "T2")


def test_a_pool_may_hold_different_contrasts_of_one_channel(tmp_path):
    for number, name in enumerate(("T1", "T2")):
        (write_pool(tmp_path / name, number) / "table.csv").write_text(f"image,modality\nscan{number}.nii,{name}\n")
    assert read(tmp_path / "T1", tmp_path / "T2", pool=True).modalities == ("channel",)
    assert read(tmp_path / "T2", write_pool(tmp_path / "scans", 3), pool=True).modalities == ("T2",)


def test_a_test_case_is_found_in_any_pool_of_any_format(tmp_path):
    """Also where the formats make it a CT here, and a scan of unknown units there."""
    folder = write_pool(tmp_path / "mine", 0, 1, 2)
    for number in range(3):
        write_volume(folder / f"mask{number}.nii", (scan(number) > 0).astype(np.uint8))
    rows = [f"scan{number}.nii,mask{number}.nii" for number in range(3)]
    (folder / "table.csv").write_text("\n".join(["image,mask", *rows]))
    store = prepare(folder, tmp_path / "store", CUBE, jobs=1)
    write_series(tmp_path / "dicom" / "a", scan(7))
    write_series(tmp_path / "dicom" / "b", scan(2)[::-1], np.diag([1, -1, 2, 1.0]))
    pools = [write_pool(tmp_path / "other", 8), tmp_path / "dicom"]
    pool = prepare(pools, tmp_path / "pool", CUBE, jobs=1, pool=True)
    assert pool.modalities == ("CT",)
    with pytest.raises(UserError, match=r"test cases \(dicom/b is scan2\)"):
        refuse_common_images(pool, store, "--pool")
