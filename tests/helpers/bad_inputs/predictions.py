"""New images, and networks to predict them."""

import shutil

from bad_inputs import Bad, write
from bad_inputs.run_directories import without

NEW = "--images Task/imagesTs --out new"
SCAN = "Task/imagesTs/case_09.nii.gz"
RUN = "predict --model run --out new --images"


def cut(folder) -> None:
    """Cut a scan off."""
    (folder / "cut.nii.gz").write_bytes((folder / SCAN).read_bytes()[:300])


def other_size(folder) -> None:
    """Copy the run, as if its images had another size."""
    shutil.copytree(folder / "run", folder / "other")
    recipe = folder / "other" / "preparation.json"
    recipe.write_text(recipe.read_text().replace('"size": 12', '"size": 14'))


def arm(folder) -> None:
    """Put runs where an experiment has them."""
    shutil.copytree(folder / "run", folder / "arm/fold0/seed0/100")
    shutil.copytree(folder / "pretraining", folder / "arm/fold0/pretrain")


def empty(folder) -> None:
    """Make an empty folder."""
    (folder / "empty").mkdir()


INPUTS = [
    Bad("no images to predict", "predict --model run --out new", ("required, and not given: --images",)),
    Bad("no network to predict with", f"predict {NEW}", ("required, and not given: --model",)),
    Bad("no folder for predictions", f"predict --model run --images {SCAN}", ("required, and not given: --out",)),
    Bad("mistyped network", f"predict --model rn {NEW}", ("rn: no such folder", "did you mean run?")),
    Bad("network that was only pretrained", f"predict --model pretraining {NEW}", ("pretraining: predicts nothing",)),
    Bad("unfinished network", f"predict --model run {NEW}", ("run: is not a finished run",), make=without("run/results.json")),
    Bad("network without its checkpoint", f"predict --model run {NEW}", ("last.ckpt: no such checkpoint",), make=without("run/checkpoints/last.ckpt")),
    Bad("arm with its networks", f"predict --model arm {NEW}", ("arm: is not a finished run", "results.json: arm/fold0/seed0/100, arm/fold0/pretrain"), make=arm),
    Bad("broken preparation of a network", f"predict --model run {NEW}", ("preparation.json: cannot be used",), make=write("run/preparation.json", "{")),
    Bad("broken export", f"predict --model export {NEW}", ("export/config.json: is not the description",), make=write("export/config.json", "{")),
    Bad("networks that differ", f"predict --model run other {NEW}", ("other: does not go together with run: size (12 there, 14 here)",), make=other_size),
    Bad("network twice", f"predict --model run ./run/ {NEW}", ("--model run: is the same network as run, and would count double",)),
    Bad("copy of a network", f"predict --model run copied {NEW}", ("--model copied: is the same network as run",), make=lambda folder: shutil.copytree(folder / "run", folder / "copied")),
    Bad("mistyped image", f"{RUN} Task/imagesTs/case_9.nii.gz", ("case_9.nii.gz: no such file", "did you mean Task/imagesTs/case_09.nii.gz?")),
    Bad("image that is none", f"{RUN} task.yaml", ("--images task.yaml: expected a folder, a table (.csv) or an image",)),
    Bad("folder without images", f"{RUN} empty", ("empty: holds no image",), make=empty),
    Bad("photographs for volumes", f"{RUN} eyes", ("--images eyes: the network takes volumes, but this is of photographs",)),
    Bad("table without images", f"{RUN} empty.csv", ("empty.csv: has no column image",), make=write("empty.csv", "scan\n")),
    Bad("image that is cut off", f"{RUN} cut.nii.gz", ("cut.nii.gz: is truncated",), make=cut),
    Bad("predictions among images", "predict --model run --images Task/imagesTs --out Task/imagesTs/new", ("is in a folder of the images",)),
    Bad("predictions into a file", f"predict --model run --images {SCAN} --out task.yaml", ("--out task.yaml: ", "task.yaml is a file",)),
    Bad("unknown device", f"predict --model run {NEW} --device gpu", ("--device gpu: cannot be used",)),
    Bad("absent device", f"predict --model run {NEW} --device cuda:7", ("--device cuda:7: cannot be used",)),
]  # fmt: skip
