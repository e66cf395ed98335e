"""A trained network, loaded from its run or an export, answers as the run did; stores and old paths are gone."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK
import torch
import torchio
from commands import exit_status
from PIL import Image
from trained_runs import MAPS

from sslmed import load
from sslmed.core.errors import UserError
from sslmed.downstream import Segmentation
from sslmed.downstream.base import Pretrained
from sslmed.encoders import UNetEncoder, load_encoder


def test_import_of_the_package_is_light() -> None:
    code = "import sys, sslmed; print(sslmed.__version__, 'torch' in sys.modules, 'numpy' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split()[1:] == ["False", "False"]


def test_a_run_and_its_export_answer_as_the_run_did(trained, tmp_path, kind) -> None:
    assert exit_status("export", trained[kind], tmp_path / "export") == 0
    for path in (trained[kind], tmp_path / "export"):
        answer = load(path).predict(trained.images[kind])
        if kind in MAPS:
            written = _read(next((trained[kind] / "predictions").glob(f"*{trained.case(kind)}.*")))
            np.testing.assert_array_equal(np.asarray(answer), written)
            continue
        rows = pd.read_csv(trained[kind] / "predictions.csv")
        (row,) = (row for _, row in rows.iterrows() if row["case"].endswith(trained.case(kind)))
        if kind == "regression":
            assert answer == pytest.approx(row["prediction"], rel=1e-5)
        else:
            assert answer.index == row["prediction"]
            probabilities = row.filter(like="probability").tolist()
            assert list(answer.probabilities.values()) == pytest.approx(probabilities, abs=1e-5)


def _read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path) if path.suffix == ".png" else nib.load(path).dataobj)


def test_a_mask_lies_on_its_scan(trained, tmp_path) -> None:
    image, mask = trained.images["segmentation"], tmp_path / "mask.nii.gz"
    load(trained["segmentation"]).predict(image).save(mask)
    scan, saved = SimpleITK.ReadImage(image), SimpleITK.ReadImage(mask)
    assert saved.GetSize() == scan.GetSize()
    for place in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert getattr(saved, place)() == pytest.approx(getattr(scan, place)(), abs=1e-5)


@pytest.mark.parametrize("selected", ["last", "best"])
def test_the_network_is_that_of_the_checkpoint_that_was_scored(trained, tmp_path, selected) -> None:
    run = shutil.copytree(trained["segmentation"], tmp_path / "run")
    settings = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(settings.replace("\nselect: last\n", f"\nselect: {selected}\n"))
    (run / "checkpoints" / ("best.ckpt" if selected == "last" else "last.ckpt")).write_bytes(b"another")
    by_hand = Segmentation(UNetEncoder(3, 1, widths=(4, 8), dropout=0.1), label_values=(0, 1, 2)).eval()
    checkpoint = torch.load(run / "checkpoints" / f"{selected}.ckpt", weights_only=True)
    by_hand.load_state_dict(checkpoint["state_dict"])
    images = torch.rand(2, 1, 16, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(load(run)(images), by_hand(images), atol=1e-5, rtol=0)


def test_a_network_of_crops_sees_windows_of_their_size(trained) -> None:
    assert load(trained["crops"]).network.window == (8, 8, 8)
    assert load(trained["segmentation"]).network.window is None


def test_the_same_image_in_any_form_gets_the_same_answer(trained, kind, tmp_path) -> None:
    model, path = load(trained[kind]), trained.images[kind]
    forms = [(path,), (str(path),)]
    if path.suffix == ".png":
        forms.append((_read(path),))
    else:
        file, image = nib.load(path), torchio.ScalarImage(path)
        forms += [(file.get_fdata(), file.affine), (image,), (torchio.Subject(ct=image, label=_label(image)),)]
    first, *others = (model.predict(*form) for form in forms)
    assert "geometry" not in repr(first)  # a page of numbers
    for other in others:
        if kind in MAPS:
            np.testing.assert_array_equal(np.asarray(other), np.asarray(first))
            assert np.asarray(other).shape == _read(path).shape[:3]
        elif kind == "regression":
            assert other == pytest.approx(first, abs=1e-4)
        else:
            assert other == first
            assert sum(first.probabilities.values()) == pytest.approx(1, abs=1e-5)
            assert list(first.probabilities) == list(model.description.recipe.label_names.values())


def _label(image: torchio.ScalarImage) -> torchio.LabelMap:
    return torchio.LabelMap(tensor=torch.zeros(1, *image.spatial_shape, dtype=torch.uint8), affine=image.affine)


def test_the_encoder_of_a_pretraining_run_is_loaded_everywhere(trained, tmp_path, capsys) -> None:
    assert exit_status("export", trained["rotation"], tmp_path / "export", "--part", "encoder") == 0
    encoder = UNetEncoder(3, 1, widths=(4, 8), dropout=0.1).eval()
    n_tensors = len(encoder.state_dict())
    maps = load(trained["rotation"]).encode(trained.images["segmentation"])
    for path in (trained["rotation"], tmp_path / "export", tmp_path / "export" / "model.safetensors"):
        torch.nn.init.normal_(encoder.blocks[0][0].conv.weight)
        load_encoder(encoder, path)
        assert f"{path}: {n_tensors} loaded, 0 missing, 0 mismatched, 0 unknown" in capsys.readouterr().out
        prepared, _ = load(tmp_path / "export").prepare(trained.images["segmentation"])
        with torch.inference_mode():
            for one, other in zip(encoder(torch.tensor(prepared)[None].float()), maps, strict=True):
                torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    with pytest.raises(UserError, match="predicts nothing: use `encode`"):
        load(tmp_path / "export").predict(trained.images["segmentation"])


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("model.onnx", "is an export for ONNX runtimes, which sslmed does not load; export the run again with"),
        ("checkpoint_final.pth", "is an export for nnU-Net, which sslmed does not load; export the run again with"),
    ],
)
def test_an_export_for_others_is_called_so(trained, tmp_path, file, words, capsys) -> None:
    """The formats' own tests see to it that they write these files."""
    assert exit_status("export", trained["segmentation"], tmp_path / "out") == 0
    (tmp_path / "out" / "model.safetensors").rename(tmp_path / "out" / file)
    with pytest.raises(UserError, match=re.escape(words)):
        load(tmp_path / "out")
    with pytest.raises(UserError, match=re.escape(words)):
        Segmentation(UNetEncoder(3, 1), pretrained=Pretrained(tmp_path / "out"))
    with pytest.raises(UserError, match=re.escape(f"is a file of {tmp_path / 'out'}; give this folder")):
        load(tmp_path / "out" / file)


