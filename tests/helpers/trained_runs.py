"""Trained runs, one of each kind. Nothing but their directories and some images is left: stores are removed."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from commands import exit_status, fit
from generated_tables import write_table

from sslmed.phantoms import KINDS
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings

MAPS = ("segmentation", "slices", "crops", "photo_masks")
FINETUNED = (*MAPS, "classification", "regression")


@dataclass
class Trained:
    """Directories of runs, moved from where they were trained, an image for each, and one that segmentation saw."""

    runs: Path
    images: dict[str, Path]
    learned: Path

    def __getitem__(self, kind: str) -> Path:
        return self.runs / kind

    def case(self, kind: str) -> str:
        """The end of the id of the image."""
        return self.images[kind].name.partition(".")[0]


def train_runs(there: Path, here: Path) -> Trained:
    """Train them below `there`, move what is left to `here`, and remove the rest."""
    KINDS["pancreas"](there / "volumes", cases=7, unlabelled=1, size=(24, 20, 16), jobs=1)
    KINDS["fundus"](there / "photos", cases=10, unlabelled=1, size=(40, 36), jobs=1)
    spaced = PrepareSettings(geometry="spacing", spacing=(20, 20, 10))
    prepare(there / "volumes", there / "cubes", PrepareSettings(size=16), jobs=1)
    prepare(there / "volumes", there / "spaced", spaced, jobs=1)
    prepare(there / "photos", there / "pixels", PrepareSettings(size=24, photo="fundus"), jobs=1)
    for name, dims, column in (("valued", 3, "value"), ("masked", 2, "mask")):
        prepare(write_table(there / f"{name}-table", dims, [column]), there / name, PrepareSettings(size=12), jobs=1)
    runs = here / "runs"
    fit("segmentation", there / "cubes", there / "segmentation", "--labels.dataset", "hippocampus")
    fit("segmentation", there / "cubes", there / "slices", "--data.spatial_dims", "2")
    fit("segmentation", there / "spaced", there / "crops", "--data.crop_size", "[8,8,8]")
    fit("segmentation", there / "masked", there / "photo_masks")
    fit("rotation", there / "cubes", there / "rotation")
    fit("classification", there / "pixels", there / "classification")
    fit("regression", there / "valued", there / "regression")
    for kind in (*FINETUNED, "rotation"):
        if kind != "rotation":
            assert exit_status("predict", "-c", there / kind / "config.yaml") == 0
        shutil.move(there / kind, runs / kind)
    volume, photo = (next((there / name).iterdir()) for name in ("volumes/imagesTs", "photos/test_images"))
    valued, masked = (
        max((there / f"{name}-table" / "images").iterdir()) for name in ("valued", "masked")
    )  # unlabelled
    images = dict.fromkeys(("segmentation", "slices", "crops", "rotation"), volume)
    images |= {"photo_masks": masked, "classification": photo, "regression": valued}
    for path in images.values():
        shutil.copy(path, here)
    case = min(json.loads((runs / "segmentation" / "data.json").read_text())["training"])
    shutil.copy(there / "volumes" / "imagesTr" / f"{case}.nii.gz", here / "learned.nii.gz")
    shutil.rmtree(there)
    return Trained(runs, {kind: here / path.name for kind, path in images.items()}, here / "learned.nii.gz")
