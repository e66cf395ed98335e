"""Real runs of a few updates, as `sslmed fit` leaves them."""

from pathlib import Path

import yaml

from sslmed import cli
from sslmed.experiments.settings import config_root

ENCODERS = {
    "unet": {"widths": [4, 8], "dropout": 0.1},
    "residual": {
        **{"features_per_stage": [4, 6, 8], "n_blocks_per_stage": [1, 2, 1]},
        **{"strides": [1, [1, 2, 2], 2], "kernel_sizes": [3, [1, 3, 3], 3]},
    },
    "densenet": {"block_config": [1, 1], "growth_rate": 2, "init_features": 4},
}
BUDGET = ("--data.batch_size", "2", "--data.updates", "4", "--data.validations", "2")


def exit_status(*arguments: object) -> int:
    """Run the command in this process."""
    try:
        cli.main([str(each) for each in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def fit(kind: str, store: Path, run: Path, *options: str, encoder: str | None = None) -> Path:
    """Train a run of a kind of labels, or of a pretext task, and return its directory."""
    downstream = kind in ("segmentation", "classification", "regression")
    encoder = encoder or ("densenet" if kind in ("classification", "regression") else "unet")
    stage = [f"data/{kind}", f"downstream/{kind}"] if downstream else ["data/pretraining", f"pretext/{kind}"]
    small = run.with_name(f"{run.name}.yaml")
    small.parent.mkdir(parents=True, exist_ok=True)
    small.write_text(yaml.safe_dump({"model": {"init_args": {"encoder": {"init_args": ENCODERS[encoder]}}}}))
    files = [config_root() / f"{name}.yaml" for name in ("base", *stage, f"encoder/{encoder}")] + [small]
    arguments = [argument for file in files for argument in ("-c", file)]
    assert exit_status("fit", *arguments, "--data.store", store, *BUDGET, "--run_dir", run, *options) == 0
    return run
