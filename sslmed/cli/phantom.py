"""`sslmed phantom`: generate a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sslmed.core.numbers import Count, Index

EPILOG = (
    "Deterministic by seed; the first N cases do not depend on N. The same command resumes one that was interrupted."
)
POSITIONAL = ("kind", "out")


@dataclass(frozen=True)
class Options:
    """What to generate.

    Attributes:
        kind: What is in the images: CT-like or MRI-like volumes, or photographs.
        out: Folder of the dataset.
        cases: Labelled cases.
        unlabelled: Unlabelled cases.
        size: Three sides of volumes in voxels, or width and height of photographs in pixels; the kind's by default.
        seed: Seed of the anatomy.
    """

    kind: Literal["pancreas", "brain", "fundus"]
    out: Path
    cases: Index = 60
    unlabelled: Index = 40
    size: Sequence[Count] | None = None
    seed: Index = 0


OPTIONS = (Options,)


def run(options: Options) -> None:
    """Generate the dataset, and say where it is."""
    from sslmed.phantoms import KINDS

    size = {} if options.size is None else {"size": tuple(options.size)}
    KINDS[options.kind](options.out, cases=options.cases, unlabelled=options.unlabelled, seed=options.seed, **size)
    print(f"{options.out}: {options.cases} labelled and {options.unlabelled} unlabelled cases")
