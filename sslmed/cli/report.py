"""`sslmed report`: write an experiment's report."""

from dataclasses import dataclass
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.extras import require

EPILOG = "`sslmed reproduce` does so at its end. The file needs no network; runs that are missing are marked."
POSITIONAL = ("dir",)


@dataclass(frozen=True)
class Options:
    """What to report.

    Attributes:
        dir: An experiment's directory, as runs/fig3/phantom-quick.
        out: Tables and figures.
        wandb: Make a report of the experiment's runs in Weights & Biases instead.
    """

    dir: Path
    out: Path = Path("results")
    wandb: bool = False


OPTIONS = (Options,)


def run(options: Options) -> None:
    """Write the report, and print where it is."""
    if options.wandb:
        if options.out != Options.out:
            raise UserError(f"--out {options.out}: has no effect with --wandb, which writes no file; leave one out")
        require("wandb_workspaces", extra="wandb-workspaces", why="--wandb")
        from sslmed.reporting.wandb.dashboard import make_dashboard

        print(make_dashboard(options.dir))
    else:
        from sslmed.reporting.html.page import report_experiment

        print(report_experiment(options.dir, options.out))
