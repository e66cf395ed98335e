"""Samples of the arms' lines and markers, for the legend that all charts share."""

from typing import Any

from sslmed.experiments.arms import BASELINE
from sslmed.reporting.styles import KINDS, ArmStyle

SHAPES = {
    "X": "M-4-2L-2-4L0-2L2-4L4-2L2 0L4 2L2 4L0 2L-2 4L-4 2L-2 0Z",
    "o": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "s": "M-4-4h8v8h-8Z",
    "^": "M0-5L4.5 3.5H-4.5Z",
    "D": "M0-5L5 0L0 5L-5 0Z",
    "v": "M0 5L4.5-3.5H-4.5Z",
    "P": "M-2-5h4v3h3v4h-3v3h-4v-3h-3v-4h3Z",
    "<": "M-5 0L3.5-4.5V4.5Z",
    ">": "M5 0L-3.5-4.5V4.5Z",
    "h": "M-4-2.3L0-4.6L4-2.3V2.3L0 4.6L-4 2.3Z",
    "p": "M0 -5L4.8 -1.5L2.9 4L-2.9 4L-4.8 -1.5Z",
    "*": "M0 -5.5L1.3 -1.8L5.2 -1.7L2.1 0.7L3.2 4.4L0 2.2L-3.2 4.4L-2.1 0.7L-5.2 -1.7L-1.3 -1.8Z",
    "8": "M1.7 -4.2L4.2 -1.7L4.2 1.7L1.7 4.2L-1.7 4.2L-4.2 1.7L-4.2 -1.7L-1.7 -4.2Z",
    "H": "M2.3 -4L4.6 0L2.3 4L-2.3 4L-4.6 0L-2.3 -4Z",
    "d": "M0-5L3 0L0 5L-3 0Z",
}
"""Matplotlib's markers -> SVG paths around the origin."""

DASHES = dict(zip(KINDS.values(), ("none", "7 3 2 3", "2 3", "9 2 2 2 2 2"), strict=True))
LIGHTER = 0.35
"""Fraction by which colours move towards white in dark mode."""


def swatch(style: ArmStyle) -> dict[str, Any]:
    """Return the attributes for a sample of an arm's line."""
    return {
        "name": style.arm.name,
        "light": style.colour,
        "dark": _lighter(style.colour),
        "path": SHAPES[style.marker],
        "dash": DASHES[style.kind],
        "is_open": style.kind.filling in ("none", "left"),
        "has_dot": style.kind.filling in ("left", "bottom"),
        "width": 3 if style.arm.task == BASELINE else 2,
    }


def _lighter(colour: str) -> str:
    """Turn the black of the baseline to white; lighten all other colours."""
    if colour == "#000000":
        return "#ffffff"
    channels = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(channel + (255 - channel) * LIGHTER):02x}" for channel in channels)
