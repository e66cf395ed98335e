"""A run in this process."""

from sslmed.core.startup import importing
from sslmed.experiments.runs import Run


def fit(run: Run) -> None:
    """Do a run in this process."""
    with importing():  # torch sees the GPUs that are visible when it is imported
        from sslmed.training.lightning_cli import main

    # An orphan of a killed workflow may still be doing this run: wait for it.
    main(["fit", *run.arguments, "--wait", "true"])
