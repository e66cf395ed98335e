"""Samples of the arms' lines and markers, for the legend that all charts share."""

from typing import Any

from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

from sslmed.experiments.arms import BASELINE
from sslmed.reporting.styles import KINDS, ArmStyle

COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
"""Matplotlib's codes of segments -> SVG's."""

SIZE = 8
"""Of a marker, in the units of the page's samples."""

DASHES = dict(zip(KINDS.values(), ("none", "7 3 2 3", "2 3", "9 2 2 2 2 2"), strict=True))
LIGHTER = 0.35
"""Fraction by which colours move towards white in dark mode."""


def swatch(style: ArmStyle) -> dict[str, Any]:
    """Return the attributes for a sample of an arm's line."""
    return {
        "name": style.arm.name,
        "light": style.colour,
        "dark": _lighter(style.colour),
        "path": _marker_path(style.marker),
        "dash": DASHES[style.kind],
        "is_open": style.kind.filling in ("none", "left"),
        "has_dot": style.kind.filling in ("left", "bottom"),
        "width": 3 if style.arm.task == BASELINE else 2,
    }


def _marker_path(marker: str) -> str:
    """Return one of matplotlib's markers as an SVG path around the origin, whose y axis points down."""
    style = MarkerStyle(marker)
    outline = style.get_path().transformed(style.get_transform() + Affine2D().scale(SIZE, -SIZE))
    segments = outline.iter_segments(simplify=False)
    return "".join(
        COMMANDS[code] + " ".join(f"{number:z.2f}" for number in numbers if code != Path.CLOSEPOLY)
        for numbers, code in segments
    )


def _lighter(colour: str) -> str:
    """Turn the black of the baseline to white; lighten all other colours."""
    if colour == "#000000":
        return "#ffffff"
    channels = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(channel + (255 - channel) * LIGHTER):02x}" for channel in channels)