def test_a_file_of_a_run_or_an_export_leads_to_its_folder(trained, tmp_path) -> None:
    assert exit_status("export", trained["segmentation"], tmp_path / "out", "--format", "monai-bundle") == 0
    for folder, file in ((tmp_path / "out", "models/model.pt"), (trained["segmentation"], "checkpoints/last.ckpt")):
        with pytest.raises(UserError, match=re.escape(f"{folder / file}: is a file of {folder}; give this folder")):
            load(folder / file)


def test_what_cannot_be_loaded_or_predicted_is_one_line(trained, tmp_path) -> None:
    model, photos = load(trained["segmentation"]), load(trained["classification"])
    spaced, mask = load(trained["crops"]), model.predict(trained.images["segmentation"])
    damaged, incomplete = tmp_path / "damaged", tmp_path / "incomplete"
    shutil.copytree(trained["segmentation"], damaged)
    (damaged / "config.yaml").write_text("model: [")
    shutil.copytree(trained["segmentation"], incomplete, ignore=shutil.ignore_patterns("*.ckpt"))
    (tmp_path / "config").mkdir()
    (tmp_path / "absence.nii.gz").touch()
    (tmp_path / "config" / "config.json").write_text("{}")
    wrong = {
        "is not a finished run": lambda: load(tmp_path),
        "damage: no such folder; check the path; did you mean": lambda: load(tmp_path / "damage"),
        "config.yaml or results.json is damaged": lambda: load(damaged),
        "no such checkpoint; copy the whole directory": lambda: load(incomplete),
        "is not the description of an export": lambda: load(tmp_path / "config"),
        "absent.nii.gz: no such file or folder; did you mean": lambda: model.predict(tmp_path / "absent.nii.gz"),
        "absent: no such file or folder": lambda: photos.predict(str(tmp_path / "absent")),
        "expected (I, J, K) or (1, I, J, K)": lambda: model.predict(np.zeros((2, 3, 3, 3))),
        "expected numbers, got Nifti1Image": lambda: model.predict(nib.load(trained.images["segmentation"])),
        "has an affine of shape (3, 3), expected (4, 4)": lambda: model.predict(np.ones((9, 9, 9)), np.eye(3)),
        "holds NaN or infinite voxels, or a channel is constant": lambda: model.predict(np.zeros((3, 3, 3))),
        "give its affine": lambda: spaced.predict(np.random.default_rng(0).random((9, 9, 9))),
        "expected uint8 (rows, columns)": lambda: photos.predict(np.zeros((9, 9))),
        "is written as .nii or .nii.gz": lambda: mask.save(tmp_path / "mask.png"),
    }
    for words, call in wrong.items():
        with pytest.raises(UserError) as error:
            call()
        assert words in str(error.value)
        assert "\n" not in str(error.value)


def test_a_class_of_the_users_own_that_is_not_there_is_named(trained, tmp_path) -> None:
    moved = tmp_path / "run"
    shutil.copytree(trained["segmentation"], moved)
    config = moved / "config.yaml"
    config.write_text(config.read_text().replace("sslmed.encoders.UNetEncoder", "my_encoders.Mine"))
    with pytest.raises(UserError, match=r"^my_encoders\.Mine: cannot be imported"):
        load(moved)
