"""What a run has seen decides what its checkpoint may be used for; the real command on generated data."""

import json
import logging
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from commands import exit_status, fit, run_arguments

from sslmed.core.errors import UserError
from sslmed.prediction.ensemble import load_ensemble
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
from sslmed.training.run_directory import RunDirectory
from sslmed.training.seen import check_handover, refuse_learned_cases, refuse_trained_cases


@pytest.fixture(scope="module")
def folder(store: Path) -> Path:
    """A phantom, prepared in two ways; pretrained in fold 0 on the first, and fine-tuned."""
    root = store.parent
    prepare(root / "phantom", root / "smaller", PrepareSettings(size=8, hu_window=(-100, 200)), jobs=1)
    fit("rotation", root / "store", root / "pretrain")
    fit("segmentation", root / "store", root / "tune")
    return root


def tune(store: Path, run_dir: Path, pretraining: Path, *options: str) -> int:
    """Fine-tune from a pretraining run, and return the exit status."""
    checkpoint = f"--model.pretrained.checkpoint={pretraining / 'checkpoints' / 'last.ckpt'}"
    arguments = run_arguments("segmentation", store, run_dir.parent)
    return exit_status("fit", *arguments, f"--run_dir={run_dir}", checkpoint, *options)


def results(run_dir: Path) -> dict:
    return json.loads((run_dir / "results.json").read_text())


