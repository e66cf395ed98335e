"""Draws datasets of phantoms in the layouts of real ones, so that everything can be tried without patients' data.

`KINDS` says how each kind of dataset is drawn. What is drawn, and how hard a task it is, is in `abdomen`, `head` with
`brain`, and `fundus` with `vessels` and `lesions`.
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
"""What draws each kind: `draw(out, *, cases, unlabelled, size, seed, jobs)`."""
