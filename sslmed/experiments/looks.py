"""How arms are drawn, the same in every panel and figure, told apart with and without colour."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

# Okabe and Ito's palette, which colour-blind readers can tell apart: https://jfly.uni-koeln.de/color/
KNOWN = {
    "baseline": ("#000000", "X"),
    "rotation": ("#0072B2", "o"),
    "jigsaw": ("#E69F00", "s"),
    "rpl": ("#009E73", "^"),
    "exemplar": ("#D55E00", "D"),
    "cpc": ("#CC79A7", "v"),
}
FURTHER = (("#56B4E9", "P"), ("#7F7F7F", "<"), ("#8C564B", ">"), ("#5D3A9B", "h"))


@dataclass(frozen=True)
class Look:
    """Colour and marker say the task; filled and solid is 3-D, hollow and dotted 2-D, dash-dotted an external pool.

    Attributes:
        arm: The arm's name.
        colour: Of line and marker.
        marker: Matplotlib's marker.
        line: Matplotlib's line style.
        dodge: Factor on the label fraction, so that the arms' intervals stand side by side.
    """

    arm: str
    colour: str
    marker: str
    line: str
    dodge: float

    @property
    def style(self) -> dict[str, Any]:
        """Keyword arguments of matplotlib's lines."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.line,
            "markerfacecolor": self.colour if self.line == "-" else "white",
            "linewidth": 2.2 if self.arm.startswith("baseline") else 1.5,
            "markersize": 6,
        }


def looks(arms: Iterable[str]) -> list[Look]:
    """Give every arm its look, in the order in which they are listed: 3-D arms first, the baseline before the tasks."""
    task_of = {arm: arm.removesuffix("-2d").removesuffix("-external") for arm in arms}
    new_tasks = sorted(set(task_of.values()) - set(KNOWN))
    chosen = KNOWN | {task: FURTHER[i % len(FURTHER)] for i, task in enumerate(new_tasks)}
    rank = {task: i for i, task in enumerate(chosen)}
    ordered = sorted(task_of, key=lambda arm: (arm.endswith("-2d"), rank[task_of[arm]], arm))
    positions = np.arange(len(ordered)) - (len(ordered) - 1) / 2
    dodges = np.exp(positions * min(0.045, 0.4 / len(ordered)))  # within a third of the way from 5 to 10 %
    return [
        Look(arm, *chosen[task_of[arm]], _line(arm), float(dodge)) for arm, dodge in zip(ordered, dodges, strict=True)
    ]


def _line(arm: str) -> str:
    if arm.endswith("-2d"):
        return ":"
    return "-." if arm.endswith("-external") else "-"
