"""Reads the names of channels and labels of a `dataset.json`, of nnU-Net or the Medical Segmentation Decathlon."""

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Names:
    """Holds what a `dataset.json` names.

    Args:
        channels: Name of each channel.
        labels: Value of a label -> its name.
        is_nnunet: Whether it is of nnU-Net, which has one file for each channel.
    """

    channels: tuple[str, ...] = ()
    labels: dict[int, str] = field(default_factory=dict)
    is_nnunet: bool = False


def read_names(path: Path) -> Names:
    """Read what can be read; a name that is not as expected is left out."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return Names()
    if not isinstance(content, dict):
        return Names()
    is_nnunet = "channel_names" in content
    channels, labels = content.get("channel_names" if is_nnunet else "modality"), content.get("labels")
    named = [*labels.items()] if isinstance(labels, dict) else []
    if is_nnunet:  # "liver": 1, where the decathlon has "1": "liver"
        named = [(value, name) for name, value in named]
    return Names(
        tuple(map(str, channels.values())) if isinstance(channels, dict) else (),
        {int(value): str(name) for value, name in named if str(value).isdecimal()},
        is_nnunet,
    )
