"""`sslmed check` on folders as people have them: what it says, the table it writes, and the commands it gives."""

import csv
import gzip
import json
import shlex
from importlib import import_module
from pathlib import Path

import generated_folders
import numpy as np
import pytest
import volume_files
from commands import TINY, exit_status
from drawn import contents
from generated_folders import SHAPE, save, scan
from PIL import Image
from volume_files import AFFINE, DATES, FILES, PATIENT, UID, write_series, write_volume

from sslmed.cli.options import Parser, parse
from sslmed.preparation.readers.dataset import Dataset
from sslmed.preparation.readers.layouts import read
from sslmed.preparation.readers.volumes import read_case


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Return a function that checks a folder and returns the report; the folder stays as it was."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(folder: Path, *options: str, status: int = 0) -> dict:
        before = contents(folder)
        assert exit_status("check", folder, "--json", *options) == status
        assert contents(folder) == before
        return json.loads(capsys.readouterr().out)

    return run


def rows(path: str = "table.csv") -> list[dict[str, str]]:
    with Path(path).open() as file:
        return [*csv.DictReader(file)]


def datasets_of(report: dict) -> list[Dataset]:
    """Return what the commands are to read; all their options are known, and all cases can be used."""
    datasets = []
    for command in report["commands"]:
        program, name, *arguments = shlex.split(command)
        assert program == "sslmed"
        module = import_module(f"sslmed.cli.{name}")
        options, *_ = parse(arguments, Parser(), module.OPTIONS, module.POSITIONAL)
        kinds = {"segmentation": "map", "classification": "class", "regression": "value", "fig4": "class"}
        paths = [Path(each) for each in options.data]
        labels = None if name == "prepare" else kinds[options.figure]
        datasets.append(read(*paths, labels=labels, pool=name == "prepare" and options.pool))
        if name != "prepare" and options.pool:
            datasets.append(read(*options.pool, pool=True))
    return datasets


def test_nested_scans_of_equal_names_with_masks_beside_some(check, tmp_path: Path) -> None:
    folder = generated_folders.nested(tmp_path / "scans")
    report = check(folder)
    (group,) = report["groups"]
    assert (group["kind"], group["images"], group["formats"]) == ("volumes", 8, {".nii.gz": 8})
    assert group["size"]["median"] == [*SHAPE]
    assert group["spacing_mm"]["most"] == [1.5, 1.5, 3]
    assert group["orientations"] == {"LAS": 8}
    assert group["looks_like"] == {"CT in Hounsfield units": 8}
    organs = sum(int(scan(number)[1].sum()) for number in range(6))
    (label,) = group["labels"]
    assert (label["name"], label["images"], label["maps_read"]) == ("seg", 6, 6)
    assert label["voxels"] == {"0": 6 * int(np.prod(SHAPE)) - organs, "1": organs}
    dataset, _ = datasets_of(report)
    assert len(dataset.cases) == 8
    assert {case.image.parent for case in dataset.cases if case.is_labelled} == {
        path.parent for path in folder.rglob("ct_seg.nii.gz")
    }
    assert all(case.mask is None or case.mask.parent == case.image.parent for case in dataset.cases)


def test_label_maps_that_are_not_called_so_are_named(check, tmp_path: Path) -> None:
    for number in range(5):
        image, organ = scan(number)
        save(tmp_path / f"scans/p{number}_ct.nii.gz", image)
        save(tmp_path / f"scans/p{number}_liver.nii.gz", organ.astype(np.float32))
    report = check(tmp_path / "scans")
    (note,) = report["notes"]
    assert note.startswith("of 10 images that were read, 5 look like label maps: p0_liver.nii.gz, ")
    assert "pat01_mask.nii.gz" in note
    assert report["groups"][0]["looks_like"] == {"CT in Hounsfield units": 5, "label maps: few whole numbers": 5}


