"""The folder that bad commands run in: good data, a store, finished runs and YAML files, all tiny."""

import json
import shlex
import shutil
from pathlib import Path

import yaml
from commands import exit_status
from generated_folders import eye, save, scan
from generated_tables import write_table

from bad_inputs import PREPARE, fit

TINY = Path(__file__).parents[2] / "experiments" / "tiny"
FIGURE = {
    **{"figure": "mine", "task": "segmentation", "phantom": "pancreas", "metrics": ["dice_foreground"]},
    **{"encoder": "encoder/unet.yaml", "finetuning": ["data/segmentation.yaml", "downstream/segmentation.yaml"]},
    **{"arms": {"baseline": None, "rotation": "pretext/rotation.yaml"}, "fractions": [1.0]},
}


def write_start(folder: Path) -> None:
    """Write everything; `folder` is the working folder."""
    write_task(folder / "Task")
    write_table(folder / "mine", 2, ["mask", "class", "value"], cases=9)
    write_eyes(folder / "eyes")
    shutil.copytree(TINY, folder / "preset")
    (folder / "figure.yaml").write_text(yaml.safe_dump(FIGURE))
    (folder / "task.yaml").write_text("model: {class_path: Rotation}\n")
    assert exit_status(*shlex.split(PREPARE.replace("new", "store"))) == 0
    assert exit_status(*shlex.split(fit().replace("--run_dir new", "--run_dir run"))) == 0
    pretraining = fit(data="pretraining", model="pretext/rotation")
    assert exit_status(*shlex.split(pretraining.replace("--run_dir new", "--run_dir pretraining"))) == 0


def write_task(root: Path, labelled: int = 9, unlabelled: int = 1) -> None:
    """Write a CT dataset in MSD layout: a body in air, with an organ."""
    entries: dict[str, list] = {"training": [], "test": []}
    for number in range(labelled + unlabelled):
        image, organ = scan(number)
        section, name = ("Tr" if number < labelled else "Ts"), f"case_{number:02}.nii.gz"
        save(root / f"images{section}" / name, image)
        if number < labelled:
            save(root / "labelsTr" / name, organ)
            entries["training"].append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
        else:
            entries["test"].append(f"./imagesTs/{name}")
    names = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "organ"}}
    counts = {"numTraining": labelled, "numTest": unlabelled}
    (root / "dataset.json").write_text(json.dumps({"name": root.name, **names, **counts, **entries}))


def write_eyes(root: Path) -> None:
    """Write photographs in APTOS layout."""
    (root / "train_images").mkdir(parents=True)
    (root / "test_images").mkdir()
    rows = ["id_code,diagnosis"]
    for number in range(10):
        eye(number).save(root / "train_images" / f"eye_{number}.png")
        rows.append(f"eye_{number},{number % 5}")
    (root / "train.csv").write_text("\n".join(rows) + "\n")
