"""`sslmed robustness`: score an experiment's test cases under artefacts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sslmed.evaluation.artefacts import MAKERS, Artefact

EPILOG = (
    f"Artefacts: {', '.join(MAKERS)}; of photographs bias and noise; each at three strengths. Nothing is chosen by "
    "these scores. The same command resumes one that was interrupted."
)
POSITIONAL = ("dir",)


@dataclass(frozen=True)
class Options:
    """What to score.

    Attributes:
        dir: An experiment's directory, as runs/fig3/phantom-quick.
        corrupt: Artefacts.
        out: Tables and figures.
    """

    dir: Path
    corrupt: Sequence[Artefact]
    out: Path = Path("results")


OPTIONS = (Options,)


def run(options: Options) -> None:
    """Score the runs, add the table to the report, and print where it is."""
    from sslmed.core.startup import importing

    with importing():
        from sslmed.experiments.robustness import score_experiment
        from sslmed.reporting.html.page import report_experiment

    score_experiment(options.dir, options.corrupt)
    print(report_experiment(options.dir, options.out))
