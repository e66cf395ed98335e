import pytest

from sslmed.core.errors import DataError
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.dataset import Case
from sslmed.preparation.readers.folder import scan_images
from sslmed.preparation.readers.fundus import scan_fundus

TABLE = "id_code,diagnosis\nb,0\n007,4\nü.x,2.0\n"
FILES = ("train_images/007.png", "train_images/b.JPG", "train_images/ü.x.jpeg", "test_images/1e3.png")
PASSED_OVER = (".DS_Store", "._b.JPG", ".cache/c.png", "Thumbs.db", "notes.txt")


def touch(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "aptos"
    touch(root, *FILES, *(f"train_images/{file}" for file in PASSED_OVER if "/" not in file), "test_images/.DS_Store")
    (root / "test.csv").write_text("this is not read")
    return root


def read(root, table=TABLE):
    (root / "train.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    return layouts.read(root)


def refused(root, table=TABLE):
    with pytest.raises(DataError) as caught:
        read(root, table)
    assert all("\n" not in problem and str(root) in problem for problem in caught.value.problems)
    return caught.value.problems


def test_photographs_and_grades(root):
    dataset = read(root)
    assert dataset.cases == (
        Case("007", root / "train_images/007.png", 4),
        Case("1e3", root / "test_images/1e3.png"),
        Case("b", root / "train_images/b.JPG", 0),
        Case("ü.x", root / "train_images/ü.x.jpeg", 2),
    )
    assert (dataset.name, dataset.spatial_dims, dataset.modalities) == ("aptos", 2, ("red", "green", "blue"))
    assert list(dataset.label_names) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "table",
    [
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.rstrip(),
        TABLE.replace("\n", "\n\n"),
        TABLE + ",\n",
        TABLE.replace(",", " , "),
        TABLE.replace(",", ";"),
        TABLE.replace("007", '"007"'),
        "diagnosis,camera,id_code\n0,,b\n4,x,007\n2.00,,ü.x\n",
        "id_code,diagnosis,patient\nb,0,\n007,4,\nü.x,2,\n",
    ],
)
def test_tables_that_say_the_same(root, table):
    assert read(root, table).cases == read(root).cases


def test_patients(root):
    cases = read(root, "patient,id_code,diagnosis\n01,b,0\n1,007,4\n01,ü.x,2\n").cases
    assert [(photo.id, photo.patient) for photo in cases] == [("007", "1"), ("1e3", None), ("b", "1"), ("ü.x", "1")]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "must name the columns"),
        ("\n,\n", "must name the columns"),
        ("b,0\n007,4\nü.x,2\n", "once each, separated by commas, not 'b,0'"),
        (TABLE.replace("diagnosis", "level"), "not 'id_code,level'"),
        (TABLE.replace(",", "\t"), r"separated by commas, not 'id_code\tdiagnosis'"),
        ("id_code,diagnosis,diagnosis\nb,0,1\n", "once each"),
        ("id_code,diagnosis,patient_id\nb,0,1\n", "has a column patient_id, which would be ignored"),
        ("id_code,diagnosis,patient,patient\nb,0,1,2\n", "once each"),
        (TABLE.encode("utf-16"), "is not UTF-8"),
        (TABLE.encode("latin-1"), "is not UTF-8"),
        (TABLE + '"c,1\n', "is not valid CSV"),
    ],
)
def test_unusable_table(root, table, words):
    (problem,) = refused(root, table)
    assert problem.startswith(f"{root / 'train.csv'}: ")
    assert words in problem


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("c,1", "holds no c.png, .jpg or .jpeg; add it"),
        ("1e3,1", "holds no 1e3.png"),  # it is in test_images
        ("b,0", "b is already listed on line 2"),
        (",3", "id_code must be a file's name"),
        ("../b,1", "id_code must be a file's name"),
        ("..,1", "id_code must be a file's name"),
        (".b,1", "id_code must be a file's name"),
        ("x\\b,1", "id_code must be a file's name"),
        ("C:b,1", "id_code must be a file's name"),
        ('"b\nc",1', "not 'b\\nc'"),
        ("b\0,1", "id_code must be a file's name"),
        ("b,1,5", "has 1 more cells than the first line"),
    ],
)
def test_bad_row(root, row, words):
    (problem,) = refused(root, f"{TABLE}{row}\n")
    assert problem.startswith(f"{root / 'train.csv'}: line {5 + row.count(chr(10))}: ")
    assert words in problem


@pytest.mark.parametrize(
    "grade", ["-1", "5", "1.5", "2.01", "1e0", "02", "0x1", "nan", "mild", "٢", "²", "1 2", "True"]
)
def test_bad_grade(root, grade):
    assert refused(root, TABLE.replace("b,0", f"b,{grade}")) == (
        f"{root / 'train.csv'}: line 2: diagnosis must be 0, 1, 2, 3 or 4, not {grade!r}",
    )


