"""Styles of arms, the same in every panel and figure, distinguishable with and without colour."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sslmed.experiments.arms import BASELINE, Arm, baseline_of

# The first seven are the palette of Okabe and Ito, which is safe for colour-blind readers:
# https://jfly.uni-koeln.de/color/
KNOWN = {
    "baseline": ("#000000", "X"),
    "rotation": ("#0072B2", "o"),
    "jigsaw": ("#E69F00", "s"),
    "rpl": ("#009E73", "^"),
    "exemplar": ("#D55E00", "D"),
    "cpc": ("#CC79A7", "v"),
    "mae": ("#56B4E9", "P"),
    "mae-decoder": ("#1A5276", "p"),
    "simclr": ("#8C564B", ">"),
    "vicreg": ("#7F7F7F", "<"),
    "dino": ("#F08080", "8"),
    "genesis": ("#5D3A9B", "h"),
    "voco": ("#BCBD22", "*"),
    "joint": ("#E377C2", "d"),
    "multilevel": ("#17A589", "v"),  # from here on with markers of tasks that they are rarely shown with
    "supervised": ("#A0A000", "s"),
    "supervised-decoder": ("#6E2C00", "D"),
}
FURTHER = (("#B22222", "H"), ("#17BECF", "8"), ("#228B22", "P"), ("#4B0082", "<"))
"""Styles of a user's own tasks; all but the first share their markers with tasks of ours."""


class Kind(NamedTuple):
    """Holds the style of arms of one kind.

    Attributes:
        line: Matplotlib's line style.
        filling: Filled part of the marker.
        description: Text for the kind; empty for volumes and the dataset's own images.
    """

    line: str | tuple[int, tuple[int, ...]]
    filling: str
    description: str


KINDS = {
    (False, False): Kind("-", "full", ""),
    (False, True): Kind("-.", "left", ", external pool"),
    (True, False): Kind(":", "none", ", 2-D slices"),
    (True, True): Kind((0, (4, 1, 1, 1, 1, 1)), "bottom", ", 2-D, external pool"),
}
"""Whether the network sees slices of volumes, and whether pretraining was on an external pool -> style."""

CROWDED = 8
"""More arms than this do not go into one panel."""


@dataclass(frozen=True)
class ArmStyle:
    """Holds the style of an arm. Colour and marker show the task; line style and marker filling show the kind.

    Attributes:
        arm: The arm.
        colour: Colour of line and marker.
        marker: Matplotlib's marker.
        scale: Factor on the sizes of line and marker.
    """

    arm: Arm
    colour: str
    marker: str
    scale: float = 1.0

    @property
    def kind(self) -> Kind:
        """Line style and marker filling, common to all tasks of this kind."""
        return KINDS[self.arm.slices, self.arm.external]

    @property
    def line_options(self) -> dict[str, Any]:
        """Keyword arguments of matplotlib's lines."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "linestyle": self.kind.line,
            "fillstyle": self.kind.filling,
            "markerfacecoloralt": "white",
            "linewidth": self.scale * (2.2 if self.arm.task == BASELINE else 1.5),
            "markersize": self.scale * 6,
        }


def arm_styles(names: Iterable[str]) -> list[ArmStyle]:
    """Choose the style of every arm, sorted by kind, with the baseline before the tasks.

    Null arms have no style: they are shown as a band around the baseline, not as curves.
    """
    arms = [arm for arm in map(Arm.parse, names) if not arm.is_null]
    new_tasks = sorted({arm.task for arm in arms} - set(KNOWN))
    chosen = KNOWN | {task: FURTHER[i % len(FURTHER)] for i, task in enumerate(new_tasks)}
    kinds, tasks = list(KINDS.values()), list(chosen)
    return sorted(
        (ArmStyle(arm, *chosen[arm.task]) for arm in arms),
        key=lambda style: (kinds.index(style.kind), tasks.index(style.arm.task)),
    )


def groups(arms: Sequence[ArmStyle]) -> list[list[ArmStyle]]:
    """Group arms by panel: all in one, or if there are too many, each kind with its baseline."""
    if len(arms) <= CROWDED:
        return [list(arms)]
    names = [{style.arm.name for style in arms if style.kind == kind} for kind in KINDS.values()]
    names = [of_kind | {baseline_of(name) for name in of_kind} for of_kind in names]
    names = [shown for shown in names if not any(shown < other for other in names)]
    return [[style for style in arms if style.arm.name in shown] for shown in names]


def dodges(number: int) -> list[float]:
    """Return factors on the label fraction that place the intervals of a panel's arms side by side."""
    positions = np.arange(number) - (number - 1) / 2
    return list(np.exp(positions * min(0.045, 0.4 / max(number, 1))))  # within a third of the way from 5 to 10 %
