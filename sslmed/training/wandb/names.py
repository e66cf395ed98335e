"""Names of runs and groups in Weights & Biases."""

from collections.abc import Mapping
from typing import Any


def group_name(*labels: str) -> str | None:
    """Name the group of an experiment by figure, dataset and preset, `fig3-phantom-quick`; `None` without them."""
    return "-".join(filter(None, labels)) or None


def run_name(description: Mapping[str, Any]) -> str:
    """Name a run: `rotation pretrain fold0`, `rotation 25 % fold0 seed0`."""
    words = [description["arm"]]
    labels = description.get("label_amount")
    words += ["pretrain"] if labels is None else [labels]
    words += [f"fold{description['fold']}"] if "fold" in description else []
    words += [f"seed{description['seed']}"] if labels is not None or "fold" not in description else []
    return " ".join(words)
