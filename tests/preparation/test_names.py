"""The same name, written in another way: Unicode, extensions, numbers; and names of cases from equal file names."""

import json
import shutil
from unicodedata import normalize

import nibabel as nib
import numpy as np
import pytest
from generated_tables import write_table
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sslmed.core.errors import DataError
from sslmed.preparation.prepare import prepare
from sslmed.preparation.readers.dataset import patient_name
from sslmed.preparation.readers.layouts import read
from sslmed.preparation.readers.names import find_file, name_cases
from sslmed.preparation.settings import PrepareSettings

CUBE = PrepareSettings(size=8)


@pytest.mark.parametrize(
    "texts",
    [("3", "3.0", "03", " 3", "+3", "\uff13"), ("120", "1.2E+02", "1.2e+02"), ("é", "e\u0301"), ("p1", "P1", "p 1")],
)
def test_one_patient_in_all_the_ways_that_tables_write_it(texts):
    assert len({patient_name(text) for text in texts}) == 1


@pytest.mark.parametrize(
    "texts", [("3", "-3", "3.5", "3a", "P3", "P03"), ("12345678901234567890", "12345678901234567891")]
)
def test_different_patients_stay_different(texts):
    assert len({patient_name(text) for text in texts}) == len(texts)


@given(st.text(max_size=8))
def test_the_form_of_a_patient_is_final(text):
    assert patient_name(patient_name(text)) == patient_name(text)


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (["./imagesTr/a.nii.gz", "imagesTs/b.NII"], ["a", "b"]),
        (["p1/ct.nii.gz", "p2/ct.nii.gz"], ["p1", "p2"]),
        (["all/p1/v1/ct.nii", "all/p2/v1/ct.nii", "all/p2/v2/ct.nii"], ["p1%2Fv1", "p2%2Fv1", "p2%2Fv2"]),
        (["p1/ct.nii.gz", "p2/ct.nii.gz", "p2/ct_2.nii.gz"], ["p1%2Fct", "p2%2Fct", "p2%2Fct_2"]),
        (["imagesTr/1.nii", "imagesTs/1.nii"], ["imagesTr", "imagesTs"]),
        (["ct.nii", "p1/ct.nii"], ["ct", "p1%2Fct"]),
        (["a%2Fb/c.nii", "a/b/c.nii"], ["a%252Fb", "a%2Fb"]),
        (["p1/ct.nii.gz", "p1/ct.nii"], ["ct", "ct"]),
        ([], []),
    ],
)
def test_cases_are_named_by_the_part_of_their_paths_that_differs(images, names):
    assert name_cases(images) == names


