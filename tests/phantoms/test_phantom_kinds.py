"""What datasets of all kinds of phantoms have in common: deterministic, resumed, and not mixed with anything else."""

import shutil

import pytest
from drawn import SIZES, contents, draw

from sslmed.cli.command import main
from sslmed.core.errors import UserError
from sslmed.phantoms import KINDS

of_every_kind = pytest.mark.parametrize("kind", KINDS)


@of_every_kind
def test_cases_depend_on_seed_and_number_alone(kind, datasets, tmp_path):
    more = contents(draw(tmp_path / "more", kind, cases=4, unlabelled=1, jobs=2), "*/*[0-9].*")
    other = contents(draw(tmp_path / "other", kind, cases=1, unlabelled=0, seed=1), "*/*[0-9].*")
    some = contents(datasets[kind], "*/*[0-9].*")
    shared = some.keys() & more.keys()
    assert len(shared) == (4 if kind == "fundus" else 3 + 3 + 1)
    assert all(some[name] == more[name] for name in shared)
    assert len(set(more.values())) == len(more)
    assert not set(other.values()) & set(some.values())


@of_every_kind
def test_a_killed_run_is_resumed_to_the_same_files(kind, datasets, tmp_path):
    root = shutil.copytree(datasets[kind], tmp_path / kind)
    indices = [path for path in root.glob("*.*") if path.suffix in (".json", ".csv") and path.name != "phantom.json"]
    lost = [*indices, *sorted(root.glob("*/*_0001.*"))[1:]]  # of a case with two files, one is there
    kept = {path: path.stat().st_mtime_ns for path in root.glob("*/*_0000.*")}
    for path in lost:
        path.unlink()
    next(iter(kept)).with_suffix(".99.partial").write_bytes(b"cut off")
    draw(root, kind)
    assert contents(root) == contents(datasets[kind])
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@of_every_kind
def test_a_finished_dataset_is_left_alone(kind, datasets):
    before = {path: path.stat().st_mtime_ns for path in datasets[kind].rglob("*")}
    draw(datasets[kind], kind)
    assert {path: path.stat().st_mtime_ns for path in datasets[kind].rglob("*")} == before


@of_every_kind
def test_other_parameters_are_refused(kind, datasets):
    for changes in ({"cases": 4}, {"unlabelled": 0}, {"size": tuple(side + 8 for side in SIZES[kind])}, {"seed": 1}):
        with pytest.raises(UserError, match=f"another phantom .*{next(iter(changes))} .* there"):
            draw(datasets[kind], kind, **changes)


@of_every_kind
def test_foreign_folders_and_senseless_numbers_are_refused(kind, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(UserError, match="not a phantom"):
            draw(out, kind)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    for changes in ({"cases": 0, "unlabelled": 0}, {"cases": -1}, {"seed": -1}):
        with pytest.raises(UserError, match="at least one case"):
            draw(tmp_path / "new", kind, **changes)


@of_every_kind
def test_the_command_knows_every_kind(kind, tmp_path, capsys):
    for options, error in (
        (["--cases", "0", "--unlabelled", "0"], "at least one case"),
        (["--size", "64"], "got (64,)"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["phantom", kind, str(tmp_path / "new"), *options])
        assert error in capsys.readouterr().err