def test_an_extension_in_id_code_is_one_problem_of_the_column(root):
    touch(root, "train_images/b.JPG.png")  # whose id is b.JPG
    assert refused(root, "id_code,diagnosis\nb.JPG,0\n007.png,4\nb,1\nü.x.jpeg,7\n007,4\n1e3.png,0\n") == (
        f"{root / 'train.csv'}: id_code holds whole file names in 2 rows, the first on line 3 (007.png); "
        "leave out the extension",
        f"{root / 'train.csv'}: line 5: diagnosis must be 0, 1, 2, 3 or 4, not '7'",
        f"{root / 'train.csv'}: line 6: 007 is already listed on line 3; keep one row",
        f"{root / 'train.csv'}: line 7: {root / 'train_images'} holds no 1e3.png.png, .jpg or .jpeg; "
        "add it, or remove the row",
    )
    assert [photo.id for photo in scan_fundus(root)[0].cases] == ["007", "1e3", "b", "b.JPG"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TABLE.replace("b,0", "b,"), "line 2: has no diagnosis"),
        (TABLE.replace("b,0", "b"), "line 2: has no diagnosis"),
        ("id_code,diagnosis,patient\nb,0,x\n007,4,\nü.x,2,x\n", "line 3: has no patient, but other rows have"),
        ("id_code,diagnosis,patient\nb,0,x\n007,4,n/a\nü.x,2,x\n", "line 3: has no patient, but other rows have"),
    ],
)
def test_missing_cell(root, table, words):
    (problem,) = refused(root, table)
    assert words in problem


def test_patients_of_unlabelled_photographs(root):
    touch(root, "test_images/x.png")
    (root / "test.csv").write_text("\ufeffeye,patient, id_code\nleft,01,1e3\nright,7,x\n", encoding="utf-8")
    cases = read(root, "patient,id_code,diagnosis\n01,b,0\n1,007,4\n01,ü.x,2\n").cases
    assert [(photo.id, photo.label, photo.patient) for photo in cases] == [
        ("007", 4, "1"),
        ("1e3", None, "1"),
        ("b", 0, "1"),
        ("x", None, "7"),
        ("ü.x", 2, "1"),
    ]


@pytest.mark.parametrize(
    "table", ["", "id_code\n1e3\nabsent\n", "id_code,diagnosis\n1e3,0\nabsent,0\n", "name,patient_age\nx,60\n"]
)
def test_test_csv_without_patients_is_passed_over(root, table):
    (root / "test.csv").write_text(table)
    assert read(root).cases[1] == Case("1e3", root / "test_images/1e3.png")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"id_code,patients\n1e3,7\n", "if it is meant as patient, name it so"),
        (b"patient\n7\n", 'test.csv: its first line must name the columns "id_code" and "patient" once each'),
        (b"id_code,patient,patient\n1e3,7,7\n", "test.csv: its first line must name the columns"),
        (b"id_code\tpatient\n1e3\t7\n", r"separated by commas, not 'id_code\tpatient'"),
        ("id_code,patient\n1e3,é\n".encode("latin-1"), "test.csv: is not UTF-8"),
        (b'id_code,patient\n"1e3,7\n', "test.csv: is not valid CSV"),
        (b"id_code,patient\n1e3,7,5\n", "test.csv: line 2: has 1 more cells than the first line"),
        (b"id_code,patient\n1e3,7\nb,8\n", "test.csv: line 3: "),  # b is in train_images
        (b"id_code,patient\n1e3,7\n1e3,7\n", "test.csv: line 3: 1e3 is already listed on line 2"),
        (b"id_code,patient\n1e3,7\n../x,7\n", "test.csv: line 3: id_code must be a file's name"),
        (b"id_code,patient\n1e3.png,7\n", "test.csv: id_code holds whole file names"),
        (b"id_code,patient\n1e3.PNG,7\n", "test.csv: id_code holds whole file names"),
        (b"id_code,patient\n", "1e3.png: has no row in test.csv; add one, or remove the column patient"),
    ],
)
def test_bad_patients_of_unlabelled_photographs(root, table, words):
    (root / "test.csv").write_bytes(table)
    (problem,) = refused(root)
    assert words in problem


def test_missing_patient_of_an_unlabelled_photograph(root):
    touch(root, "test_images/x.png")
    (root / "test.csv").write_text("id_code,patient\n1e3,7\nx,\n")
    (problem,) = refused(root)
    assert "test.csv: line 3: has no patient, but other rows have" in problem
    (root / "test.csv").write_text("id_code,patient\n1e3,\nx,\n")  # as an empty column of train.csv
    assert all(photo.patient is None for photo in read(root).cases)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("train_images/new.png", "has no row in train.csv; add one, or move it to test_images"),
        ("train_images/007.jpg", "has the same id as"),
        ("test_images/007.png", "has the same id as"),
        ("test_images/1e3.jpeg", "has the same id as"),
        ("train_images/new.TIF", "convert it to PNG"),
        ("test_images/new.gif", "convert it to PNG"),
        ("test_images/more/new.png", "is a folder"),
        ("test_images/a\\b.png", "rename it"),
        (f"test_images/{'x' * 251}.png", "rename it"),
        ("test_images/\n.png", "rename it"),
    ],
)
def test_bad_image_name(root, file, words):
    touch(root, file)
    (problem,) = refused(root)
    assert words in problem


