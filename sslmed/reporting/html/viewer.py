"""Data of the slice viewer: image, truth and prediction of test cases, for every arm and amount of labels."""

import base64
import io
from collections.abc import Iterator, Mapping
from typing import Any

import contourpy
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslmed.core.text import path_of
from sslmed.downstream.examples import Example, load_examples
from sslmed.experiments.runs import Run
from sslmed.preparation.channels import UNNAMED
from sslmed.reporting.html.experiment import FinishedExperiment
from sslmed.training.run_directory import RunDirectory

MOST_BYTES = 12_000_000
"""Size of all pictures and outlines in one report. Later ones are omitted, and the page lists them."""


def viewer(experiment: FinishedExperiment) -> dict[str, Any] | None:
    """Gather the examples of the first fold and seed.

    Returns:
        `texts` (images as data URIs, outlines as SVG paths), `cells`: arm -> amount of labels -> role -> example, whose
        slices refer to texts by position, `fold`, `seed`, `classes`, and `left_out`; nothing where no run has examples.
    """
    drawn = {style.arm.name for style in experiment.arm_styles}
    finished = [run for run in experiment.finetuning if run.arm in drawn]
    with_examples = [run for run in finished if RunDirectory(experiment.work / run.name).examples.is_file()]
    if not with_examples:
        return None
    fold, seed = min((run.fold, run.seed) for run in with_examples)
    texts: dict[str, int] = {}  # each once -> its position, as all arms show the same images and truths
    left_out, n_classes = [], 1
    cells: dict[str, dict[str, Any]] = {}
    for run in _ordered([run for run in with_examples if (run.fold, run.seed) == (fold, seed)], experiment):
        if sum(map(len, texts)) > MOST_BYTES:
            left_out.append(f"{run.arm} {run.labels}")
            continue
        examples = load_examples(RunDirectory(experiment.work / run.name).examples)
        n_classes = max(n_classes, *(int(max(each.truth.max(), each.prediction.max())) for each in examples.values()))
        encoded = {role: _encoded(example, texts) for role, example in _each_once(examples).items()}
        cells.setdefault(run.arm, {})[str(run.labels)] = encoded
    names = [] if experiment.store is None else list(experiment.store.label_names.values())
    channel = "" if experiment.store is None else experiment.store.modalities[0]
    return {
        "texts": [*texts],
        "cells": cells,
        "fold": fold,
        "seed": seed,
        "classes": names[1:] or [f"class {index}" for index in range(1, n_classes + 1)],
        "channel": "" if channel in UNNAMED else channel,
        "of_volumes": experiment.store is None or experiment.store.spatial_dims == 3,
        "left_out": left_out,
    }


def _ordered(runs: list[Run], experiment: FinishedExperiment) -> Iterator[Run]:
    """Sort by arm, in the usual order, then by amount of labels."""
    names = [style.arm.name for style in experiment.arm_styles]
    yield from sorted(runs, key=lambda run: (names.index(run.arm), run.labels))


def _each_once(examples: Mapping[str, Example]) -> dict[str, Example]:
    """Leave out a case that is there already: of two, the median is the worst; of one, all are the best."""
    roles: dict[str, str] = {}
    for role in ("best", "worst", "median"):
        roles.setdefault(examples[role].case, role)
    return {role: example for role, example in examples.items() if role in roles.values()}


def _encoded(example: Example, texts: dict[str, int]) -> dict[str, Any]:
    def add(text: str) -> int:
        return texts.setdefault(text, len(texts))

    height, width = example.image.shape[1:]
    slices = [
        {
            "position": int(position) + 1,
            "image": add(_png(image)),
            "truth": [*map(add, outlines(truth))],
            "prediction": [*map(add, outlines(prediction))],
        }
        for position, image, truth, prediction in zip(
            example.positions, example.image, example.truth, example.prediction, strict=True
        )
    ]
    return {
        "case": path_of(example.case),
        "dice": example.dice,
        "depth": example.depth,
        "size": [int(width), int(height)],
        "slices": slices,
    }


def outlines(labels: NDArray[np.uint8]) -> list[str]:
    """Trace the border of every class 1, 2, … of a slice `(H, W)`, as SVG paths in units of pixels."""
    padded = np.pad(labels, 1)
    return [_path(padded == index) for index in range(1, int(labels.max()) + 1)]


def _path(mask: NDArray[np.bool_]) -> str:
    lines: Any = contourpy.contour_generator(z=mask.astype(np.float64)).lines(0.5)
    # A line ends where it began; the first pixel, whose centre is at 0.5, was padded to be the second.
    return "".join(f"M{' '.join(f'{value - 0.5:g}' for value in line[:-1].ravel())}Z" for line in lines)


def _png(image: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
