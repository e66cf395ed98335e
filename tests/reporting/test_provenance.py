"""Figure and report say which images pretraining saw."""

import json

import pytest
from synthetic_experiment import published, write_experiment


def record(path, **facts):
    results = json.loads((path / "results.json").read_text())
    (path / "results.json").write_text(json.dumps(results | facts))


def pages(work, out):
    published(work, out)
    return (out / "fig3.svg").read_text(), (out / "report.html").read_text()


@pytest.mark.slow
def test_a_finetuning_run_whose_encoder_saw_test_images_marks_figure_and_report(tmp_path):
    work = write_experiment(tmp_path, arms=("baseline", "rotation"), fractions=(1.0,), examples=False)
    figure, report = pages(work, tmp_path / "before")
    assert "Transductive" not in figure
    assert "(transductive)" not in report
    assert "that it had never seen" in report
    record(work / "rotation" / "fold0" / "seed0" / "100", transductive=True)
    figure, report = pages(work, tmp_path / "after")
    assert "Transductive" in figure
    assert "(transductive)" in report
    assert "that it had never seen" not in report


@pytest.mark.slow
def test_the_report_counts_the_images_of_pretraining_and_those_left_out(tmp_path):
    work = write_experiment(tmp_path, arms=("baseline", "rotation"), fractions=(1.0,), examples=False)
    for fold, copies in ((0, 28), (1, 27)):
        counts = {"used": 38 - copies, "for validation": 2, "copies of another image": copies}
        record(work / "rotation" / f"fold{fold}" / "pretrain", images=counts)
    _, report = pages(work, tmp_path / "out")
    assert "fold 0: 10 of 40 images (others: 2 for validation, 28 copies of another image); fold 1: 11 of 40" in report
