"""Tables of the user's own: what is read from them, and how bad ones are refused."""

import re

import nibabel as nib
import numpy as np
import pytest
from commands import exit_status, reproduce
from generated_tables import write_table
from PIL import Image

from sslmed.core.errors import DataError
from sslmed.preparation.prepare import prepare
from sslmed.preparation.readers.layouts import read
from sslmed.preparation.readers.volumes import read_case
from sslmed.preparation.settings import PrepareSettings


@pytest.fixture
def data(tmp_path):
    return write_table(tmp_path / "mine", 2, ["mask", "class", "value"], cases=6)


def rewrite(table, *changes):
    text = table.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    table.write_text(text)
    return table


def classes_of(tmp_path, texts):
    """The names of the classes that a column of these texts has, and each row's class."""
    write_table(tmp_path / "t", 2, [], cases=len(texts), unlabelled=0)
    rows = [f"images/case_{number:02}.png,{text}" for number, text in enumerate(texts)]
    (tmp_path / "t" / "table.csv").write_text("\n".join(["image,class", *rows]))
    dataset = read(tmp_path / "t")
    return [*dataset.label_names.values()], [dataset.label_names[case.label] for case in dataset.cases]


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["stage 10", "healthy", "stage 2"], ["healthy", "stage 2", "stage 10"]),
        (["10", "-1", "2"], ["-1", "2", "10"]),
        (["2.0", "0", "2", "10.0"], ["0", "2", "10"]),
        (["0.5", "0.25", "1"], ["0.25", "0.5", "1"]),
        (["b", "A", "1"], ["1", "A", "b"]),
    ],
)
def test_classes_are_numbers_or_text_in_natural_order(tmp_path, texts, names):
    found, of_rows = classes_of(tmp_path, texts)
    assert found == names
    assert [name.removesuffix(".0") for name in texts] == of_rows


def test_the_way_to_images_elsewhere_is_no_part_of_their_ids(data, tmp_path):
    table = tmp_path / "study" / "table.csv"
    table.parent.mkdir()
    rows = [
        f"{data.parent}/images/case_00.png,1",
        f"{data.parent}/images/case_01.png,2",
        f"{data.parent}/masks/case_00.png,3",
    ]
    table.write_text("\n".join(["image,value", *rows]))
    assert [case.id for case in read(table).cases] == ["images%2Fcase_00", "images%2Fcase_01", "masks%2Fcase_00"]


def test_ids_patients_and_unlabelled_cases(data):
    dataset = read(data, labels="value")
    assert (dataset.name, dataset.spatial_dims, dataset.labels, dataset.label_names) == ("mine", 2, "value", {})
    assert [case.id for case in dataset.cases[:2]] == ["images%2Fcase_00", "images%2Fcase_01"]
    assert [case.patient for case in dataset.cases] == [f"p{number // 2}" for number in range(8)]
    assert [case.is_labelled for case in dataset.cases] == [True] * 6 + [False] * 2
    assert dataset.cases[0].label == pytest.approx(15)
    pool = read(data, pool=True)
    assert pool.labels == "none"
    assert not any(case.is_labelled for case in pool.cases)


def test_semicolons_as_spreadsheets_of_many_countries_write_them(data):
    with_commas = read(data, labels="class")
    rewrite(data, (",", ";"))
    assert read(data, labels="class") == with_commas


def test_the_path_of_a_table_or_of_its_folder(data, tmp_path):
    assert read(data.parent, labels="map") == read(data, labels="map")
    elsewhere = data.rename(data.with_name("eyes.csv"))
    assert read(elsewhere, labels="map").name == "eyes"
    text = elsewhere.read_text().replace("images/", f"{tmp_path}/mine/images/").replace("masks/", "../mine/masks/")
    (tmp_path / "other").mkdir()
    absolute = tmp_path / "other" / "table.csv"
    absolute.write_text(text)
    store = prepare(absolute, tmp_path / "store", PrepareSettings(size=8), jobs=1, labels="map")
    assert len(store.labelled) == 6


