"""The real command, in this process."""

from collections.abc import Callable
from pathlib import Path

import yaml

from sslmed import cli
from sslmed.experiments.settings import config_root

CONFIGS = config_root()
SMALL = {"model": {"init_args": {"encoder": {"init_args": {"widths": [4, 8], "dropout": 0.1}}}}}

Command = Callable[..., int]


def exit_status(arguments: list[str]) -> int:
    try:
        cli.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def run_arguments(kind: str, store: Path, folder: Path) -> list[str]:
    """Options of a small run of 4 updates and 2 validation passes; `kind` is a pretext task or a kind of labels."""
    downstream = kind in ("segmentation", "classification")
    stage = [f"data/{kind}", f"downstream/{kind}"] if downstream else ["data/pretraining", f"pretext/{kind}"]
    small = folder / "small.yaml"
    small.write_text(yaml.safe_dump(SMALL))
    files = [CONFIGS / f"{name}.yaml" for name in ("base", *stage, "encoder/unet")] + [small]
    arguments = [argument for file in files for argument in ("-c", str(file))]
    return [*arguments, "--data.store", str(store), *BUDGET]


BUDGET = ["--data.batch_size", "2", "--data.updates", "4", "--data.validations", "2"]
