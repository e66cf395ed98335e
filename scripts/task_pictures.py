"""Draws the puzzle of every pretext task from slices of a phantom, with the code that trains, for docs/tasks/.

python scripts/task_pictures.py

Look at the pictures before committing them.
"""

import argparse
import io
import itertools
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from sslmed import pretext
from sslmed.encoders import UNetEncoder
from sslmed.phantoms import KINDS
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings
from sslmed.training.pictures import Picture, draw_segmentation, input_pictures

CASES, SIDE = 3, 128
PIXELS = 720
"""Width of a picture: twice that of a phone, so that small text stays readable there."""
DPI = 150
INPUT, ASKED = "#0072b2", "#b04a00"
"""Colours of titles: what the network sees, and what it is asked for."""

CHARACTERS, LINE = 48, 0.24
"""Characters in a line of the question, and the height of a line in inches."""
FEWER_LEVELS = 0b11111000
"""Bits of a grey level that are kept: noise of all levels makes large files."""

Panel = tuple[str, str, Picture]
"""Title, its colour, and what is below it."""
Puzzle = tuple[list[list[Panel]], str]
"""Rows of panels, and the question in words."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/figures/tasks"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    images, labels = phantom_slices()
    for name, (rows, question) in puzzles(images, labels):
        draw(rows, question, options.out / f"{name}.png")


def phantom_slices() -> tuple[Tensor, Tensor]:
    """Generate and prepare abdominal CTs as `sslmed reproduce` does, and take the axial slice with most foreground.

    Returns:
        Images `(CASES, 1, SIDE, SIDE)`, intensities 0 to 1, and labels `(CASES, SIDE, SIDE)`.
    """
    with tempfile.TemporaryDirectory() as folder:
        data, to = Path(folder, "data"), Path(folder, "store")
        KINDS["pancreas"](data, cases=CASES, unlabelled=0, size=(160, 160, 80), seed=5, jobs=1)
        store = prepare(data, to, PrepareSettings(size=SIDE), jobs=1)
        slices = []
        for case in store.cases:
            image, label = np.array(store.image(case)), np.array(store.label(case))
            level = np.count_nonzero(label, axis=(0, 1)).argmax()
            slices.append((image[..., level], label[..., level]))
    images, labels = (torch.from_numpy(np.stack(each)) for each in zip(*slices, strict=True))
    return images.float(), labels


def puzzles(images: Tensor, labels: Tensor) -> Iterator[tuple[str, Puzzle]]:
    """Yield the name and the puzzle of each task."""
    yield from _of_places(images)
    yield from _of_embeddings(images)
    yield from _of_restored_images(images)
    image, label = (each[0].mT.flip(-2, -1).numpy() for each in (images, labels))  # the front above, right on the left
    picture = draw_segmentation(image, label, label)
    seen, asked = ("input", INPUT, picture[:, :SIDE]), ("asked for", ASKED, picture[:, -SIDE:])
    yield "supervised", ([[seen, asked]], "Which class is each voxel?")


def _made(task: Callable[..., Any], images: Tensor, seed: int) -> tuple[Any, Any, Any]:
    """Return a task with its inputs and targets. The seeds below give puzzles that show what is asked."""
    torch.manual_seed(0)
    built = task(UNetEncoder(2, 1))
    return built, *built.make_task(images, torch.Generator().manual_seed(seed))


def _of_places(images: Tensor) -> Iterator[tuple[str, Puzzle]]:
    _, inputs, targets = _made(pretext.Rotation, images, 1)
    turned = f"By which multiple of 90° was it rotated?\nHere: {90 * int(targets[0])}° clockwise"
    yield "rotation", ([[_image(images), _input(inputs[0])]], turned)

    _, inputs, targets = _made(pretext.Jigsaw, images, 0)
    puzzle = [_image(images), _input(inputs[0])]
    yield "jigsaw", ([puzzle], f"In which of 100 orders are the patches?\nHere: number {int(targets[0])}")
    yield "multilevel", ([puzzle], "As jigsaw, answered from each of the two coarsest feature maps")

    _, inputs, targets = _made(pretext.RelativePatchLocation, images, 5)
    column, row = divmod(int(targets[0]) + int(targets[0] >= 4), 3)
    place = " ".join(filter(None, (("below", "", "above")[row], ("right", "", "left")[column])))
    patches = [_input(inputs[0, 0], "input: centre"), _input(inputs[0, 1], "input: other")]
    yield "rpl", ([[_image(images), *patches]], f"At which of 8 places around the centre is the other?\nHere: {place}")

    task, crops, overlaps = _made(pretext.VoCo, images, 6)
    most, where = overlaps[0, 0].max(0)
    column, row = divmod(int(where), task.grid)
    place = f"column {task.grid - column}, row {task.grid - row}"
    panels = [_image(images), _input(crops[0, task.crops :], "input: grid"), _input(crops[0, 0], "input: crop")]
    yield "voco", ([panels], f"How much does the crop overlap each cell?\nHere: most {place}, {most:.0%}")


def _of_embeddings(images: Tensor) -> Iterator[tuple[str, Puzzle]]:
    _, inputs, _ = _made(pretext.Exemplar, images, 12)
    titles = ("augmented", "original", "another case")
    triplet = [_input(each, title) for each, title in zip(inputs[0], titles, strict=True)]
    yield "exemplar", ([triplet], "Is the augmented image closer to its original than to another case?")

    task, inputs, _ = _made(pretext.CPC, images, 0)
    context, future = (_only(inputs[0], cells.unique()) for cells in (task.context, task.future))
    question = "What are the embeddings of the last patches, given the first ones?"
    yield "cpc", ([[_image(images), _input(context), _asked(future)]], question)

    _, views, _ = _made(pretext.SimCLR, images, 3)
    choice = [views[0, 0], views[1, 0], views[0, 1], views[2, 0]]
    panels = [_input(each, title) for each, title in zip(choice, ("view", "a", "b", "c"), strict=True)]
    yield "simclr", ([panels], "Which is the other view of the first image?\nHere: b")
    pair = [_input(each, f"input: view {number}") for number, each in enumerate(views[0], start=1)]
    question = "Do both views give one embedding, and other cases other ones?"
    yield "vicreg", ([[_image(images), *pair]], question)

    _, views, _ = _made(pretext.DINO, images, 3)
    titles = ("large view", "large view", "small view", "small view")
    panels = [_input(each, title) for each, title in zip(views[0], titles, strict=True)]
    yield "dino", ([panels], "Which prototypes does the teacher assign to the other large view?")


def _of_restored_images(images: Tensor) -> Iterator[tuple[str, Puzzle]]:
    _, inputs, (_, hidden, *_) = _made(pretext.MaskedAutoencoder, images, 0)
    restored = _asked(images[0].masked_fill(~hidden[0], 0))
    yield "mae", ([[_image(images), _input(inputs[0]), restored]], "What is in the hidden blocks?")

    _, inputs, _ = _made(pretext.ModelsGenesis, images, 8)
    rows = [[_input(each) for each in inputs[1:]], [_asked(each) for each in images[1:]]]
    yield "genesis", (rows, "What was the image before it was distorted?")

    _, (masked, views), _ = _made(pretext.Joint, images, 0)
    panels = [_input(masked[0], "input: mae"), *(_input(each, "input: simclr") for each in views[0])]
    yield "joint", ([panels], "Both tasks, on one encoder, in every update")


def _only(patches: Tensor, cells: Tensor) -> Tensor:
    """Make all patches grey but those of some cells."""
    grey = torch.full_like(patches, 0.5)
    grey[cells] = patches[cells]
    return grey


def _image(images: Tensor) -> Panel:
    return _panel(images[0], "image", "black")


def _input(shown: Tensor, title: str = "input") -> Panel:
    return _panel(shown, title, INPUT)


def _asked(shown: Tensor) -> Panel:
    return _panel(shown, "asked for", ASKED)


def _panel(shown: Tensor, title: str, colour: str) -> Panel:
    (picture,) = input_pictures(shown.numpy(), 2, of_volume=True)
    return title, colour, picture


def draw(rows: list[list[Panel]], question: str, path: Path) -> None:
    """Write a picture: rows of panels with their titles, and the question below."""
    width, text = PIXELS / DPI, [each for line in question.splitlines() for each in textwrap.wrap(line, CHARACTERS)]
    height = LINE * (len(rows) + len(text) + 0.5) + len(rows) * width / len(rows[0])
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for axes, (title, colour, picture) in zip(grid.flat, itertools.chain(*rows), strict=True):
        axes.imshow(picture & FEWER_LEVELS, interpolation="nearest")
        axes.set_title(title, color=colour, fontsize=11, fontweight="bold")
        axes.set_axis_off()
    figure.supxlabel("\n".join(text), fontsize=11, color=ASKED)
    with io.BytesIO() as memory:
        figure.savefig(memory)
        Image.open(memory).convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    main()