FIGURES = {"map": "segmentation", "class": "classification", "value": "regression"}
CASE_0 = "images/case_00.png,masks/case_00.png,stage 2,15.0,p0"
BAD = {
    "missing column": ([("image,", "picture,")], "map", "has no column image"),
    "missing column of labels": ([("value,", "age,")], "value", "has no column value, which is to hold the labels"),
    "misspelt patient": ([("patient", "Patient_ID")], "map", "has a column patient_id, which would be ignored"),
    "patient by another name": ([("patient", "participant_id")], "map", "if it is meant as patient, name it so"),
    "misspelt labels": (
        [("mask,class,value", "masks,a,b")],
        None,
        "has a column masks, which would be ignored; if it is meant as mask, name it so",
    ),
    "twice a column": ([("class,", "mask,")], "map", "has the column mask twice"),
    "several labels": ([], None, "has the columns mask and class and value; say which of them are the labels"),
    "missing image": ([("images/case_00.png", "images/absent.png")], "map", "line 2: image"),
    "missing mask": ([("masks/case_01.png", "masks/absent.png")], "map", "line 3: mask"),
    "no image": ([("images/case_00.png", "")], "map", "line 2: has no image"),
    "other kind of image": ([("images/case_00.png", "images/case_00.bmp")], "map", "must end in .png, .jpg"),
    "lossy mask": ([("masks/case_00.png", "masks/case_00.jpg")], "map", "mask masks/case_00.jpg must end in .png"),
    "duplicate image": ([("images/case_01.png", "images/../images/case_00.png")], "map", "already listed on line 2"),
    "duplicate mask": (
        [("masks/case_01.png", "masks/case_00.png")],
        "map",
        "line 3: mask masks/case_00.png is already",
    ),
    "image as mask": ([("masks/case_00.png", "images/case_00.png")], "map", "images/case_00.png is already listed on"),
    "empty class": ([("stage 2", ""), ("stage 10", ""), ("healthy", "")], "class", "the column class is empty"),
    "class that is no word": (
        [(CASE_0, CASE_0.replace("stage 2", "NA"))],
        "class",
        "class is 'NA'; leave the cell empty",
    ),
    "error of a table program": ([(CASE_0, CASE_0.replace("stage 2", "#REF!"))], "class", "class is '#REF!'; leave"),
    "dash for no class": ([(CASE_0, CASE_0.replace("stage 2", "-"))], "class", "class is '-'; leave the cell empty"),
    "classes alike": ([(CASE_0, CASE_0.replace("stage 2", "Healthy"))], "class", "the classes Healthy and healthy"),
    "numbers alike": ([("stage 2", "0.1"), ("stage 10", "0.10")], "class", "the classes 0.1 and 0.10 differ"),
    "one class": ([("stage 2", "healthy"), ("stage 10", "healthy")], "class", "every class is healthy"),
    "no number": ([(",15.0,", ",old,")], "value", "line 2: value must be a number, as 3.5, not 'old'"),
    "infinite": ([(",15.0,", ",inf,")], "value", "value must be a number"),
    "comma in a number": ([(",15.0,", ",15,0,")], "value", "line 2: has 1 more cells than the first line"),
    "missing patient": ([(CASE_0, CASE_0[:-2])], "map", "line 2: has no patient, but other rows have"),
    "patient that is nobody": ([(CASE_0, CASE_0[:-2] + "NA")], "map", "line 2: has no patient, but other rows have"),
    "patient of pandas": ([(CASE_0, CASE_0[:-2] + "None")], "map", "line 2: has no patient, but other rows have"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables_are_refused_in_one_line_with_status_2(data, tmp_path, capsys, name):
    changes, labels, words = BAD[name]
    rewrite(data, *changes)
    if labels is None:
        assert exit_status("prepare", data, "--store", tmp_path / "runs") == 2
    else:
        assert reproduce(tmp_path, FIGURES[labels], "--data", data) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{data}: ")
    assert words in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_an_image_is_not_listed_again_by_its_whole_path(data):
    rewrite(data, ("images/case_01.png", f"{data.parent}/images/case_00.png"))
    with pytest.raises(DataError, match=r"line 3: image .* is already listed on line 2"):
        read(data, labels="class")


def test_volumes_and_photographs_do_not_mix(data, tmp_path):
    write_table(tmp_path / "scans", 3, [], cases=1, unlabelled=0)
    rewrite(data, ("images/case_00.png", "../scans/images/case_00.nii.gz"))
    with pytest.raises(DataError, match="lists volumes and photographs"):
        read(data, labels="class")


def test_photographs_are_taken_whole_and_their_masks_with_them(data, tmp_path):
    store = prepare(data, tmp_path / "store", PrepareSettings(size=20), jobs=1, labels="map")
    assert (store.labels, store.label_names) == ("map", {0: "background", 255: "label 255"})
    case = store.labelled[0]
    photo = np.asarray(Image.open(data.parent / "images/case_00.png"))  # 18 rows, 20 columns
    mask = np.asarray(Image.open(data.parent / "masks/case_00.png"))
    np.testing.assert_allclose(store.image(case)[1, 1:19], photo / 255, atol=1e-3)
    assert not store.image(case)[:, [0, 19]].any()  # black above and below
    np.testing.assert_array_equal(store.label(case)[1:19], mask == 255)
    np.testing.assert_array_equal(store.native_label(case), mask == 255)
    np.testing.assert_array_equal(store.geometry(case).restore_labels(store.label(case)), mask == 255)
    assert store.classes(case) == {0, 1}


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((18, 19), np.uint8), "has 19 x 18 pixels, but its image 20 x 18"),
        (np.zeros((18, 20, 3), np.uint8), "is of mode RGB; a mask holds one whole number for each pixel"),
        (np.full((18, 20), 300, np.uint16), "holds 300; the numbers of classes must be 0 to 255"),
        (np.full((18, 20), -3, np.int32), "holds -3; the numbers of classes must be 0 to 255"),
        (np.arange(360).reshape(18, 20).astype(np.uint8), "without smooth edges"),
    ],
)
def test_bad_masks_are_refused(data, tmp_path, mask, words):
    name = "masks/case_00.tif" if mask.dtype == np.int32 else "masks/case_00.png"
    Image.fromarray(mask).save(data.parent / name)
    rewrite(data, ("masks/case_00.png", name))
    with pytest.raises(DataError, match=words):
        prepare(data, tmp_path / "store", PrepareSettings(size=8), jobs=1, labels="map")


