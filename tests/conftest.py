"""Fixtures for all tests: small datasets in the layouts of the Medical Segmentation Decathlon and of APTOS 2019."""

import gc
import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from commands import Command, exit_status, run_arguments
from hypothesis import settings
from PIL import Image
from trained_runs import Trained, train_runs

settings.register_profile("sslmed", deadline=None, max_examples=50)  # a busy machine is not a failure
settings.load_profile("sslmed")

for number in (signal.SIGINT, signal.SIGHUP):  # a shell's background jobs, and nohup, ignore them; so would every run
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection() -> None:
    """Imports create a million objects, and none of them is garbage (see `sslmed.core.startup`)."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


AFFINE = np.array([[-0.8, 0, 0, 30], [0, 0.8, 0, -20], [0, 0, 2.5, 5], [0, 0, 0, 1]])


@pytest.fixture(scope="session", params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """The processor, and the GPU where there is one."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    return torch.device(request.param)


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)


def draw_case(
    generator: np.random.Generator, shape: Sequence[int], channels: int, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a body of about 40 in air of -1000, with one brighter ball per foreground class, as int16 and uint8."""
    where = np.stack(np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij"))
    image = np.where((where**2).sum(0) < 1, 40, -1000)
    label = np.zeros(shape, np.uint8)
    for index in range(1, classes):
        centre = generator.uniform(-0.4, 0.4, size=(3, 1, 1, 1))
        label[((where - centre) ** 2).sum(0) < 0.15] = index
    image = np.stack([image + 60 * label] * channels, axis=-1)
    return (image + generator.normal(0, 10, image.shape)).astype(np.int16).squeeze(), label


@pytest.fixture
def decathlon_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a dataset and returns its folder; equal arguments give equal voxels."""

    def write(
        name: str = "Task00_Toy",
        *,
        labelled: int = 3,
        unlabelled: int = 1,
        modalities: Sequence[str] = ("CT",),
        labels: Sequence[str] = ("background", "organ"),
        shape: Sequence[int] = (12, 10, 8),
    ) -> Path:
        root = tmp_path / name
        training, test = [], []
        for number in range(labelled + unlabelled):
            image, label = draw_case(np.random.default_rng(number), shape, len(modalities), len(labels))
            case = f"case_{number:02d}.nii.gz"
            if number < labelled:
                write_nifti(root / "imagesTr" / case, image)
                write_nifti(root / "labelsTr" / case, label)
                training.append({"image": f"./imagesTr/{case}", "label": f"./labelsTr/{case}"})
            else:
                write_nifti(root / "imagesTs" / case, image)
                test.append(f"./imagesTs/{case}")
        content = {
            "name": name,
            "modality": {str(index): modality for index, modality in enumerate(modalities)},
            "labels": {str(value): label for value, label in enumerate(labels)},
            "training": training,
            "test": test,
        }
        (root / "dataset.json").write_text(json.dumps(content))
        return root

    return write


@pytest.fixture
def aptos_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes photographs, of round eyes with as many red dots as the grade, and their grades."""

    def write(
        name: str = "photographs", *, grades: Sequence[int] = (0, 1, 2, 3, 4), unlabelled: int = 0, side: int = 40
    ) -> Path:
        root = tmp_path / name
        rows = ["id_code,diagnosis"]
        for folder in ("train_images", "test_images"):
            (root / folder).mkdir(parents=True)
        for number, grade in enumerate([*grades, *[0] * unlabelled]):
            generator = np.random.default_rng(number)
            where = np.stack(np.meshgrid(np.linspace(-1.2, 1.2, side), np.linspace(-1.1, 1.1, side), indexing="ij"))
            eye = np.where((where**2).sum(0)[..., None] < 1, (200, 100, 40), 0) + generator.integers(
                0, 8, (side, side, 3)
            )
            for row, column in generator.integers(side // 3, side // 2, (grade, 2)):
                eye[row : row + 2, column : column + 2] = (120, 10, 10)
            folder = "train_images" if number < len(grades) else "test_images"
            Image.fromarray(eye.astype(np.uint8)).save(root / folder / f"eye_{number:02d}.png")
            if number < len(grades):
                rows.append(f"eye_{number:02d},{grade}")
        (root / "train.csv").write_text("\n".join(rows) + "\n")
        return root

    return write


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 labelled and 4 unlabelled synthetic volumes of 16³, prepared."""
    from sslmed.phantoms import KINDS
    from sslmed.preparation.prepare import prepare
    from sslmed.preparation.settings import PrepareSettings

    folder = tmp_path_factory.mktemp("data")
    KINDS["pancreas"](folder / "phantom", cases=12, unlabelled=4, size=(24, 24, 16), jobs=1)
    return prepare(folder / "phantom", folder / "store", PrepareSettings(size=16), jobs=1).root


@pytest.fixture
def sslmed(store: Path, tmp_path: Path) -> Command:
    """Return a function that does a subcommand of a small run in this process, and returns its exit status."""

    def run(subcommand: str, kind: str, *options: str) -> int:
        return exit_status(subcommand, *run_arguments(kind, store, tmp_path), *options)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run of each kind of labels; their stores and former places are gone."""
    return train_runs(tmp_path_factory.mktemp("there"), tmp_path_factory.mktemp("here"))
