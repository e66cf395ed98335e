import json

import pytest

from sslmed.core.errors import DataError
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.decathlon import Case, scan_dataset

CONTENT = {
    "name": "Toy",
    "modality": {"0": "CT"},
    "labels": {"1": "organ", "0": "background"},
    "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}, "imagesTr/ü.nii"],
    "test": ["./imagesTs/c.nii.gz", {"image": "imagesTs/b.nii.gz"}],
}


@pytest.fixture
def root(tmp_path):
    for file in ("imagesTr/a.nii.gz", "labelsTr/a.nii.gz", "imagesTr/ü.nii", "imagesTs/c.nii.gz", "elsewhere.nii.gz"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "imagesTs/b.nii.gz").symlink_to(tmp_path / "elsewhere.nii.gz")
    for file in ("imagesTr/._a.nii.gz", "imagesTr/.DS_Store", "imagesTr/not_listed.nii.gz"):
        (tmp_path / file).touch()
    return tmp_path


def read(root, **changes):
    (root / "dataset.json").write_text(json.dumps(CONTENT | changes))
    return layouts.read(root)


def test_dataset_json_alone_says_which_cases_exist(root):
    dataset = read(root)
    assert dataset.cases == (
        Case("a", root / "imagesTr/a.nii.gz", root / "labelsTr/a.nii.gz"),
        Case("b", root / "imagesTs/b.nii.gz", None),
        Case("c", root / "imagesTs/c.nii.gz", None),
        Case("ü", root / "imagesTr/ü.nii", None),
    )
    assert (dataset.name, dataset.modalities) == ("Toy", ("CT",))
    assert list(dataset.label_names.items()) == [(0, "background"), (1, "organ")]


A = CONTENT["training"][0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": {}}, '"labels" must name'),
        ({"labels": {"background": 0, "organ": 1}}, '"labels" must name'),
        ({"labels": {"0": "background"}}, '"labels" must name'),
        ({"labels": {"1": "organ", "2": "tumour"}}, '"labels" must name'),
        ({"labels": {"0": "background", "1.5": "organ"}}, '"labels" must name'),
        ({"labels": {"0": "background", "300": "organ"}}, "254"),
        ({"modality": None}, '"modality" must name'),
        ({"modality": {"1": "CT"}}, '"modality" must name'),
        ({"training": [], "test": []}, "lists no case"),
        ({"training": {}}, '"training" must be a list'),
        ({"training": [3]}, "training[0]: must be a path"),
        ({"training": [{"label": "labelsTr/a.nii.gz"}]}, "training[0]: must be a path"),
        ({"training": [{**A, "image": ""}]}, "training[0]: must be a path"),
        ({"training": [{**A, "label": ""}]}, "training[0]: must be a path"),
        ({"training": ["imagesTr/absent.nii.gz"]}, "absent.nii.gz does not exist"),
        ({"training": [{**A, "label": "labelsTr/absent.nii.gz"}]}, "absent.nii.gz does not exist"),
        (
            {"training": [A, A["image"]]},
            "training[1]: image imagesTr/a.nii.gz is already listed as the image of training[0]",
        ),
        ({"training": [A, {"image": "imagesTr/ü.nii", "label": A["label"]}]}, "label labelsTr/a.nii.gz is already"),
        (
            {"training": [A], "test": [A["image"]]},
            "test[0]: image imagesTr/a.nii.gz is already listed as the image of training[0]",
        ),
        ({"training": [{**A, "label": A["image"]}]}, "imagesTr/a.nii.gz is already listed as the image of training[0]"),
        ({"training": ["imagesTs/c.nii.gz"]}, "image imagesTs/c.nii.gz is already listed"),
        ({"training": ["../a.nii.gz"]}, "inside the dataset's folder"),
        ({"training": ["/tmp/a.nii.gz"]}, "inside the dataset's folder"),
        ({"training": ["C:\\a.nii.gz"]}, "inside the dataset's folder"),
        ({"training": ["imagesTr/a.png"]}, "must end in .nii.gz, .nii"),
        ({"training": ["imagesTr/...nii.gz"]}, "hidden file"),
        (
            {"validation": [A]},
            '"validation" lists 1 cases that would not be read; move those with a label to "training"',
        ),
        ({"validation": ["imagesTr/x.nii.gz"]}, '"validation" lists 1 cases'),
        ({"trainning": [A]}, "did you mean training?"),
        ({"training": [{"image": A["image"], "lable": A["label"]}]}, 'training[0]: "lable" names a file, but only'),
        (
            {"training": [{"image": A["image"], "mask": A["label"]}]},
            '"mask" names a file, but only "image" and "label"',
        ),
        ({"training": [{**A, "image_2": A["image"]}]}, "did you mean image?"),
        (
            {"training": [{**A, "image": [A["image"]] * 2}]},
            'training[0]: "image" lists 2 files; merge them as channels',
        ),
        ({"training": [{**A, "label": [A["label"]] * 2}]}, '"label" lists 2 files'),
        ({"test": [["a.nii", "b.nii", "c.nii"]]}, '"image" lists 3 files'),
        ({"numTraining": 9}, '"numTraining" is 9, but "training" lists 2 cases; add the others, or correct the number'),
        ({"numTest": 0}, '"numTest" is 0, but "test" lists 2 cases'),
    ],
)
def test_bad_content(root, changes, words):
    with pytest.raises(DataError) as caught:
        read(root, **changes)
    (problem,) = caught.value.problems
    assert words in problem
    assert str(root / "dataset.json") in problem


def test_all_problems_are_reported_at_once(root):
    with pytest.raises(DataError) as caught:
        read(root, labels={}, modality={}, training=["../x.nii", "absent.nii"], test=[{}])
    assert len(caught.value.problems) == 5


def test_what_says_nothing_about_cases_is_passed_over(root):
    extra = {"authors": ["A", "B"], "tensorImageSize": "3D", "numTraining": 2, "numTest": "2", "numValidation": 0}
    extra |= {"validation": [], "file_ending": ".nii.gz", "training": [A | {"fold": 0}, CONTENT["training"][1]]}
    assert read(root, **extra) == read(root)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('"1": "organ"', '"1": "organ", "1": "lesion"', "1"),
        ('"test":', '"training": [], "test":', "training"),
        ('"label":', '"label": null, "label":', "label"),
    ],
)
def test_a_doubled_key_is_refused(root, old, new, key):
    text = json.dumps(CONTENT)
    assert text.count(old) == 1
    (root / "dataset.json").write_text(text.replace(old, new))
    with pytest.raises(DataError, match=f'gives the key "{key}" twice'):
        layouts.read(root)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"", "not valid JSON"),
        (b'{"labels": ', "not valid JSON"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "must hold a JSON object"),
    ],
)
def test_unreadable_dataset_json(tmp_path, content, words):
    if content is not None:
        (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(DataError, match=words):
        scan_dataset(tmp_path)
