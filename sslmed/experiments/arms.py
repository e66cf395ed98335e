"""Names of arms: `<task>[-decoder][-external][-2d]`, `supervised[-decoder][-2d]`, `baseline[-2d]`, `null-<n>[-2d]`."""

import re
from dataclasses import dataclass

BASELINE = "baseline"
NULL = "null"
"""`null-1`, `null-2` and so on are baselines with other initial weights. They show differences due to chance.

`null` is short for `null-1`. Tables use the full name, as pandas and R read `null` as a missing value.
"""

SUPERVISED = "supervised"
"""Pretrained on another labelled dataset, with its labels: the rival of pretraining without labels."""

EXTERNAL = "-external"
SLICES = "-2d"
DECODER = "-decoder"
"""Such an arm pretrains as the one without the suffix, and hands over the decoder as well as the encoder."""


@dataclass(frozen=True)
class Arm:
    """Describes one way of training that a figure compares.

    Attributes:
        name: Name in tables and folders.
        task: `baseline`, `null-1`, `null-2` and so on, or the pretext task, or `supervised`, with `-decoder` if it has
            that.
        external: Whether pretraining is on an external pool.
        slices: Whether the network is 2-D and sees axial slices of volumes.
    """

    name: str
    task: str
    external: bool
    slices: bool

    @property
    def is_null(self) -> bool:
        """Whether it is a baseline with other initial weights."""
        return re.fullmatch(rf"{NULL}-[1-9]\d*", self.task) is not None

    @property
    def pretext(self) -> str:
        """Name of the pretext task, without `-decoder`."""
        return self.task.removesuffix(DECODER)

    @property
    def hands_over_decoder(self) -> bool:
        """Whether fine-tuning starts from the pretrained decoder, too."""
        return self.task != self.pretext

    @property
    def is_supervised(self) -> bool:
        """Whether pretraining is on another dataset's labels."""
        return self.pretext == SUPERVISED

    @property
    def sees_the_dataset(self) -> bool:
        """Whether its pretraining, if it has one, is on the dataset's own images."""
        return not (self.external or self.is_supervised)

    @property
    def is_pretrained(self) -> bool:
        """Whether it starts from pretrained weights."""
        return self.task != BASELINE and not self.is_null

    @property
    def initial_weights(self) -> int:
        """Number of its initial weights: 0 for all arms, except that each null arm has its own."""
        return int(self.task.removeprefix(f"{NULL}-")) if self.is_null else 0

    @classmethod
    def parse(cls, name: str) -> "Arm":
        """Parse a name."""
        rest = name.removesuffix(SLICES)
        task = rest.removesuffix(EXTERNAL)
        if rest == NULL:
            return cls.parse(name.replace(NULL, f"{NULL}-1", 1))
        return cls(name, task, external=task != rest, slices=rest != name)


def baseline_of(arm: str) -> str:
    """Return the arm that an arm is compared with: the one trained from scratch on the same kind of images."""
    return BASELINE + SLICES if Arm.parse(arm).slices else BASELINE


def null_arms(number: int) -> list[str]:
    """Return the names of the first null arms: `null-1`, `null-2` and so on."""
    return [f"{NULL}-{i}" for i in range(1, number + 1)]
