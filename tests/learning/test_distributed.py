"""Two processes over gloo are compared with a single one on the same batches and cases."""

import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from commands import run_arguments
from rank_checks import CONTRASTIVE, contrastive_task, draws, evaluate, run_all

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.data.batches import EndlessBatches
from sslmed.experiments.executors.ranks import launch
from sslmed.experiments.job import do_runs
from sslmed.experiments.runs import Run
from sslmed.preparation.store import Store

pytestmark = pytest.mark.slow  # two processes are started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fits")


@pytest.fixture(scope="module")
def ranks(store: Path, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    arguments = [*run_arguments("exemplar", store, folder), "--trainer.devices", "2"]
    found = launch(2, run_all, store, arguments, folder)
    return found[0], found[1]


def test_splits_are_the_same_and_batches_are_shared_out(ranks, store: Path) -> None:
    alone, first, second = draws(store), ranks[0]["draws"], ranks[1]["draws"]
    assert first["split"] == second["split"] == alone["split"]
    assert first["cases"] == second["cases"] == alone["cases"]
    assert [a + b for a, b in zip(first["training"], second["training"], strict=True)] == alone["training"]
    assert all(len(share) == 2 for share in chain(first["training"], second["training"]))


@pytest.mark.parametrize("n_cases", [1, 2, 5])
def test_every_case_is_scored_once_and_scores_are_those_of_one_process(ranks, n_cases: int) -> None:
    alone = evaluate(n_cases)
    assert [row["case"] for row in alone["rows"]] == [f"case {i}" for i in range(n_cases)]
    first, second = (found[f"evaluation of {n_cases}"] for found in ranks)
    assert first == second
    assert first.keys() == alone.keys()
    for ours, theirs in zip(chain(*first.values()), chain(*alone.values()), strict=True):
        assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("batch_size", [2, 4])
@pytest.mark.parametrize("name", CONTRASTIVE)
def test_losses_and_gradients_of_whole_batches_are_those_of_one_process(ranks, name: str, batch_size: int) -> None:
    shares = [found[f"{name} of {batch_size}"] for found in ranks]
    inputs = torch.from_numpy(np.concatenate([share["inputs"][0] for share in shares]))
    task = contrastive_task(name)
    loss = task.loss(task(inputs), None)
    loss.backward()
    expected = [parameter.grad for parameter in task.parameters() if parameter.grad is not None]
    assert np.mean([share["loss"] for share in shares]) == pytest.approx(loss.item(), abs=1e-6)
    scale = max(gradient.abs().max().item() for gradient in expected)
    assert scale > 0
    for share in shares:
        for gradient, alone in zip(share["gradients"], expected, strict=True):
            np.testing.assert_allclose(gradient, alone.numpy(), rtol=0, atol=1e-4 * scale)
        for buffer, alone in zip(share["buffers"], task.buffers(), strict=True):  # as the centre of a teacher
            np.testing.assert_allclose(buffer, alone.numpy(), atol=1e-6)


@pytest.mark.parametrize("batch_size", [2, 4])
def test_exemplars_negatives_are_all_other_cases_of_the_whole_batch(ranks, batch_size: int) -> None:
    images = torch.rand(batch_size, 1, 18, 18, generator=torch.Generator().manual_seed(2)).numpy()

    def name(seen: np.ndarray) -> int:  # an anchor is interpolated, if only between a voxel and itself
        (number,) = [number for number, image in enumerate(images) if np.allclose(seen, image, atol=1e-5)]
        return number

    drawn: dict[int, set[int]] = {number: set() for number in range(batch_size)}
    for found in ranks:
        for anchor, positive, negative in chain(*found[f"exemplar of {batch_size}"]["inputs"]):
            assert name(anchor) == name(positive)
            drawn[name(anchor)].add(name(negative))
    assert drawn == {number: set(range(batch_size)) - {number} for number in range(batch_size)}


def test_what_one_rank_does_alone_leaves_collectives_in_step(ranks) -> None:
    assert [found["made by one rank alone"] for found in ranks] == [
        {"exchanged": [0, 1], "merged": {0: 0, 1: 1}},
        {"exchanged": [1, 0], "merged": {0: 0, 1: 1}},
    ]


@pytest.mark.usefixtures("ranks")
def test_a_mirrored_fit_draws_its_puzzles(folder: Path) -> None:
    assert list((folder / "whole" / "wandb").glob("offline-run-*/files/media/images/puzzles_*.png"))
    assert "could not" not in (folder / "whole" / "run.log").read_text()


@pytest.mark.usefixtures("ranks")
def test_a_stopped_and_resumed_fit_equals_an_uninterrupted_one_bit_by_bit(folder: Path) -> None:
    whole, halves = (
        torch.load(folder / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "halves")
    )
    assert all(torch.equal(value, halves[key]) for key, value in whole.items())
    tables = [pd.read_csv(folder / name / "metrics.csv").drop(columns="seconds") for name in ("whole", "halves")]
    pd.testing.assert_frame_equal(*tables)


def test_unequal_shares_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match="batches of 3 cases cannot be divided equally among 2 devices"):
        EndlessBatches([range(9)], 3, length=6, seed=0, fold=0, repeats=False, updates_done=lambda: 0)


@pytest.mark.long
@pytest.mark.usefixtures("ranks")
def test_a_job_on_two_devices_leaves_what_one_on_one_leaves(
    store: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = [*run_arguments("segmentation", store, tmp_path), "--trainer.devices", "2"]
    common += ["--data.n_folds", "3", "--model.dropout", "0", "--model.encoder.dropout", "0"]
    # The encoder has no gradients at first. It was pretrained with other folds, also on test cases.
    pretrained = folder / "whole" / "checkpoints" / "last.ckpt"
    common += ["--model.pretrained.checkpoint", str(pretrained), "--model.pretrained.frozen_fraction", "0.5"]
    common += ["--model.pretrained.transductive", "true"]

    def run(name: str, devices: int, *options: str) -> Run:
        arguments = (*common, "--trainer.devices", str(devices), "--run_dir", str(tmp_path / name), *options)
        identity = {
            "arm": "baseline",
            "fold": 0,
            "seed": 0,
            "labels": LabelAmount(fraction=1.0),
            "needs": None,
            "key": "",
        }
        return Run(**identity, name=name, job="job", arguments=arguments, devices=devices)  # type: ignore[arg-type]

    alone, together = run("alone", 1), run("together", 2)
    assert do_runs([alone, together])
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("alone", "together")]
    cases = pd.read_csv(tmp_path / "together" / "cases.csv")["case"]
    test_cases = pd.read_csv(tmp_path / "alone" / "cases.csv")["case"]
    assert list(cases) == list(test_cases)
    assert len(set(cases)) == len(cases) == 4
    assert set(cases) < set(Store(store).labelled)
    losses = [[row["train/loss"] for row in result["validation"]] for result in results]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    assert results[0].keys() == results[1].keys()
    # A run that fails in one process ends the other, says why in the last line, and does not stop the next run.
    broken = run("broken", 2, "--data.batch_size", "3")
    assert not do_runs([broken])
    last = (tmp_path / "broken" / "run.log").read_text().strip().splitlines()[-1]
    assert "batches of 3 cases cannot be divided equally among 2 devices" in last