def test_cts_of_which_only_some_say_so_are_one_dataset(check, tmp_path: Path) -> None:
    for number in range(10):
        image, organ = scan(number)
        if number < 4:
            write_series(tmp_path / f"scans/p{number}/ct", image // 2 * 2, uid=f"1.2.3.{number}")
        else:
            save(tmp_path / f"scans/p{number}/ct.nii.gz", image, AFFINE)
        save(tmp_path / f"scans/p{number}/organ_mask.nii.gz", organ, AFFINE)
    report = check(tmp_path / "scans")
    dataset, _ = datasets_of(report)
    assert (len(dataset.cases), dataset.modalities) == (10, ("CT",))
    assert all("need 10" not in line for line in report["advice"])


def test_folders_called_patient_name_the_patients(check, tmp_path: Path) -> None:
    for number in range(4):
        folder = tmp_path / "scans" / f"patient {number // 2:02}" / f"visit{number % 2}"
        save(folder / "t1.nii.gz", scan(number)[0])
    check(tmp_path / "scans")
    assert [(row["image"].split("/")[-3], row["patient"]) for row in rows()] == [
        *[("patient 00", "00")] * 2,
        *[("patient 01", "01")] * 2,
    ]


def test_bids_masks_go_to_the_image_that_they_name_and_derived_images_are_left_out(check, tmp_path: Path) -> None:
    report = check(generated_folders.bids(tmp_path / "study"))
    (group,) = report["groups"]
    assert (group["images"], group["patients"], group["modalities"]) == (12, 6, {"FLAIR": 6, "T1w": 6})
    assert list(group["looks_like"]) == ["MR or another scan without units: no value is below 0"]
    for row in rows():
        assert bool(row["mask"]) == row["image"].endswith("_T1w.nii.gz")
        assert row["patient"] in row["image"]
        assert row["patient"] in row["mask"] or not row["mask"]
    assert any("6 images in folders called derivatives" in note for note in report["notes"])
    assert len(datasets_of(report)[0].cases) == 12


def test_a_patient_in_the_name_of_a_file_is_no_modality(check, tmp_path: Path) -> None:
    for number in range(5):
        save(tmp_path / f"scans/sub-{number:02}.nii.gz", scan(number)[0])
    (group,) = check(tmp_path / "scans")["groups"]
    assert (group["patients"], group["modalities"]) == (5, {})
    assert {row["modality"] for row in rows()} == {"CT"}


def test_nnunet_files_are_joined_to_channels(check, tmp_path: Path) -> None:
    folder = generated_folders.nnunet(tmp_path / "Dataset001_Toy")
    (folder / "imagesTs/case_007_0001.nii.gz").unlink()
    report = check(folder)
    (group,) = report["groups"]
    assert (group["images"], group["channels"], group["modalities"]) == (7, 2, {"CT, PET": 7})
    assert (group["labels"][0]["images"], group["labels"][0]["names"]) == (6, {"0": "background", "1": "tumour"})
    assert ["case_007.nii.gz: has the channels 0000" in line for line in report["cannot_be_used"]] == [True]
    dataset, _ = datasets_of(report)
    assert dataset.modalities == ("CT", "PET")
    first = dataset.cases[0]
    names = ["case_000_0000.nii.gz", "case_000_0001.nii.gz", "case_000.nii.gz"]
    assert [path.name for path in first.files] == names
    image, label = read_case(first, dataset.modalities, ())
    np.testing.assert_array_equal(image.voxels[0], scan(0)[0])
    np.testing.assert_array_equal(label.voxels, scan(0)[1])


def test_four_digits_of_a_case_are_no_channel(check, tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path / f"Task/imagesTr/liver_{number:04}.nii.gz", scan(number)[0])
        save(tmp_path / f"Task/labelsTr/liver_{number:04}.nii.gz", scan(number)[1])
    (group,) = check(tmp_path / "Task")["groups"]
    assert (group["images"], group["channels"], group["labels"][0]["images"]) == (6, 1, 6)


def test_photographs_with_a_csv_file_of_classes(check, tmp_path: Path) -> None:
    report = check(generated_folders.photographs(tmp_path / "eyes"))
    (group,) = report["groups"]
    assert (group["kind"], group["images"], group["formats"]) == ("photographs", 12, {".png": 12})
    assert group["looks_like"] == {"photographs of the fundus": 12}
    assert group["labels"][0]["classes"] == {"0": 4, "1": 4, "2": 4}
    dataset, _ = datasets_of(report)
    assert dataset.labels == "class"
    assert {case.image.stem: case.patient for case in dataset.cases} == {f"eye_{n}": f"p{n // 2}" for n in range(12)}
    table = tmp_path / "eyes/grades.csv"
    table.write_text(table.read_text().replace("p0", "NA").replace("p1", "NA"))
    Path("table.csv").unlink()
    assert "names no patients" in "".join(check(tmp_path / "eyes")["advice"])


def test_copies_of_two_classes_are_named(check, tmp_path: Path) -> None:
    folder = generated_folders.photographs(tmp_path / "eyes")
    (folder / "photos/eye_1.png").write_bytes((folder / "photos/eye_0.png").read_bytes())
    (note,) = check(folder)["notes"]
    assert note.startswith("photos/eye_0.png, photos/eye_1.png: are one image, but their grade is 0 and 1; correct it")


def test_a_folder_in_a_known_layout_is_taken_as_it_is(check, decathlon_dataset, aptos_dataset) -> None:
    report = check(decathlon_dataset(labels=("background", "organ", "lesion")))
    assert report["layout"] == "the Medical Segmentation Decathlon"
    assert report["groups"][0]["labels"][0]["names"] == {"0": "background", "1": "organ", "2": "lesion"}
    assert report["groups"][0]["modalities"] == {"CT": 4}
    assert "3 patients (or images, where patients are unknown) have a label in mask" in report["advice"][0]
    assert len(datasets_of(report)[0].cases) == 4
    report = check(aptos_dataset())
    assert report["layout"] == "APTOS 2019"
    assert report["commands"][-1].startswith("sslmed reproduce fig4 --data ")
    assert len(datasets_of(report)[0].cases) == 5
    assert not Path("table.csv").exists()


def test_what_cannot_be_used_is_named_with_its_reason(check, tmp_path: Path) -> None:
    folder = generated_folders.nested(tmp_path / "scans")
    whole = (folder / "hospital_0/p00/ct.nii.gz").read_bytes()
    (folder / "copy.nii.gz").write_bytes(gzip.compress(gzip.decompress(whole), 1))
    (folder / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "no.nii").write_bytes(b"not an image" * 50)
    (folder / "dangling.nii.gz").symlink_to(folder / "absent.nii.gz")
    (folder / "again").symlink_to(folder)
    (folder / "link.nii.gz").symlink_to(folder / "hospital_0/p00/ct.nii.gz")
    save(folder / "hospital_1/p07/other_seg.nii.gz", np.ones((3, 4, 5), np.uint8))
    save(folder / "hospital_0/p06/ct_seg.nii.gz", scan(6)[1] + 0.5)
    save(folder / "bold.nii.gz", np.stack([scan(0)[0]] * 5, axis=-1))
    report = check(folder)
    assert sum(group["images"] for group in report["groups"]) == 10
    assert report["copies"] == [["copy.nii.gz", "hospital_0/p00/ct.nii.gz"]]
    problems = {Path(line.split(": ")[0]).name: line for line in report["cannot_be_used"]}
    assert problems.keys() == {"cut.nii.gz", "no.nii", "dangling.nii.gz", "other_seg.nii.gz", "ct_seg.nii.gz"}
    assert "truncated" in problems["cut.nii.gz"]
    assert "3 x 4 x 5" in problems["other_seg.nii.gz"]
    assert "fractional" in problems["ct_seg.nii.gz"]
    assert any("1 link to" in note for note in report["notes"])
    assert [table["path"] for table in report["tables"]] == ["table.csv", "table-2.csv"]
    assert [len(dataset.cases) for dataset in datasets_of(report)] == [9] * 2
    assert any("--pool table-2.csv pretrains on its volumes too" in line for line in report["advice"])
    assert len(read(Path("table-2.csv"), pool=True).cases) == 1


def test_copies_of_a_file_that_breaks_off_are_no_error(check, tmp_path: Path) -> None:
    """Its header does not show that it does: its end looks like the length of a longer content."""
    folder = generated_folders.nested(tmp_path / "scans")
    save(folder / "cut.nii.gz", np.random.default_rng(0).integers(-1000, 1000, (40, 40, 40), np.int16))
    whole = (folder / "cut.nii.gz").read_bytes()
    end = max(range(len(whole) - 100, len(whole) - 8), key=lambda n: int.from_bytes(whole[n - 4 : n], "little"))
    for name in ("cut.nii.gz", "again.nii.gz"):
        (folder / name).write_bytes(whole[:end])
    report = check(folder)
    assert report["copies"] == []
    assert [Path(line.split(": ")[0]).name for line in report["cannot_be_used"]] == ["again.nii.gz", "cut.nii.gz"]


def test_volumes_of_every_format_are_found_once(check, tmp_path: Path) -> None:
    for number, name in enumerate(FILES):
        write_volume(tmp_path / "scans" / str(number) / name, scan(number)[0] // 2 * 2)
    report = check(tmp_path / "scans")
    (ct,) = [group for group in report["groups"] if group["formats"] == {"DICOM": 1}]
    (others,) = [group for group in report["groups"] if group is not ct]
    endings = [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh"]
    assert others["formats"] == {**dict.fromkeys(endings, 1), ".hdr": 2}
    assert (report["other_files"], report["cannot_be_used"], report["copies"]) == ({}, [], [])
    assert len(read(Path("table.csv"), pool=True).cases) == 10


def test_photographs_with_masks_of_several_kinds(check, tmp_path: Path) -> None:
    folder = generated_folders.photographs(tmp_path / "eyes")
    (folder / "grades.csv").unlink()
    for number in range(12):
        mask = Image.new("L", (40, 40), 0)
        mask.paste(255, (10, 10, 20, 20 + number))
        for kind in ("disc", "cup") if number < 6 else ("disc",):
            (folder / kind).mkdir(exist_ok=True)
            mask.save(folder / kind / f"eye_{number}_mask.png")
    mask.save(folder / "disc" / "eye_11_mask.jpg")
    report = check(folder)
    (group,) = report["groups"]
    assert [(label["name"], label["images"]) for label in group["labels"]] == [("disc_mask", 12), ("cup_mask", 6)]
    assert group["labels"][0]["voxels"]["255"] == sum(10 * (10 + number) for number in range(12))
    assert any("has 2 kinds of label maps, disc_mask (12), cup_mask (6)" in line for line in report["advice"])
    assert [Path(line.split(": ")[0]).name for line in report["cannot_be_used"]] == ["eye_11_mask.jpg"]
    assert all("/disc/" in row["mask"] for row in rows())
    assert datasets_of(report)[0].labels == "map"


@pytest.mark.parametrize(
    ("header", "cell", "expected"),
    [
        ("id,score", "{}.5", ("value", "score")),
        ("id,whatever", "kind {}", ("class", "whatever")),
        ("id,patient,Grade,notes", "p{0},{0},x", ("class", "Grade")),
        ("id,notes,age", "{0},{1}.5", ("value", "age")),
        ("id,left,right", "{0},{0}", None),
        ("id,name", "Jane {1}", None),
    ],
)
def test_the_column_of_labels_in_a_csv_file(check, tmp_path: Path, header: str, cell: str, expected) -> None:
    folder = generated_folders.photographs(tmp_path / "eyes")
    lines = [header, *(f"eye_{number}.png,{cell.format(number % 6, number)}" for number in range(12))]
    (folder / "grades.csv").write_text("\n".join(lines))
    report = check(folder)
    labels = report["groups"][0]["labels"]
    assert [(label["kind"], label["name"]) for label in labels] == ([expected] if expected else [])
    assert any("its label may be" in line for line in report["advice"]) is (expected is None)
    assert any("which also has notes" in line for line in report["advice"]) is ("notes" in header)
    assert "Jane" not in Path("table.csv").read_text() + json.dumps(report)
    if expected:
        assert datasets_of(report)[0].labels == expected[0]


@pytest.mark.parametrize(
    ("header", "cell", "masked"), [("image,patient", "p{}", False), ("id,left,right", "{0},{0}", True)]
)
def test_no_label_is_asked_for_that_is_not_there_or_not_needed(check, tmp_path: Path, header, cell, masked) -> None:
    folder = generated_folders.nested(tmp_path / "scans", labelled=6 * masked)
    images = sorted(folder.rglob("ct.nii.gz"))
    lines = [f"{image.relative_to(folder)},{cell.format(number)}" for number, image in enumerate(images)]
    (folder / "pat.csv").write_text("\n".join([header, *lines]))
    report = check(folder)
    assert ("mask" in rows()[0]) is masked
    assert not [line for line in report["advice"] if "pat.csv" in line]


def test_photographs_and_volumes_are_two_datasets(check, tmp_path: Path) -> None:
    generated_folders.photographs(tmp_path / "all" / "eyes")
    generated_folders.nested(tmp_path / "all" / "scans")
    report = check(tmp_path / "all")
    assert [group["kind"] for group in report["groups"]] == ["photographs", "volumes"]
    assert [(dataset.spatial_dims, dataset.labels) for dataset in datasets_of(report)[::2]] == [
        (2, "class"),
        (3, "map"),
    ]


def test_a_layout_that_cannot_be_taken_is_said(check, decathlon_dataset) -> None:
    folder = decathlon_dataset(labelled=6)
    (folder / "imagesTr/case_02.nii.gz").unlink()
    report = check(folder)
    assert report["layout"] == ""
    assert any("--data does not take the folder as it is" in note and "case_02" in note for note in report["notes"])
    assert len([row for row in rows() if row["mask"]]) == 5


def test_a_person_has_one_name_in_dicom_and_in_a_csv_file(check, tmp_path: Path) -> None:
    folder, (voxels, _) = tmp_path / "scans", scan(0)
    for number, identity in enumerate(["P1", "P2", "P3", "P4", "NA", "NA"]):
        write_series(folder / f"a{number}", voxels // 2 * 2, uid=f"{UID}.{number}", t0010_0020=identity)
    for number in range(3):
        save(folder / f"b{number}.nii.gz", scan(number)[0])
    listed = {"b0": "P1", "b1": "1", "b2": "2", "a2": "Meier"}
    (folder / "list.csv").write_text("\n".join(["file,PatientID", *map(",".join, listed.items())]))
    assert any(
        "list.csv names some patients, and file headers or paths name others (dicom-2, dicom-4)" in note
        for note in check(folder)["notes"]
    )
    write_series(folder / "a4", voxels // 2 * 2, uid=f"{UID}.4", t0010_0020="P2")
    write_series(folder / "a5", voxels // 2 * 2, uid=f"{UID}.5", t0010_0020="P3")
    for path in Path().glob("table*.csv"):
        path.unlink()
    check(folder)
    patients = {
        Path(row["image"]).name: row["patient"] for path in Path().glob("table*.csv") for row in rows(str(path))
    }
    assert {name.split(".")[0]: patient for name, patient in patients.items()} == {
        **{"a0": "P1", "a1": "dicom-2", "a2": "Meier", "a3": "dicom-4", "a4": "dicom-2", "a5": "Meier"},
        **{"b0": "P1", "b1": "1", "b2": "2"},
    }


def test_dicom_series_are_all_listed_and_nothing_tells_of_the_patient(check, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "archive"
    voxels = scan(0)[0] // 2 * 2
    for number in range(6):
        write_series(folder / f"a{number}" / "ct", voxels, uid=f"{UID}.{number}", t0010_0020=f"PID{number // 2}")
    save(folder / "a0/ct_seg.nii.gz", scan(0)[1], volume_files.AFFINE)
    save(folder / "a1/ct_seg.nii.gz", scan(0)[1])
    write_series(folder / "a1/more", voxels, uid=f"{UID}.191", modality="PT", t0010_0020="PID0")
    localiser = "ORIGINAL\\PRIMARY\\LOCALIZER"
    write_series(folder / "a1/more", voxels[..., :2], uid=f"{UID}.192", t0008_0008=localiser, t0010_0020="PID0")
    write_series(folder / "a1/more", voxels, uid=f"{UID}.193", modality="PT", t0010_0020="PID0")
    write_series(folder / "a2/gap", voxels, uid=f"{UID}.194")[4].unlink()
    cut = write_series(folder / "a3/cut", voxels, uid=f"{UID}.195")[0]
    cut.write_bytes(cut.read_bytes()[:300])
    report = check(folder)
    ct, pet = report["groups"]
    assert (ct["images"], ct["formats"], ct["modalities"], ct["patients"]) == (6, {"DICOM": 6}, {"CT": 6}, 3)
    assert (pet["images"], pet["modalities"]) == (2, {"PT": 2})
    assert ct["size"]["most"] == [*SHAPE]
    assert ct["labels"][0]["images"] == 1
    assert any("a1/ct_seg.nii.gz: has another affine" in problem for problem in report["cannot_be_used"])
    assert [row["patient"] for row in rows()] == [f"dicom-{number}" for number in (1, 1, 2, 2, 3, 3)]
    assert {Path(row["image"]).name for row in rows()} == {"ct"}
    assert {Path(row["image"]).name for row in rows("table-2.csv")} == {f"{UID}.191", f"{UID}.193"}
    (note,) = [note for note in report["notes"] if "series" in note]
    assert all(f"{UID}.{number}" in note for number in (191, 192, 193))
    problems = "\n".join(report["cannot_be_used"])
    assert f"{UID}.192: is not a volume: a localiser" in problems
    assert "slices are missing" in problems
    assert str(cut) in problems
    exit_status("check", folder)
    said = json.dumps(report) + capsys.readouterr().out + Path("table.csv").read_text()
    secrets = {word for text in (*PATIENT.values(), *DATES.values(), "PID") for word in (text, *text.split("^"))}
    assert not [secret for secret in secrets if secret in said]


def test_images_without_labels_are_a_pool(check, tmp_path: Path) -> None:
    report = check(generated_folders.nested(tmp_path / "scans", labelled=0))
    assert report["groups"][0]["labels"] == []
    assert any("--pool table.csv" in line for line in report["advice"])
    assert len(datasets_of(report)[0].cases) == 8
    for command in report["commands"]:
        assert exit_status(*shlex.split(command)[1:]) == 0


@pytest.mark.slow
def test_the_commands_run(check, tmp_path: Path) -> None:
    scans = generated_folders.nested(tmp_path / "scans", cases=12, labelled=10)
    dry_run, command = (shlex.split(each)[1:] for each in check(scans)["commands"])
    options = ["--preset", TINY, "--arms", "baseline", "--fractions", "1", "--folds", "0"]
    assert exit_status(*dry_run, *options) == 0
    assert not Path("runs").exists()
    assert exit_status(*command, *options) == 0
    assert [*Path("results/segmentation").rglob("report.html")]


def test_the_commands_suit_the_sizes_and_the_number_of_the_scans(check, tmp_path: Path) -> None:
    folder = generated_folders.nested(tmp_path / "scans", labelled=8)
    report = check(folder)
    arms = "--arms baseline rotation jigsaw rpl"
    assert report["commands"][-1] == f"sslmed reproduce segmentation --data table.csv {arms}"
    assert any(
        "8 patients " in line and "which may leave one image for validation" in line for line in report["advice"]
    )

    folder = generated_folders.nested(tmp_path / "more", cases=12, labelled=11)
    save(folder / "hospital_1/p11/ct.nii.gz", scan(11)[0][:, 3:])
    for name in (".DS_Store", "hospital_0/._ct.nii.gz"):
        (folder / name).touch()
    report = check(folder, "--table", "more.csv")
    assert report["commands"][-1] == "sslmed reproduce segmentation --data more.csv --spacing auto"
    assert "hidden files and folders are left out, 2 in all: .DS_Store, hospital_0/._ct.nii.gz" in report["notes"]


def test_an_edited_table_is_kept(check, tmp_path: Path, capsys) -> None:
    folder = generated_folders.nested(tmp_path / "scans")
    first = check(folder)
    assert check(folder) == first
    Path("table.csv").write_text("image\nmine.nii.gz\n")
    assert check(folder)["tables"] == [{"path": "table.csv", "images": 8, "kept": True}]
    assert Path("table.csv").read_text() == "image\nmine.nii.gz\n"
    assert any("mine.nii.gz does not exist" in line for line in check(folder)["cannot_be_used"])
    Path("table.csv").write_bytes("image\nü.nii.gz\n".encode("latin-1"))  # as some spreadsheet programs save it
    assert any("table.csv: is not UTF-8 text" in line for line in check(folder)["cannot_be_used"])
    assert exit_status("check", folder) == 0
    page = capsys.readouterr().out
    assert "table.csv is there and says something else: it was kept" in page
    assert "8 volumes" in page
    assert "\x1b" not in page


def test_one_image_is_not_called_images(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_status("check", generated_folders.nested(Path("scans"), cases=1, labelled=0)) == 0
    page = capsys.readouterr().out
    assert "1 volume\n" in page
    assert "table.csv lists 1 image: look" in page


def test_a_folder_without_images(check, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").touch()
    report = check(tmp_path / "empty", status=1)
    assert (report["groups"], report["commands"], report["other_files"]) == ([], [], {".txt": 1})
    assert not [*Path().iterdir()]