def test_all_problems_are_reported_at_once(root):
    touch(root, "train_images/new.png", "test_images/007.png")
    problems = refused(root, "id_code,diagnosis,patient\nb,5,\n007,,x\n../x,1,x\nü.x,2,x\nabsent,1,x\n")
    assert len(problems) == 7
    dataset, found = scan_fundus(root)
    assert tuple(found) == problems
    assert [photo.id for photo in dataset.cases] == ["1e3", "ü.x"]


def test_nothing_to_read(tmp_path):
    with pytest.raises(DataError, match=r"train\.csv: no such file"):
        scan_fundus(tmp_path)
    (problem,) = refused(tmp_path)  # rather than one line for every row
    assert "train_images: holds no .png" in problem
    touch(tmp_path, *FILES)
    assert "lists no photograph" in refused(tmp_path, "id_code,diagnosis\n")[0]


def test_test_images_need_not_exist(root):
    (root / "test_images").rename(root / "others")
    assert [photo.id for photo in read(root).cases] == ["007", "b", "ü.x"]


def test_pool(tmp_path):
    files = ("c.png", "eyes/left/a.b.jpg", "eyes/left/a.JPEG", "eyes.x/right.png")
    touch(tmp_path, *files, *PASSED_OVER, "eyes/._a.jpg", "eyes/._v.nii.gz")
    dataset, problems = scan_images(tmp_path)
    assert problems == []
    assert [(photo.id, photo.image) for photo in dataset.cases] == [
        ("c", tmp_path / "c.png"),
        ("eyes%2Fleft%2Fa", tmp_path / "eyes/left/a.JPEG"),
        ("eyes%2Fleft%2Fa.b", tmp_path / "eyes/left/a.b.jpg"),
        ("eyes.x%2Fright", tmp_path / "eyes.x/right.png"),
    ]
    assert not any(photo.is_labelled for photo in dataset.cases)


def test_ids_of_a_pool_do_not_collide_and_name_folders(tmp_path):
    files = ("a/b-c.png", "a-b/c.png", "a-b-c.png", "a/b.png", "a%2Fb.png", "a%252Fb.png")
    longest = f"{'x' * 100}/{'y' * 147}"  # 250 bytes with %2F
    touch(tmp_path, *files, f"{longest}.png", f"{longest}y.png")
    dataset, (problem,) = scan_images(tmp_path)
    ids = {photo.image.relative_to(tmp_path).as_posix(): photo.id for photo in dataset.cases}
    assert set(ids) == {*files, f"{longest}.png"}
    assert len(set(ids.values())) == len(ids)
    assert problem.startswith(f"'{tmp_path}/{longest}y.png': rename it")
    for photo_id in ids.values():
        (tmp_path / "store" / photo_id).mkdir(parents=True)


def test_a_pool_is_followed_through_links_and_each_folder_is_read_once(tmp_path):
    pool = tmp_path / "pool"
    touch(tmp_path, "pool/own/a.png", "elsewhere/deep/b.png", "pool/.hidden/c.png")
    (pool / "linked").symlink_to(tmp_path / "elsewhere")
    (pool / "linked_again").symlink_to(tmp_path / "elsewhere/deep")
    (tmp_path / "elsewhere/loop").symlink_to(pool)
    (pool / "own/loop").symlink_to(".")
    (pool / "own/a_link.png").symlink_to("a.png")
    (pool / "unmounted").symlink_to(tmp_path / "absent")
    (pool / "self").symlink_to("self")
    dataset, problems = scan_images(pool)
    assert [photo.id for photo in dataset.cases] == ["linked%2Fdeep%2Fb", "own%2Fa", "own%2Fa_link"]
    assert [problem.partition(": ")[0] for problem in problems] == [str(pool / "self"), str(pool / "unmounted")]
    assert all("is a broken link" in problem for problem in problems)


def test_bad_pool(tmp_path):
    with pytest.raises(DataError, match="holds no image"):
        scan_images(tmp_path)
    touch(tmp_path, "a/b.png", "b.png", "b.jpg", "c.tiff", "d\\e.png")
    dataset, problems = scan_images(tmp_path)
    assert [photo.id for photo in dataset.cases] == ["a%2Fb", "b"]
    assert [sum(word in problem for problem in problems) for word in ("same id", "c.tiff", "d\\\\e.png")] == [1, 1, 1]
    assert len(problems) == 3