paths = st.lists(st.sampled_from(["a", "b", "%", "a%2Fb", "ü"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(paths.map("{}.nii".format), min_size=1, max_size=6, unique=True))
def test_different_paths_have_different_names(images):
    names = name_cases(images)
    assert len(set(names)) == len(images)
    assert all(name and "/" not in name for name in names)


def in_folders(data):
    """One folder for each patient, with equal file names in all."""
    content = json.loads((data / "dataset.json").read_text())
    for entry in content["training"]:
        case = entry["image"].split("/")[-1].removesuffix(".nii.gz")
        (data / case).mkdir()
        for kind, folder in (("image", "imagesTr"), ("label", "labelsTr")):
            shutil.move(data / folder / f"{case}.nii.gz", data / case / f"{kind}.nii.gz")
            entry[kind] = f"{case}/{kind}.nii.gz"
    (data / "dataset.json").write_text(json.dumps(content | {"test": []}))
    return data


def test_one_folder_for_each_patient(decathlon_dataset, tmp_path):
    store = prepare(in_folders(decathlon_dataset()), tmp_path / "store", CUBE, jobs=1)
    assert store.labelled == ("case_00", "case_01", "case_02")
    pool = prepare(tmp_path / "Task00_Toy", tmp_path / "pool", CUBE, jobs=1, pool=True)
    assert pool.unlabelled == store.labelled


def test_names_that_differ_in_the_extension_alone_are_refused_with_the_cure(decathlon_dataset):
    data = decathlon_dataset(unlabelled=0)
    image = nib.load(data / "imagesTr/case_00.nii.gz")
    nib.save(image, data / "imagesTr/case_00.nii")
    content = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps(content | {"test": ["imagesTr/case_00.nii"]}))
    with pytest.raises(
        DataError, match=r"test\[0\]: imagesTr/case_00.nii differs from .* in its extension alone; rename"
    ):
        read(data)


FORMS = [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")]


@pytest.mark.parametrize(("listed", "there"), FORMS)
@pytest.mark.parametrize("layout", ["decathlon", "table", "aptos", "pool"])
def test_composed_and_decomposed_names_are_one(decathlon_dataset, aptos_dataset, tmp_path, layout, listed, there):
    """Tables from one system list files from another, in a folder whose name has the same trouble."""
    if layout == "decathlon":
        data, file, index = decathlon_dataset(), "imagesTr/case_00.nii.gz", "dataset.json"
    elif layout == "table":
        data, file, index = write_table(tmp_path / "t", 2, ["class"]).parent, "images/case_00.png", "table.csv"
    else:
        data, file, index = aptos_dataset(), "train_images/eye_00.png", "train.csv"
    old, new = file.split("/")[-1].split(".")[0], "Müller_é"
    (data / file).rename(data / normalize(there, file.replace(old, new)))
    text = (data / index).read_text()
    text = text.replace(old, normalize(listed, new), 1)
    (data / index).write_text(text)
    dataset = read(data, pool=layout == "pool")
    (case,) = [case for case in dataset.cases if new in case.id]
    assert case.image.is_file()


def test_a_file_is_found_in_a_folder_whose_name_is_decomposed(tmp_path):
    folder = tmp_path / normalize("NFD", "Ärzte") / normalize("NFD", "é")
    folder.mkdir(parents=True)
    (folder / "a.nii").touch()
    assert find_file(tmp_path, "Ärzte/é/a.nii") == folder / "a.nii"
    assert find_file(tmp_path, "Ärzte/é/../é/a.nii").samefile(folder / "a.nii")
    assert find_file(tmp_path, "Ärzte/é/b.nii") is None
    for name in ("x" * 5000, "\0images/a.nii", "images\0/a.nii"):  # no file can have such a name
        assert find_file(tmp_path, name) is None
    (folder / "b.nii").touch()
    assert find_file(tmp_path, "Ärzte/é/b.nii") == folder / "b.nii"


def test_extensions_of_volumes_in_any_case(decathlon_dataset, tmp_path):
    data = decathlon_dataset(labelled=2, unlabelled=0)
    text = (data / "dataset.json").read_text()
    for path in [*data.glob("*/case_00.nii.gz")]:
        path.rename(path.with_name("case_00.NII.GZ"))
    (data / "dataset.json").write_text(text.replace("case_00.nii.gz", "case_00.NII.GZ"))
    assert prepare(data, tmp_path / "store", CUBE, jobs=1).labelled == ("case_00", "case_01")


@pytest.mark.parametrize("extension", [".NII.GZ", ".Nii", ".nii"])
def test_volumes_of_a_table_with_extensions_in_any_case(tmp_path, extension):
    """Also their channels are counted, and a file that is compressed without saying so is read."""
    table = write_table(tmp_path / "t", 3, ["mask"], cases=2, unlabelled=0)
    path = table.parent / "images/case_00.nii.gz"
    volume = nib.load(path)
    voxels = np.asarray(volume.dataobj)
    for number in range(2):
        nib.save(nib.Nifti1Image(np.stack([voxels, voxels + number + 1], -1), volume.affine), path)
        path.rename(table.parent / f"images/case_0{number}{extension}")
    table.write_text(table.read_text().replace(".nii.gz,m", f"{extension},m"))
    store = prepare(table, tmp_path / "store", CUBE, jobs=1)
    assert (store.in_channels, store.labelled) == (2, ("images%2Fcase_00", "images%2Fcase_01"))


@pytest.mark.parametrize("name", ["p.JPG", "p.Jpeg", "p.PNG", "p.TIFF"])
def test_extensions_of_photographs_in_any_case(tmp_path, name):
    table = write_table(tmp_path / "t", 2, ["mask"], cases=2, unlabelled=0)
    photo = Image.open(table.parent / "images/case_00.png")
    photo.save(table.parent / "images" / name)
    Image.open(table.parent / "masks/case_00.png").save(table.parent / "masks/p.Tif")
    table.write_text(f"image,mask\nimages/{name},masks/p.Tif\nimages/case_01.png,masks/case_01.png\n")
    assert prepare(table, tmp_path / "store", CUBE, jobs=1).labelled == ("images%2Fcase_01", "images%2Fp")
