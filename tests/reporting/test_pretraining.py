"""Pretraining that learned nothing is named in the terminal, the figure and the report, below its headline."""

import json
import re

import pytest
from synthetic_experiment import published, write_experiment

from sslmed.core.label_amount import LabelAmount
from sslmed.experiments.runs import Run
from sslmed.reporting.pretraining import Unlearned, in_one_line, unlearned


def _runs(handover):
    pretraining = Run("rpl", 1, None, None, "rpl/fold1/pretrain", "job", needs=None, arguments=(), key="")
    start = ("--model.pretrained.checkpoint", f"/x/rpl/fold1/pretrain/checkpoints/{handover}.ckpt")
    labels, name = LabelAmount(fraction=1.0), "rpl/fold1/seed0/100"
    return pretraining, Run("rpl", 1, 0, labels, name, "job", needs=pretraining.name, arguments=start, key="")


@pytest.mark.parametrize(
    ("handover", "losses", "learned"),
    [
        ("last", [2.0, 1.95], True),
        ("last", [1.0, 2.0], False),  # it has unlearned what it had learned
        ("best", [1.0, 2.0], True),
        ("last", [2.0, 1.97], False),  # within two percent: chance
        ("last", [1.0, None], False),  # diverged
        ("best", [None, None], False),
    ],
)
def test_a_task_is_learned_if_what_is_handed_over_is_two_percent_better_than_guessing(handover, losses, learned):
    pretraining, finetuning = _runs(handover)
    rows = [{"update": i, "val/loss": loss, "val/chance_loss": 2.0} for i, loss in enumerate(losses)]
    record = {"validation": rows, "val_loss": losses[-1], "chance_loss": 2.0}
    found = unlearned({pretraining: record}, [pretraining, finetuning])
    assert (not found) == learned
    if found:
        shown = "not finite" if None in losses else f"{losses[-1]:.2f}"
        assert f": rpl (fold 1: {shown}; guessing 2.00)." in in_one_line(found, losses=True)


def _end_with(pretraining, **last):
    path = pretraining / "results.json"
    record = json.loads(path.read_text())
    record["validation"][-1] |= last
    path.write_text(json.dumps(record))


@pytest.mark.slow
def test_terminal_figure_and_headline_name_arm_and_folds(tmp_path, capsys):
    work = write_experiment(tmp_path, arms=("baseline", "rpl", "exemplar"), cases=3, examples=False)
    for arm, fold, loss in (("rpl", 1, 4.07), ("exemplar", 0, 1.25), ("exemplar", 1, 1.25)):
        _end_with(work / arm / f"fold{fold}" / "pretrain", **{"val/loss": loss})
    _end_with(work / "rpl" / "fold0" / "pretrain", **{"features/spread": 0.3, "features/rank": 1.7})
    out = published(work, tmp_path / "out")
    shown = capsys.readouterr().err
    assert re.findall("not learned: (.*)", shown) == [
        "rpl in fold 1 (4.07, guessing 3.26)",
        "exemplar in fold 0 (1.25, guessing 1.00)",
        "exemplar in fold 1 (1.25, guessing 1.00)",
    ]
    collapsed = "rpl in fold 0 (spread 0.3000, effective rank 1.7)"
    assert f"collapsed: {collapsed}\n" in shown
    assert f"Features of pretraining have collapsed: {collapsed}." in (out / "fig3.svg").read_text()
    assert "rpl (fold 1: 4.07; guessing 3.26), exemplar (folds 0, 1: 1.25, 1.25" in (out / "fig3.svg").read_text()
    page = (out / "report.html").read_text()
    assert re.search(r'<h2 id="answer"[^>]*>(.*)</h2>', page)[1] == "This experiment is too small to tell."
    assert re.findall(r'<p class="banner" role="note">(Pre.*|Fea.*)</p>', page.split('id="answer"')[1]) == [
        "Pretraining did not learn its task: rpl (fold 1), exemplar (folds 0, 1).",
        f"Features of pretraining have collapsed: {collapsed}.",
    ]


def test_small_losses_are_given_in_digits_that_tell_them_apart() -> None:
    assert str(Unlearned("zoom", 0, 0.0412, 0.00417)) == "zoom in fold 0 (0.0412, guessing 0.00417)"
