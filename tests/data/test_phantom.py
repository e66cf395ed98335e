"""Phantoms of volumes: deterministic, in the layout of MSD; and the abdomen is like one."""

import json
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from sslmed.cli import main
from sslmed.data.decathlon import read_dataset
from sslmed.data.nifti import read_case
from sslmed.data.phantom import KINDS
from sslmed.data.phantom_abdomen import PANCREAS, TUMOUR, draw_patient, sample_patient
from sslmed.data.phantom_shapes import Ellipsoid, Tube, smooth_field
from sslmed.errors import UserError

SIZE = (40, 36, 20)


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.name != ".lock" and path.is_file()
    }


def draw(out: Path, kind: str = "pancreas", cases: int = 3, unlabelled: int = 2, **changes) -> None:
    KINDS[kind](out, **{"cases": cases, "unlabelled": unlabelled, "size": SIZE, "jobs": 1} | changes)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("phantom")
    draw(root)
    return root


@pytest.fixture(scope="module")
def datasets(dataset, tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("brain")
    draw(root, "brain")
    return {"pancreas": dataset, "brain": root}


@pytest.fixture(scope="module")
def population():
    """HU, labels and affine of some patients."""
    generators = [np.random.default_rng([1, i]) for i in range(24)]
    return [draw_patient(sample_patient(rng), (48, 48, 24), rng) for rng in generators]


@pytest.mark.parametrize(
    ("kind", "modalities", "labels"),
    [
        ("pancreas", ("CT",), ["background", "pancreas", "cancer"]),
        ("brain", ("FLAIR", "T1w", "t1gd", "T2w"), ["background", "edema", "non-enhancing tumor", "enhancing tumour"]),
    ],
)
def test_the_reader_accepts_it(kind, modalities, labels, datasets):
    found = read_dataset(datasets[kind])
    assert found.modalities == modalities
    assert found.label_names == dict(enumerate(labels))
    assert [case.label is not None for case in found.cases] == [True] * 3 + [False] * 2
    assert "PHANTOM" in json.loads((datasets[kind] / "dataset.json").read_text())["description"]
    for case in found.cases:
        assert nib.load(case.image).get_data_dtype() == np.int16
        image, label = read_case(case, found.modalities, tuple(found.label_names))
        assert image.voxels.shape == (len(modalities), *SIZE)
        assert (label is None) == (case.label is None)
        if label is not None:
            assert nib.load(case.label).get_data_dtype() == np.uint8
            assert set(np.unique(label.voxels)) <= set(found.label_names)


@pytest.mark.parametrize("kind", ["pancreas", "brain"])
def test_cases_depend_on_seed_and_number_alone(kind, datasets, tmp_path):
    draw(tmp_path / "more", kind, cases=4, unlabelled=1, jobs=2)
    draw(tmp_path / "other", kind, cases=1, unlabelled=0, seed=1)
    cases, more, other = (
        {name: data for name, data in contents(root).items() if name.endswith(".gz")}
        for root in (datasets[kind], tmp_path / "more", tmp_path / "other")
    )
    shared = cases.keys() & more.keys()
    assert len(shared) == 3 + 3 + 1
    assert all(cases[name] == more[name] for name in shared)
    assert len(set(more.values())) == len(more)
    assert not set(other.values()) & set(cases.values())


def test_the_same_patient_is_seen_at_any_resolution():
    def scan(size):
        rng = np.random.default_rng(5)
        hu, _, affine = draw_patient(sample_patient(rng), size, rng)
        return hu.astype(float), affine

    (coarse, coarse_affine), (fine, fine_affine) = scan((32, 32, 16)), scan((64, 64, 32))
    inner = np.stack(np.meshgrid(*(np.arange(4, side - 4) for side in coarse.shape), indexing="ij"), axis=-1)
    in_fine = nib.affines.apply_affine(np.linalg.inv(fine_affine) @ coarse_affine, inner)
    expected = RegularGridInterpolator(tuple(map(np.arange, fine.shape)), fine)(in_fine)
    assert np.corrcoef(coarse[4:-4, 4:-4, 4:-4].ravel(), expected.ravel())[0, 1] > 0.95


def test_a_killed_run_is_resumed_to_the_same_files(dataset, tmp_path):
    draw(tmp_path)
    whole = contents(tmp_path)
    assert whole == contents(dataset)
    kept = tmp_path / "imagesTr/phantom_0000.nii.gz"
    before = kept.stat().st_mtime_ns
    for name in ("dataset.json", "labelsTr/phantom_0001.nii.gz", "imagesTs/phantom_unlabelled_0001.nii.gz"):
        (tmp_path / name).unlink()
    (tmp_path / "imagesTr/phantom_0002.nii.gz.99.partial").write_bytes(b"cut off")
    draw(tmp_path)
    assert contents(tmp_path) == whole
    assert kept.stat().st_mtime_ns == before


def test_a_finished_dataset_is_left_alone(dataset):
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("*")}
    draw(dataset)
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*")} == before


