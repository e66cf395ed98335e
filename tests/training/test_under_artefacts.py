"""`sslmed test --corrupt`: the test cases of a run under artefacts, beside its results, which stay as they are."""

import numpy as np
import pandas as pd
import pytest
import torch
from commands import exit_status, fit
from generated_tables import write_table

import sslmed
from sslmed.evaluation.artefacts import STRENGTHS, corrupt
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.store import Store


@pytest.mark.slow
def test_corrupted_cases_of_a_run_are_scored(store, tmp_path, capsys, caplog) -> None:
    run = fit("segmentation", store, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    config = str(run / "config.yaml")
    assert exit_status("test", "-c", config, "--corrupt", "noise", "bias") == 0
    assert "severe" in capsys.readouterr().out
    rows = pd.read_csv(run / "robustness.csv")
    cases = pd.read_csv(run / "cases.csv")["case"].tolist()
    kinds = [(artefact, strength) for artefact in ("bias", "noise") for strength in STRENGTHS]
    assert [*rows.groupby(["artefact", "strength"]).groups] == kinds
    assert all(of_kind["case"].tolist() == cases for _, of_kind in rows.groupby(["artefact", "strength"]))
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.name in before} == before
    model, prepared = sslmed.load(run), Store(store)
    for row in rows[rows["case"] == cases[0]].itertuples():
        image = corrupt(torch.tensor(prepared.image(row.case)), row.artefact, row.strength, row.case)
        with torch.inference_mode():
            organ = model.network.infer(image[None]).argmax(1)[0].numpy() == 1
        truth = prepared.label(row.case) == 1
        assert row.tp_1 == np.count_nonzero(organ & truth)
        assert row.fp_1 == np.count_nonzero(organ & ~truth)
    assert exit_status("test", "-c", config, "--corrupt", "ghosting") == 0
    again = pd.read_csv(run / "robustness.csv")
    pd.testing.assert_frame_equal(again[again["artefact"] != "ghosting"].reset_index(drop=True), rows)
    written = (run / "robustness.csv").read_bytes()
    checkpoint = run / "checkpoints" / "best.ckpt"
    for others in (["--ckpt_path", checkpoint], ["--select", "best"], ["--data.label_fraction", "0.3"]):
        assert exit_status("test", "-c", config, "--corrupt", "noise", "spacing", *others) == 0
        assert "spacing" in capsys.readouterr().out
        assert caplog.messages[-1].endswith("as weights, settings or data are not the run's")
        assert (run / "robustness.csv").read_bytes() == written


@pytest.mark.slow
def test_photographs_have_their_own_artefacts(tmp_path, capsys) -> None:
    table = write_table(tmp_path / "photos", 2, ["class"], cases=12)
    prepare(table, tmp_path / "store", PrepareSettings(size=16), jobs=1)
    run = fit("classification", tmp_path / "store", tmp_path / "run")
    config = str(run / "config.yaml")
    assert exit_status("test", "-c", config, "--corrupt", "noise") == 0
    assert {"truth", "prediction", "probability_0"} <= {*pd.read_csv(run / "robustness.csv")}
    assert exit_status("test", "-c", config, "--corrupt", "motion", "noise") == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("motion: no artefact of photographs")


@pytest.mark.parametrize("words", [["blur"], []])
def test_an_unknown_artefact_is_an_error_in_one_line(words, tmp_path, capsys) -> None:
    assert exit_status("robustness", str(tmp_path), "--corrupt", *words) == 2
    assert "--corrupt" in capsys.readouterr().err.strip().splitlines()[-1]
