"""A store follows its dataset: what changed is prepared again, and what did not is kept."""

import json
import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from volume_files import scan, write_volume

from sslmed.core.errors import DataError, UserError
from sslmed.preparation.prepare import prepare
from sslmed.preparation.preview import preview
from sslmed.preparation.readers.layouts import read
from sslmed.preparation.settings import PrepareSettings, preparation_differences
from sslmed.preparation.store import Store

CUBE = PrepareSettings(size=8)


@pytest.fixture
def data(decathlon_dataset) -> Path:
    return decathlon_dataset(labelled=4, unlabelled=2)


def change_label(data: Path, case: str) -> None:
    """Replace a label file in place: dataset.json stays as it is."""
    path = data / "labelsTr" / f"{case}.nii.gz"
    image = nib.load(path)
    label = np.zeros(image.shape, np.uint8)
    label[3:6, 3:6, 3:6] = 1
    nib.save(nib.Nifti1Image(label, image.affine), path)


def prepared_times(store: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in store.glob("cases/*/image.npy")}


def test_changed_new_and_withdrawn_cases_are_followed_and_said_in_one_line(data, tmp_path, capsys) -> None:
    prepare(data, tmp_path / "store", CUBE, jobs=1)
    before = prepared_times(tmp_path / "store")
    change_label(data, "case_01")
    content = json.loads((data / "dataset.json").read_text())
    shutil.copy(data / "imagesTs" / "case_04.nii.gz", data / "imagesTs" / "case_06.nii.gz")
    (data / "dataset.json").write_text(
        json.dumps(content | {"test": ["./imagesTs/case_04.nii.gz", "./imagesTs/case_06.nii.gz"]})
    )
    capsys.readouterr()
    store = prepare(data, tmp_path / "store", CUBE, jobs=1)
    said = capsys.readouterr().err.splitlines()[0]
    assert "1 changed (case_01), 1 new (case_06), 1 no longer listed (case_05)" in said
    assert store.cases == ("case_00", "case_01", "case_02", "case_03", "case_04", "case_06")
    after = prepared_times(tmp_path / "store")
    assert after.keys() == set(store.cases)  # nothing is kept of a scan that was withdrawn
    assert {case for case in before.keys() & after if before[case] != after[case]} == {"case_01"}
    assert int(store.native_label("case_01").sum()) == 27


def test_a_store_is_not_finished_while_a_changed_case_cannot_be_used(data, tmp_path) -> None:
    prepare(data, tmp_path / "store", CUBE, jobs=1)
    (data / "labelsTr/case_01.nii.gz").write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        prepare(data, tmp_path / "store", CUBE, jobs=1)
    with pytest.raises(UserError, match="not finished"):
        Store(tmp_path / "store")


def test_a_file_that_was_copied_or_touched_has_not_changed(data, tmp_path, capsys) -> None:
    store = prepare(data, tmp_path / "store", CUBE, jobs=1)
    before = prepared_times(tmp_path / "store")
    for path in data.rglob("*.nii.gz"):
        os.utime(path, (1, 1))
    assert not preview(read(data), (), store.root, CUBE).unprepared
    capsys.readouterr()
    again = prepare(data, tmp_path / "store", CUBE, jobs=1)
    assert not capsys.readouterr().err
    assert prepared_times(tmp_path / "store") == before
    assert [again.image_hash(case) for case in again.cases] == [store.image_hash(case) for case in store.cases]


def test_another_label_map_of_equal_size_and_time_is_read(tmp_path) -> None:
    """As of two raters, out of one archive."""
    rows = ["image,mask"]
    for number in range(2):
        rows.append(f"{number}.nii,{number}_rater1.nii")
        for rater in (1, 2):
            write_volume(tmp_path / "mine" / f"{number}_rater{rater}.nii", (scan(rater) > 0).astype(np.uint8))
        write_volume(tmp_path / "mine" / f"{number}.nii", scan(number))
    table = tmp_path / "mine" / "table.csv"
    table.write_text("\n".join(rows))
    for path in table.parent.glob("*.nii"):
        os.utime(path, (1, 1))
    store = prepare(table, tmp_path / "store", CUBE, jobs=1)
    table.write_text("\n".join(rows).replace("1_rater1", "1_rater2"))
    assert preview(read(table), (), store.root, CUBE).unprepared == {"1"}
    again = prepare(table, tmp_path / "store", CUBE, jobs=1)
    np.testing.assert_array_equal(again.native_label("0"), scan(1) > 0)
    np.testing.assert_array_equal(again.native_label("1"), scan(2) > 0)


def test_a_preview_is_the_store_that_will_be_and_names_what_is_to_do(data, tmp_path) -> None:
    planned = preview(read(data), (), tmp_path / "store", CUBE)
    assert planned.unprepared == set(planned.cases)
    store = prepare(data, tmp_path / "store", CUBE, jobs=1)
    now = preview(read(data), (), tmp_path / "store", CUBE)
    assert not now.unprepared
    for name in ("cases", "labelled", "groups", "digests", "preparation", "label_names"):
        assert getattr(now, name) == getattr(store, name)
    assert [now.classes(case) for case in now.cases] == [store.classes(case) for case in store.cases]
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}
    change_label(data, "case_02")
    assert preview(read(data), (), tmp_path / "store", CUBE).unprepared == {"case_02"}
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before


def test_a_class_may_change_in_the_table_without_its_image(aptos_dataset, tmp_path) -> None:
    data = aptos_dataset(grades=(0, 1, 2, 3))
    store = prepare(data, tmp_path / "store", CUBE, jobs=1)
    before = prepared_times(store.root)
    (data / "train.csv").write_text((data / "train.csv").read_text().replace("eye_01,1", "eye_01,4"))
    again = prepare(data, tmp_path / "store", CUBE, jobs=1)
    assert again.classes("eye_01") == {4}
    assert prepared_times(store.root) == before
    changed = [case for case in store.cases if store.label_identity(case) != again.label_identity(case)]
    assert changed == ["eye_01"]


def test_only_settings_that_have_an_effect_are_compared() -> None:
    ct, mr = ("CT",), ("T1", "T2")
    here = CUBE.describe(3, ct)
    assert preparation_differences(here, PrepareSettings(size=8, percentiles=(1, 99)).describe(3, ct)) == []
    wider = PrepareSettings(size=8, hu_window=(-100, 300))
    assert preparation_differences(here, wider.describe(3, ct)) == [
        "hu_window ([-160.0, 240.0] there, [-100.0, 300.0] here)"
    ]
    assert CUBE.describe(3, mr) == wider.describe(3, mr)
    assert preparation_differences(here, CUBE.describe(3, ("MR",)))[0].startswith("normalisation (['HU window'] there")
    assert preparation_differences(here, PrepareSettings(size=9).describe(3, ct)) == ["size (8 there, 9 here)"]