@pytest.mark.parametrize(
    "subcommand", ["test", *(pytest.param(each, marks=pytest.mark.slow) for each in ("predict", "validate"))]
)
def test_a_network_is_not_applied_to_images_that_are_prepared_otherwise(folder: Path, subcommand: str, capsys) -> None:
    options = ["-c", str(folder / "tune" / "config.yaml"), "--data.store", str(folder / "smaller")]
    before = sorted((folder / "tune").rglob("*"))
    capsys.readouterr()
    assert exit_status(subcommand, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "size (16 there, 8 here), hu_window ([-160.0, 240.0] there, [-100.0, 200.0] here)" in line
    assert str(folder / "smaller") in line
    assert sorted((folder / "tune").rglob("*")) == before
    assert exit_status(subcommand, *options[:2], "--data.store", folder / "store") == 0


def test_the_predictions_of_a_run_are_by_one_checkpoint_and_of_one_dataset(
    folder: Path, tmp_path: Path, capsys
) -> None:
    run = shutil.copytree(folder / "tune", tmp_path / "tune", ignore=shutil.ignore_patterns("predictions*"))
    other = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    other["state_dict"] = {name: 0.9 * value for name, value in other["state_dict"].items()}
    torch.save(other, run / "checkpoints" / "other.ckpt")
    shutil.copytree(folder / "phantom", tmp_path / "phantom")
    for path in (tmp_path / "phantom" / "imagesTs").iterdir():
        scan = nib.load(path)
        nib.save(nib.Nifti1Image(scan.get_fdata() + 1, scan.affine), path)
    store = prepare(tmp_path / "phantom", tmp_path / "store", PrepareSettings(size=16), jobs=1).root
    command = ["predict", "-c", run / "config.yaml"]
    by_others = [["--ckpt_path", run / "checkpoints" / "other.ckpt"], ["--model.surface_tolerance", 9]]
    with RunDirectory(run).locked(wait=False):  # by a command that predicts at the same time
        assert exit_status(*command, *by_others[0]) == 2
    assert f"{run}: another process is writing this run" in capsys.readouterr().err
    assert not [*run.glob("predictions*")]
    assert exit_status(*command) == 0
    masks = {path: path.read_bytes() for path in (run / "predictions").iterdir()}
    for recorded in (True, False):
        for options in [*by_others, ["--data.store", store]] if recorded else by_others:
            capsys.readouterr()
            assert exit_status(*command, *options) == 2
            assert f"{run / 'predictions'}: holds predictions by another checkpoint" in capsys.readouterr().err
        if recorded:
            (run / "predictions.json").unlink()  # as of an earlier version
    assert {path: path.read_bytes() for path in (run / "predictions").iterdir()} == masks
    assert exit_status(*command, "--ckpt_path", run / "checkpoints" / "last.ckpt") == 0

    shutil.rmtree(run / "predictions")
    assert exit_status(*command, *by_others[0]) == 0
    assert exit_status(*command) == 2
    assert exit_status(*command, *by_others[0]) == 0


def test_a_network_is_not_applied_to_channels_of_another_name(folder: Path, tmp_path: Path, capsys) -> None:
    content = json.loads((folder / "phantom" / "dataset.json").read_text())
    record = json.loads((folder / "tune" / "data.json").read_text())
    assert record["channels"] == [*content["modality"].values()]
    shutil.copytree(folder / "tune", tmp_path / "tune")
    (tmp_path / "tune" / "data.json").write_text(json.dumps(record | {"channels": ["CT", "PT"]}))
    capsys.readouterr()
    assert exit_status("test", "-c", tmp_path / "tune" / "config.yaml") == 2
    assert "channels (CT, PT there, CT here)" in capsys.readouterr().err


def test_pretraining_on_another_preparation_may_be_handed_over_and_the_log_says_it(
    folder: Path, tmp_path: Path, caplog
) -> None:
    with caplog.at_level(logging.WARNING):
        assert tune(folder / "smaller", tmp_path / "tune", folder / "pretrain") == 0
    assert "prepared otherwise: size (16 there, 8 here), hu_window" in caplog.text
    pretrained, tuned = (RunDirectory(path).read_data() for path in (folder / "pretrain", tmp_path / "tune"))
    ensemble = load_ensemble([tmp_path / "tune"], torch.device("cpu"), flips=False)
    assert ensemble.seen == {*pretrained["digests"].values(), *tuned["digests"].values()}
    assert not ensemble.seen <= {*tuned["digests"].values()}


def test_a_run_lists_the_cases_that_it_saw(folder: Path) -> None:
    pretraining, tuned = (json.loads((folder / name / "data.json").read_text()) for name in ("pretrain", "tune"))
    assert len(pretraining["training"]) == 12 - 3 - 2 + 4  # without test and validation cases
    assert pretraining["training"].keys().isdisjoint(tuned["test"])
    assert len(tuned["training"]) + len(tuned["validation"]) + len(tuned["test"]) == 12
    assert tuned["preparation"]["size"] == 16
    counts = results(folder / "pretrain")["images"]
    assert counts == {"used": 11, "for validation": 2, "for testing": 3}
    assert "pretraining sees 11 of 16 images (others: 2 for" in (folder / "pretrain" / "run.log").read_text()


@pytest.mark.slow
def test_a_checkpoint_that_has_seen_test_cases_is_refused_or_the_results_say_it(
    folder: Path, tmp_path: Path, capsys
) -> None:
    start = [folder / "pretrain", "--data.fold=1"]
    capsys.readouterr()
    assert tune(folder / "store", tmp_path / "a", *start) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "test cases" in line)
    assert "was pretrained on" in line
    assert "pretrain with data.fold 1, or set model.pretrained.transductive to true" in line
    assert not (tmp_path / "a").exists()
    accepted = "--model.pretrained.transductive=true"
    assert tune(folder / "store", tmp_path / "b", *start, accepted) == 0
    assert results(tmp_path / "b")["transductive"] is True
    assert tune(folder / "store", tmp_path / "c", folder / "pretrain", accepted) == 0  # nothing was seen in its fold
    assert "transductive" not in results(tmp_path / "c")


@pytest.mark.slow
def test_pretraining_that_says_that_it_is_transductive_may_be_handed_over(folder: Path, tmp_path: Path) -> None:
    pretraining = fit("rotation", folder / "store", tmp_path / "pretrain", "--data.transductive=true")
    assert tune(folder / "store", tmp_path / "tune", pretraining) == 0
    assert results(tmp_path / "tune")["transductive"] is True


