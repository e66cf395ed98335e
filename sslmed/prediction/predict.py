"""`sslmed predict`: applies trained networks to new images, and resumes after an interruption."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from sslmed.core.errors import DataError, UserError
from sslmed.core.files import check_writable
from sslmed.core.progress import progress
from sslmed.core.tables import write_table
from sslmed.core.text import shorten
from sslmed.prediction.ensemble import Ensemble, load_ensemble
from sslmed.prediction.images import Image, find_images, refuse_out_within
from sslmed.prediction.record import Record
from sslmed.prediction.writing import write_answer

log = logging.getLogger(__name__)

TABLE = "predictions.csv"
SEEN = "in_training_data"
"""Column of the table: yes, no, or unknown, as for exports."""


def predict(
    models: Sequence[Path],
    given: Sequence[Path],
    out: Path,
    device: str = "auto",
    *,
    flips: bool = False,
    probabilities: bool = False,
) -> list[str]:
    """Predict images that have not been predicted yet, and write the table of all.

    Args:
        models: Runs, exports, or the runs of an experiment; the mean of all is taken.
        given: Files, folders and tables of images.
        out: Folder of the predictions.
        device: As torch names it, or `auto` for a GPU if there is one.
        flips: Take the mean over flipped images, too.
        probabilities: Write the probabilities of the classes, too.

    Returns:
        What is wrong with images that could not be predicted, one line each.

    Raises:
        UserError: If an option cannot be used, or no image can.
    """
    check_writable(out, "--out")
    ensemble = load_ensemble(models, _device(device), flips=flips)
    if probabilities and ensemble.recipe.labels == "value":
        raise UserError("--probabilities: a network for values has none; leave it out")
    images, problems = find_images(given, ensemble.recipe)
    refuse_out_within(out, given, images)
    with Record(out, {"by": ensemble.fingerprint(), "probabilities": probabilities}) as record:
        record.refuse_others(images)
        absent = [image for image in images if not record.has(image)]
        n_done = len(images) - len(absent)
        if n_done:
            log.info("%s: %d of %d images are predicted already", out, n_done, len(images))
        with progress("predicting", len(absent), unit="images") as advance:
            for image in absent:
                try:
                    _predict(image, ensemble, record, out, probabilities=probabilities)
                    n_done += 1
                except UserError as error:
                    record.forget(image)
                    problems += error.problems if isinstance(error, DataError) else [f"{image.path}: {error}"]
                advance()
        table = pd.DataFrame(record.rows())
        if table.empty:
            (out / TABLE).unlink(missing_ok=True)
        else:
            write_table(out / TABLE, table)
    if not n_done:
        raise DataError(problems)
    _say_seen(table)
    return problems


def _predict(image: Image, ensemble: Ensemble, record: Record, out: Path, *, probabilities: bool) -> None:
    """Predict one image. Nothing of it is left in memory, as large ones need most of it."""
    (prepared, geometry), digest = ensemble.recipe.read_file(image.path, *image.channels)
    outputs = ensemble.outputs(prepared)
    record.begin()
    row, files = write_answer(out, image, ensemble.first, outputs, geometry, probabilities=probabilities)
    seen = "unknown" if ensemble.seen is None else "yes" if digest in ensemble.seen else "no"
    record.add(image, {"file": str(image.path), **row, SEEN: seen}, files)


def _say_seen(table: pd.DataFrame) -> None:
    seen = [*table["case"][table[SEEN] == "yes"]]
    if seen:
        log.info(
            "%d of %d images are in the training data of a network (%s): scores on them are optimistic",
            len(seen),
            len(table),
            shorten(seen),
        )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"--device {name}: cannot be used ({str(error).partition('. ')[0].splitlines()[0]}); give cpu, cuda or auto"
        ) from error
    return device