def test_masks_that_are_all_background_are_refused(data, tmp_path):
    for path in (data.parent / "masks").iterdir():
        Image.new("L", (20, 18)).save(path)
    with pytest.raises(DataError, match="no mask holds anything but 0"):
        prepare(data, tmp_path / "store", PrepareSettings(size=8), jobs=1, labels="map")


def test_volumes_and_their_values(tmp_path):
    data = write_table(tmp_path / "scans", 3, ["value"], cases=3, unlabelled=1)
    store = prepare(data, tmp_path / "store", PrepareSettings(size=8), jobs=1)
    assert (store.labels, store.spatial_dims, store.modalities, store.num_classes) == ("value", 3, ("channel",), 0)
    assert store.image(store.labelled[0]).shape == (1, 8, 8, 8)
    assert store.value("images%2Fcase_00") == pytest.approx(15)


def channels_table(tmp_path, modality="PT;ct", mask_shape=(6, 5, 4)):
    """Cases whose channels are files of their own, one of them with a mask."""
    generator = np.random.default_rng(0)
    for number in range(2):
        for channel in range(2):
            voxels = generator.integers(-1000, 1000, (6, 5, 4)).astype(np.int16)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / f"{number}_{channel}.nii")
    nib.save(nib.Nifti1Image(np.ones(mask_shape, np.uint8), np.eye(4)), tmp_path / "mask.nii")
    rows = [f"0_0.nii; 0_1.nii,mask.nii,{modality}", f"1_0.nii;1_1.nii,,{modality}"]
    (tmp_path / "table.csv").write_text("\n".join(["image,mask,modality", *rows]))
    return tmp_path / "table.csv"


def test_several_files_are_the_channels_of_an_image(tmp_path):
    table = channels_table(tmp_path)
    dataset = read(table)
    assert dataset.modalities == ("PT", "ct")
    first = dataset.cases[0]
    assert [path.name for path in first.files] == ["0_0.nii", "0_1.nii", "mask.nii"]
    image, label = read_case(first, dataset.modalities, ())
    expected = [nib.load(tmp_path / f"0_{channel}.nii").get_fdata() for channel in range(2)]
    np.testing.assert_array_equal(image.voxels, expected)
    assert label.voxels.all()
    store = prepare(table, tmp_path / "store", PrepareSettings(size=4), jobs=1)
    before = store.image("0_0").copy()
    assert before.shape == (2, 4, 4, 4)
    (tmp_path / "0_1.nii").write_bytes((tmp_path / "1_1.nii").read_bytes())
    after = prepare(table, tmp_path / "store", PrepareSettings(size=4), jobs=1).image("0_0")
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_channels_that_do_not_fit_are_refused(tmp_path):
    table = channels_table(tmp_path)
    nib.save(nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 5, 4), np.eye(4)), tmp_path / "1_1.nii")
    with pytest.raises(DataError, match=r"1_1\.nii: has shape \(3, 5, 4\), but its image \(6, 5, 4\)"):
        prepare(table, tmp_path / "store", PrepareSettings(size=4), jobs=1)
    rewrite(table, ("1_0.nii;1_1.nii", "1_0.nii"))
    with pytest.raises(DataError, match=r"1_0\.nii: has 1 channels, but the dataset has 2"):
        prepare(table, tmp_path / "store", PrepareSettings(size=4), jobs=1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("1_0.nii;1_1.nii,,PT;ct", "1_0.nii;1_1.nii,,CT;PT")], "line 3: modality is 'CT;PT', but 'PT;ct' on line 2"),
        ([("PT;ct", "CT")], "line 2: modality 'CT' must name 2 channels, as 'MR;MR'"),
        ([("modality", "modalty")], "has a column modalty, which would be ignored"),
        ([("1_0.nii;1_1.nii", "1_0.nii;absent.nii")], "line 3: image"),
        ([("1_0.nii;1_1.nii", "1_0.nii;0_1.nii")], "line 3: image 0_1.nii is already listed on line 2"),
        ([("1_0.nii;1_1.nii", "1_0.nii;1_0.nii")], "line 3: image 1_0.nii is already listed on line 3"),
    ],
)
def test_bad_channels_of_a_table(tmp_path, changes, words):
    with pytest.raises(DataError, match=re.escape(words)):
        read(rewrite(channels_table(tmp_path), *changes))
