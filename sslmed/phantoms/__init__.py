"""Generates synthetic datasets (phantoms) in the layouts of real ones, to try everything without patients' data.

`KINDS` maps each kind of dataset to its generator. The images, and the difficulty of the tasks, are defined in
`abdomen`, `head` with `brain`, and `fundus` with `vessels` and `lesions`.
"""

from collections.abc import Callable

from sslmed.phantoms.photographs import draw_fundus_dataset
from sslmed.phantoms.volumes import draw_brain_dataset, draw_pancreas_dataset

__all__ = ["KINDS", "draw_brain_dataset", "draw_fundus_dataset", "draw_pancreas_dataset"]

KINDS: dict[str, Callable[..., None]] = {
    "pancreas": draw_pancreas_dataset,
    "brain": draw_brain_dataset,
    "fundus": draw_fundus_dataset,
}
"""Kind -> generator: `draw(out, *, cases, unlabelled, size, seed, jobs)`."""
