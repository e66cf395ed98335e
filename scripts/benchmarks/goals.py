"""Goals for the numbers of sections, as data. They are shown beside the measurements, not enforced."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.measure import Findings


@dataclass(frozen=True)
class Goal:
    """A bound for the median of a section's result."""

    section: str
    result: str
    sense: Literal["at most", "at least"]
    bound: float
    unit: str

    def measured(self, sections: Mapping[str, Findings]) -> float | None:
        """Return the median, if it was measured."""
        results = sections[self.section].results if self.section in sections else []
        return next((result.median for result in results if result.name == self.result), None)

    def is_met(self, measured: float) -> bool:
        """Whether a number meets the goal."""
        return measured <= self.bound if self.sense == "at most" else measured >= self.bound


GOALS = (
    Goal("startup", "sslmed --help", "at most", 1.5, "s"),
    Goal("startup", "sslmed fit --print_config", "at most", 3, "s"),
    Goal("preparing", "speed over the reference", "at least", 4, "x"),
    Goal("preparing", "speed of 2 workers over 1", "at least", 1.8, "x"),
    Goal("preparing", "labels: Dice of pancreas with the reference", "at least", 0.99, ""),
    Goal("preparing", "labels: Dice of cancer with the reference", "at least", 0.99, ""),
    Goal("preparing", "images: mean difference from the reference", "at most", 0.02, "of [0, 1]"),
    Goal("reading", "memory with 281 cases, 0 workers", "at most", 2048, "MiB"),
    Goal("reading", "memory with 281 cases, 2 workers", "at most", 2048, "MiB"),
    Goal("tasks", "exemplar: reference over make_task", "at least", 2, "x"),
    Goal("steps", "segmentation 128³, all cores: memory kept over the reference", "at least", 2, "x"),
    Goal("steps", "segmentation 128³, GPU: fastest over the reference", "at least", 4, "x"),
    Goal("experiment", "fraction of a job that is not training", "at most", 25, "%"),
    Goal("gpu", "segmentation: GPU idle, data on the GPU", "at most", 3, "%"),
    Goal("paper", "GPU-hours per fold", "at most", 5, "h"),
)
