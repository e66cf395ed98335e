"""dataset.json; tests/preparation/test_decathlon.py has more of its entries."""

import json
from collections.abc import Callable
from pathlib import Path

from bad_inputs import PREPARE, STORE, Bad, write

JSON = "Task/dataset.json"


def change(**changes: object) -> Callable[[Path], object]:
    """Change entries of dataset.json."""

    def make(folder: Path) -> None:
        content = json.loads((folder / JSON).read_text())
        (folder / JSON).write_text(json.dumps(content | changes))

    return make


INPUTS = [
    Bad("empty dataset.json", PREPARE, (f"{JSON}: is not valid JSON",), make=write(JSON, "")),
    Bad("half a dataset.json", PREPARE, (f"{JSON}: is not valid JSON",), make=write(JSON, '{"labels": ')),
    Bad("binary dataset.json", PREPARE, (f"{JSON}: is not valid JSON",), make=write(JSON, b"\xff\xfe{}")),
    Bad("deep dataset.json", PREPARE, (f"{JSON}: is not valid JSON",), make=write(JSON, "[" * 100_000)),
    Bad("list in dataset.json", PREPARE, (f"{JSON}: must hold a JSON object",), make=write(JSON, "[]")),
    Bad("no labels in dataset.json", PREPARE, (f'{JSON}: "labels" must name the background',), make=change(labels={})),
    Bad("labels the wrong way round", PREPARE, (f'{JSON}: "labels" must name',), make=change(labels={"background": 0, "organ": 1})),
    Bad("no modality", PREPARE, (f'{JSON}: "modality" must name each channel',), make=change(modality=None)),
    Bad("training that is no list", PREPARE, (f'{JSON}: "training" must be a list',), make=change(training=3, test=[], numTraining=0, numTest=0)),
    Bad("more channels than there are", PREPARE, ("Task/images", "has 1 channels, but the dataset has 2"), make=change(modality={"0": "CT", "1": "PET"}, training=[], test=["imagesTs/case_09.nii.gz"], numTraining=0), leaves=STORE),
]  # fmt: skip