@pytest.mark.parametrize(
    "copied",
    [
        "compressed otherwise",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("the same file", "prepared otherwise")),
    ],
)
def test_a_test_image_is_found_in_a_pool_under_any_name(folder: Path, tmp_path: Path, copied: str, capsys) -> None:
    tested = sorted(json.loads((folder / "tune" / "data.json").read_text())["test"])[0]
    pool = tmp_path / "pool"
    (pool / "imagesTs").mkdir(parents=True)
    source = folder / "phantom" / "imagesTr" / f"{tested}.nii.gz"
    generator = np.random.default_rng(0)
    for number in range(5):
        image = nib.load(source)
        voxels = image.get_fdata() + generator.normal(0, 20, image.shape)
        nib.save(nib.Nifti1Image(voxels.astype(np.int16), image.affine), pool / "imagesTs" / f"other_{number}.nii.gz")
    if copied == "compressed otherwise":
        nib.save(nib.load(source), pool / "imagesTs" / "harmless.nii")
    else:
        shutil.copy(source, pool / "imagesTs" / "harmless.nii.gz")
    names = [f"./imagesTs/{path.name}" for path in sorted((pool / "imagesTs").iterdir())]
    content = json.loads((folder / "phantom" / "dataset.json").read_text())
    (pool / "dataset.json").write_text(json.dumps(content | {"training": [], "test": names}))
    size = 8 if copied == "prepared otherwise" else 16
    prepare(pool, tmp_path / "pooled", PrepareSettings(size=size), jobs=1, pool=True)
    arguments = run_arguments("rotation", tmp_path / "pooled", tmp_path, data="pool")
    assert exit_status("fit", *arguments, "--run_dir", tmp_path / "pretrain") == 0
    assert tune(folder / "store", tmp_path / "tune", tmp_path / "pretrain") == 2
    assert f"images of the test cases ({tested})" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seen", "is_test"),
    [
        ({"training": {"x": "file-tested class"}}, True),
        ({"validation": {"x": "file-tested"}}, True),
        ({"digests": {"x": "voxels-tested"}}, True),
        ({"digests": {"x": "voxels-sibling"}}, True),  # another image of the patient
        ({"training": {"x": "file-sibling"}}, True),
        ({"pretraining_digests": ["voxels-tested"]}, True),  # of weights that it started from itself
        ({"training": {"x": "file-other"}, "digests": {"x": "voxels-other"}}, False),
        ({"test": {"x": "file-tested"}}, False),  # not learned from
    ],
)
def test_an_image_of_a_test_case_is_found_wherever_pretraining_has_learned_from_it(
    tmp_path: Path, seen: dict, is_test: bool
) -> None:
    cases = ("tested", "sibling", "other")
    store = SimpleNamespace(
        cases=cases,
        preparation={},
        modalities=("CT",),
        groups={"tested": "patient 1", "sibling": "patient 1", "other": "patient 2"},
        digests={case: f"voxels-{case}" for case in cases},
        image_hash=lambda case: f"file-{case}",
    )
    data = SimpleNamespace(store=store, selection=SimpleNamespace(test=("tested",)), fold=0)
    parts = {"training": {}, "validation": {}, "test": {}, "digests": {}, "pretraining_digests": None}
    record = {"preparation": {}, "transductive": False, **parts, **seen}
    (tmp_path / "data.json").write_text(json.dumps(record))
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    with pytest.raises(UserError, match="1 of the 2 images of the test cases") if is_test else nullcontext():
        check_handover(checkpoint, data, transductive=False)
    assert check_handover(checkpoint, data, transductive=True) == is_test