@pytest.mark.parametrize("changes", [{"cases": 4}, {"unlabelled": 0}, {"size": (40, 36, 24)}, {"seed": 1}])
def test_other_parameters_are_refused(dataset, changes):
    name = next(iter(changes))
    with pytest.raises(UserError, match=f"another phantom .*{name} .* there"):
        draw(dataset, **changes)


def test_foreign_folders_and_senseless_numbers_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not a phantom"):
        draw(tmp_path)
    with pytest.raises(UserError, match="not a phantom"):
        draw(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    for changes in ({"cases": 0, "unlabelled": 0}, {"cases": -1}, {"seed": -1}):
        with pytest.raises(UserError, match="at least one case"):
            draw(tmp_path / "new", **changes)
    with pytest.raises(UserError, match=r"at least 16 voxels, got \(40, 36, 8\)"):
        draw(tmp_path / "new", size=(40, 36, 8))


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_knows_every_kind(kind, tmp_path, capsys):
    for options, error in (
        (["--cases", "0", "--unlabelled", "0"], "at least one case"),
        (["--size", "64"], "got (64,)"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["phantom", kind, str(tmp_path / "new"), *options])
        assert error in capsys.readouterr().err


def test_anatomy_is_plausible(population):
    """Bounds are wide: they are about the dataset being what its description says, not about these numbers."""
    shares, tumours = [], []
    for hu, labels, _ in population:
        body = hu > -175
        assert 0.25 < body.mean() < 0.75  # and hence air around
        edges = (hu[0], hu[-1], hu[:, 0], hu[:, -1])
        assert all((edge > -175).mean() < 0.1 for edge in edges)  # the field of view holds the body
        assert body[:, :, 0].any() and body[:, :, -1].any()  # noqa: PT018 - which goes through it
        assert (hu > 250).mean() > 0.005  # bones
        assert abs(np.median(hu[labels == PANCREAS]) - 100) < 50
        shares.append((labels > 0).sum() / body.sum())
        if (labels == TUMOUR).any():
            tumours.append((labels == TUMOUR).sum() / (labels > 0).sum())
            assert np.median(hu[labels == TUMOUR]) < np.median(hu[labels == PANCREAS]) - 25
    assert 0.03 < np.mean(shares) < 0.07
    assert 0.5 < len(tumours) / len(population) < 1
    assert 0.15 < np.mean(tumours) < 0.35


def test_geometry_varies(population):
    affines = [affine for *_, affine in population]
    orientations = {nib.aff2axcodes(affine) for affine in affines}
    spacings = np.array([nib.affines.voxel_sizes(affine) for affine in affines])
    oblique = [not np.isclose(nib.affines.obliquity(affine), 0).all() for affine in affines]
    assert len(orientations) > 2
    assert (spacings.std(axis=0) > 0.1).all()
    assert any(oblique)
    assert not all(oblique)
    for (one, *_), (other, *_) in pairwise(population):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.99


def test_shapes_against_their_definitions():
    points = np.stack(np.meshgrid(*(np.linspace(-10, 10, n) for n in (9, 10, 11)), indexing="ij"))
    level = Ellipsoid((1, 0, -1), (2, 4, np.inf)).level(points)
    np.testing.assert_allclose(level, np.sqrt(((points[0] - 1) / 2) ** 2 + (points[1] / 4) ** 2))

    straight = Tube([(-6, 0, 0), (0, 0, 0), (6, 0, 0)], [3, 3, 3]).level(points)
    to_axis = np.linalg.norm([np.maximum(abs(points[0]) - 6, 0), points[1], points[2]], axis=0) / 3
    near = np.isfinite(straight)
    assert near.sum() == 42  # of the grid, within the box around the tube
    assert (to_axis[~near] > 1).all()
    np.testing.assert_allclose(straight[near], to_axis[near], atol=0.01)


def test_smooth_fields_reproduce_what_is_linear():
    nodes = np.add.outer(np.linspace(0, 1, 5), 2 * np.linspace(0, 1, 4))
    expected = np.add.outer((np.arange(7) + 0.5) / 7, 2 * (np.arange(9) + 0.5) / 9)
    np.testing.assert_allclose(smooth_field(np.stack([nodes, -nodes]), (7, 9)), [expected, -expected], atol=1e-6)
