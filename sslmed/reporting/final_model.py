"""What to expect of a final model: the scores of its arm in the comparison that it follows."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from sslmed.core.files import write_text
from sslmed.core.text import count
from sslmed.experiments.arms import Arm
from sslmed.experiments.failures import report_failures
from sslmed.experiments.finished import read_results
from sslmed.experiments.reproduce import Outcome
from sslmed.reporting.tables import NothingFinishedError, collect
from sslmed.training.run_directory import RunDirectory


def conclude(outcome: Outcome) -> int:
    """Say where the final model is, and what to expect of it by the runs that tables would show.

    Returns:
        0 if it is done, 1 if a run failed.
    """
    work, runs = outcome.work, outcome.runs
    if report_failures(work, runs, {}):
        return 1
    directory, arm = RunDirectory(work / runs[-1].name), runs[-1].arm
    print(f"{directory.path}: the final model, trained on all labels; no case is left to test it on")
    for warning in (each for run in runs[:-1] for each in read_results(work, run).get("warnings", ())):
        print(f"in its pretraining, {warning}", file=sys.stderr)
    if expected := _expected(outcome, arm):
        write_text(directory.expected, json.dumps(expected, indent=1) + "\n")
    else:
        directory.expected.unlink(missing_ok=True)
        print(
            f"what to expect is not known: {work} has no finished run of {arm} with these settings and data; the "
            "command without --final compares arms",
            file=sys.stderr,
        )
    for score in (each for each in expected if each["metric"] == outcome.metrics[0]):
        print(_score(score))
        if Arm.parse(arm).is_pretrained:
            print(_benefit(score))
    print(f"next: sslmed predict --model {directory.path} --images IMAGES --out PREDICTIONS")
    print(f"or, to give it to others: sslmed export {directory.path} OUT")
    return 0


def _expected(outcome: Outcome, arm: str) -> list[dict[str, Any]]:
    """Compute what the comparison found of the arm with most labels, alone and beside the baseline.

    Nothing if there was none, and no difference if it has too few runs or no baseline. An infinite end of an interval
    is `None`, as JSON has no infinity.
    """
    try:
        table = collect([outcome.work / run.name for run in outcome.whole], outcome.metrics[0]).summary
    except NothingFinishedError:
        return []
    table = table[table["arm"] == arm]
    table = table[table["label_fraction"] == table["label_fraction"].max()]
    columns = ["metric", "mean", "ci_low", "ci_high", "diff", "diff_low", "diff_high", "n_labels", "n_runs", "n_cases"]
    rows: list[dict[str, Any]] = json.loads(table[columns].to_json(orient="records"))
    return rows


def _score(score: Mapping[str, Any]) -> str:
    low, high = score["ci_low"], score["ci_high"]
    ends = "" if low is None or high is None else f"{low:.3f} to {high:.3f}; "
    return (
        f"what to expect: the cross-validation of this arm with {count(score['n_labels'], 'label')} found "
        f"{score['metric']} {score['mean']:.3f} ({ends}{count(score['n_runs'], 'run')})"
    )


def _benefit(score: Mapping[str, Any]) -> str:
    """Say what the cross-validation found of pretraining, which the score alone does not show."""
    if score["diff"] is None:
        return "whether its pretraining helps is not known: these runs do not tell, or the baseline was not among them"
    low, high = score["diff_low"], score["diff_high"]
    ends = "" if low is None or high is None else f" ({low:+.3f} to {high:+.3f})"
    return f"difference to training from scratch: {score['diff']:+.3f}{ends}"