@pytest.mark.parametrize(
    ("part", "cases", "transductive", "is_refused"),
    [
        ("test", "new", False, False),
        ("test", "trained", False, True),
        ("test", "validated", False, True),
        ("test", "pretrained", False, True),
        ("test", "pretrained", True, False),  # its results say so
        ("test", "trained", True, True),
        ("validation", "validated", False, False),
        ("validation", "new", False, False),
        ("validation", "trained", False, True),
        ("validation", "pretrained", False, True),
    ],
)
def test_other_folds_or_data_do_not_score_what_a_run_has_learned_from(
    tmp_path: Path, part: str, cases: str, transductive: bool, is_refused: bool
) -> None:
    run = RunDirectory(tmp_path)
    digests = {"trained": "1", "validated": "2"}
    record = {"training": {"trained": ""}, "validation": {"validated": ""}, "digests": digests}
    run.data.write_text(json.dumps(record | {"pretraining_digests": ["1", "2", "3"]}))
    run.results.write_text(json.dumps({"transductive": True} if transductive else {}))
    store = SimpleNamespace(digests=digests | {"pretrained": "3", "new": "4"})
    data = SimpleNamespace(store=store, selection=SimpleNamespace(**{part: (cases,)}))
    refuse = refuse_learned_cases if part == "test" else refuse_trained_cases
    run.checkpoints.mkdir()
    run.last.touch()
    with pytest.raises(UserError, match=f"1 of these 1 {part} cases") if is_refused else nullcontext():
        refuse(run.last, data)


def test_a_run_is_not_finished_or_resumed_on_data_that_have_changed(tmp_path: Path) -> None:
    seen = {"preparation": {"size": 8}, "training": {"a": "1 2", "b": "3 4"}, "test": {"c": "5 6"}}
    run_directory = RunDirectory(tmp_path)
    run_directory.begin("run_dir: x", seen)
    run_directory.refuse_changed_data(seen)
    run_directory.last.write_bytes(b"a checkpoint")
    run_directory.begin("run_dir: x", seen)
    for changed, name in (({"a": "1 0", "b": "3 4"}, "a"), ({"a": "1 2"}, "b"), ({"b": "3 4", "a": "1 2"}, None)):
        now = seen | {"training": changed}
        if name is None:
            run_directory.begin("run_dir: x", now)
        else:
            with pytest.raises(UserError, match=rf"data have changed since this run started \({name}\)"):
                run_directory.begin("run_dir: x", now)


def test_tables_of_a_run_call_cases_by_their_paths(tmp_path: Path) -> None:
    rows = pd.DataFrame({"case": ["p1%2Fct"], "dice_foreground": [0.5], "artefact": ["noise"], "strength": [1]})
    run_directory = RunDirectory(tmp_path)
    run_directory.finish({}, rows)
    run_directory.write_corrupted(rows)
    assert [pd.read_csv(path)["case"].item() for path in (run_directory.cases, run_directory.robustness)] == [
        *["p1/ct"] * 2
    ]


def test_data_that_change_while_a_run_trains_leave_it_unfinished(
    folder: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    from sslmed.training import fitting

    shutil.copytree(folder / "phantom", tmp_path / "phantom")
    shutil.copytree(folder / "store", tmp_path / "store")
    score = fitting.score

    def change_then_score(*arguments):
        path = next((tmp_path / "phantom" / "labelsTr").iterdir())
        label = nib.load(path)
        nib.save(nib.Nifti1Image(np.zeros(label.shape, np.uint8), label.affine), path)
        prepare(tmp_path / "phantom", tmp_path / "store", PrepareSettings(size=16), jobs=1)
        return score(*arguments)

    monkeypatch.setattr(fitting, "score", change_then_score)
    arguments = run_arguments("segmentation", tmp_path / "store", tmp_path)
    assert exit_status("fit", *arguments, "--run_dir", tmp_path / "run") == 2
    assert "the data have changed since this run started" in capsys.readouterr().err
    assert not (tmp_path / "run" / "results.json").exists()
