"""Damaged files: each is read as an independent reader reads it, or refused in one line that names it."""

import csv
import gzip
import io
import json
import math
import shutil
from pathlib import Path
from unicodedata import normalize

import nibabel as nib
import numpy as np
import pytest
from bad_inputs.start import write_task
from generated_folders import save
from generated_tables import write_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sslmed.core.errors import DataError
from sslmed.preparation.prepare import prepare
from sslmed.preparation.readers import layouts
from sslmed.preparation.readers.dataset import Case
from sslmed.preparation.readers.volumes import read_case
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.store import Store

few = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPE = (6, 5, 4)
VOXELS = {"image": np.arange(120, dtype=np.int16).reshape(SHAPE), "label": np.zeros(SHAPE, np.uint8)}
VOXELS["label"][2:4, 1:3, 1:3] = 1
FIELDS = {name: (place[1], place[0]) for name, place in nib.Nifti1Header.template_dtype.fields.items()}
GZIP_HEADER = 10  # bytes; its time and system may be anything


def check_refusal(problems: tuple[str, ...], *paths: Path) -> None:
    assert problems
    for line in problems:
        assert line.startswith(tuple(f"{path}: " for path in paths)), line
        assert len(line.splitlines()) == 1, line


@st.composite
def damage(draw, content: bytes) -> bytes:
    """A NIfTI file in gzip: with other values in fields of its header, cut, or with another byte in its gzip."""
    changed = bytearray(content)
    for name in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=2)):
        start, kind = FIELDS[name]
        size = kind.itemsize
        values = st.binary(min_size=size, max_size=size)
        if kind.base.kind in "if":
            low = st.sampled_from([0, 1, -1, 2, 3, 4, 8, 16, 352, 32767])
            numbers = low if kind.base.kind == "i" else low | st.floats(width=32)
            count = max(1, math.prod(kind.shape))
            values |= st.lists(numbers, min_size=count, max_size=count).map(
                lambda given, base=kind.base: np.array(given).astype(base).tobytes()
            )
        with np.errstate(all="ignore"):
            changed[start : start + size] = draw(values)
    kept = draw(st.just(len(changed)) | st.integers(0, len(changed)))
    packed = bytearray(gzip.compress(bytes(changed[:kept]), compresslevel=1, mtime=0))
    if draw(st.booleans()) and draw(st.booleans()):
        packed[draw(st.integers(GZIP_HEADER, len(packed) - 1))] ^= draw(st.integers(1, 255))
    return bytes(packed[: draw(st.just(len(packed)) | st.integers(0, len(packed)))])


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A case of one labelled image."""
    for name, voxels in VOXELS.items():
        save(tmp_path / "Task" / f"{name}.nii.gz", voxels)
    content = {"modality": {"0": "T1"}, "labels": {"0": "background", "1": "organ"}}
    content["training"] = [{"image": "image.nii.gz", "label": "label.nii.gz"}]
    (tmp_path / "Task" / "dataset.json").write_text(json.dumps(content))
    return tmp_path / "Task"


@pytest.mark.slow
@pytest.mark.parametrize("which", ["image", "label"])
@few
@given(data=st.data())
def test_a_damaged_volume_has_nibabels_voxels_or_is_refused_by_name(task: Path, which: str, data) -> None:
    image, label = (task / f"{name}.nii.gz" for name in VOXELS)
    damaged = image if which == "image" else label
    good = damaged.read_bytes()
    damaged.write_bytes(data.draw(damage(gzip.decompress(good))))
    store = task.parent / "store"
    try:
        prepared = prepare(task, store, PrepareSettings(geometry="spacing", spacing=(1.5, 1.5, 3)), jobs=1)
    except DataError as error:
        # What does not fit the damaged one may be the other file.
        check_refusal(error.problems, image, label)
        assert not (store / "store.json").exists()
        assert not list(store.rglob("*.npy"))
    else:
        expected = np.asarray(nib.load(label).dataobj)
        # A scaled label may miss its whole number by a rounding.
        np.testing.assert_allclose(
            prepared.native_label("image"), expected.reshape(expected.shape[:3]), rtol=0, atol=1e-3
        )
        (of_image, _), voxels = read_case(Case("image", image, label), ("T1",), (0, 1)), nib.load(image)
        np.testing.assert_allclose(of_image.voxels[0], voxels.get_fdata().reshape(voxels.shape[:3]), rtol=1e-6)
        np.testing.assert_array_equal(of_image.affine, voxels.affine)
        assert Store(store).labelled == ("image",)
    finally:
        damaged.write_bytes(good)
        shutil.rmtree(store, ignore_errors=True)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 300)
    | st.floats()
    | st.text(max_size=8)
    | st.just("imagesTr/case_00.nii.gz"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def places(content, found=()):
    """All places in JSON, as lists of keys."""
    yield found
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from places(value, (*found, key))


@st.composite
def other_json(draw, content: dict) -> bytes:
    """JSON in which something is another value, absent or there twice, or whose text has another byte or is cut."""
    changed = json.loads(json.dumps(content))
    place = draw(st.sampled_from([each for each in places(content) if each]))
    inside = changed
    for key in place[:-1]:
        inside = inside[key]
    if draw(st.booleans()):
        inside[place[-1]] = draw(JSON)
    elif draw(st.booleans()):
        del inside[place[-1]]
    elif isinstance(inside, list):
        inside.append(inside[place[-1]])
    return draw(edited(json.dumps(changed).encode()))


@st.composite
def edited(draw, content: bytes) -> bytes:
    """The same bytes, or with one inserted or replaced, or cut."""
    position = draw(st.integers(0, len(content)))
    added = draw(
        st.binary(min_size=1, max_size=1) | st.sampled_from([b'"', b",", b"\n", b"\r", b"}", b";", b"\0", b"\xff"])
    )
    changed = (
        content,
        content[:position] + added + content[position:],
        content[:position] + added + content[position + 1 :],
    )
    return draw(st.sampled_from((*changed, content[:position])) if draw(st.booleans()) else st.just(content))


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("json") / "Task"
    write_task(root, labelled=3)
    return root


@few
@given(data=st.data())
def test_a_changed_dataset_json_lists_what_json_says_or_is_refused_by_name(toy: Path, data) -> None:
    path = toy / "dataset.json"
    good = path.read_bytes()
    changed = data.draw(other_json(json.loads(good)))
    try:
        path.write_bytes(changed)
        dataset = layouts.read(toy)
    except DataError as error:
        check_refusal(error.problems, path)
    else:
        content = json.loads(changed.decode("utf-8-sig"))
        entries = [entry if isinstance(entry, dict) else {"image": entry} for entry in content.get("training", [])]
        labels = {toy / entry["image"]: entry.get("label") for entry in entries}
        labels |= {toy / (e["image"] if isinstance(e, dict) else e): None for e in content.get("test", [])}
        found = {case.image: None if case.label is None else case.label.relative_to(toy) for case in dataset.cases}
        assert found == {path: None if label is None else Path(label) for path, label in labels.items()}
        assert dataset.label_names == {int(key): str(name) for key, name in content["labels"].items()}
    finally:
        path.write_bytes(good)


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    return write_table(tmp_path_factory.mktemp("csv") / "mine", 2, ["class"], cases=4, classes=("a", "b"))


@st.composite
def other_csv(draw, text: str) -> bytes:
    """A table in which a cell is another text, and whose text may have another byte or be cut."""
    rows = list(csv.reader(text.splitlines()))
    row = draw(st.sampled_from(rows))
    row[draw(st.integers(0, len(row) - 1))] = draw(
        st.text(max_size=6) | st.sampled_from(["", "a", "2.0", "NaN", rows[1][0]])
    )
    written = io.StringIO()
    csv.writer(written, lineterminator=draw(st.sampled_from(["\n", "\r\n"]))).writerows(rows)
    return draw(edited(written.getvalue().encode("utf-8", "surrogatepass")))


@few
@given(data=st.data())
def test_a_changed_table_lists_what_csv_says_or_is_refused_by_name(table: Path, data) -> None:
    good = table.read_bytes()
    changed = data.draw(other_csv(good.decode()))
    try:
        table.write_bytes(changed)
        dataset = layouts.read(table, labels="class")
    except DataError as error:
        check_refusal(error.problems, table)
    else:
        lines = list(csv.reader(io.StringIO(changed.decode("utf-8-sig"), newline="")))
        stripped = [[normalize("NFC", cell.strip()) for cell in line] for line in lines]
        header, *rows = filter(any, stripped)
        cells = [dict(zip(map(str.lower, header), [*row, *[""] * 3], strict=False)) for row in rows]
        found = {case.image: case.label for case in dataset.cases}
        assert found.keys() == {table.parent / row["image"] for row in cells}
        for row in cells:
            label = found[table.parent / row["image"]]
            name = None if label is None else dataset.label_names[label]
            assert name == (row["class"] or None) or float(name) == float(row["class"])
    finally:
        table.write_bytes(good)
