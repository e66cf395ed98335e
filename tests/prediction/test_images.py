"""Images to predict must have the channels of the network, as far as somebody named them."""

from pathlib import Path

import numpy as np
import pytest
from volume_files import write_series, write_volume

from sslmed.core.errors import UserError
from sslmed.prediction.images import find_images
from sslmed.preparation.recipe import Recipe
from sslmed.preparation.settings import PrepareSettings


def recipe(*modalities: str) -> Recipe:
    return Recipe("mine", 3, modalities, PrepareSettings(size=8), "map", {0: "background", 1: "organ"})


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for name in ("t1", "t2"):
        write_volume(tmp_path / f"{name}.nii", np.arange(60, dtype=np.int16).reshape(5, 4, 3))
    return tmp_path


@pytest.mark.parametrize("modality", ["T2;T1", "T1;CT"])
def test_a_table_with_channels_in_another_order_or_of_other_names_is_refused(scans: Path, modality: str) -> None:
    (scans / "new.csv").write_text(f"image,modality\nt2.nii;t1.nii,{modality}\n")
    names = modality.replace(";", ", ")
    with pytest.raises(UserError, match=rf"new.csv: its channels are {names}, but those of the network T1, T2; list"):
        find_images([scans / "new.csv"], recipe("T1", "T2"))


@pytest.mark.parametrize("column", [("modality", "t1;t2"), ("who", "somebody")])
def test_channels_of_the_same_names_or_without_are_taken(scans: Path, column: tuple[str, str], caplog) -> None:
    caplog.set_level("INFO")
    name, cell = column
    (scans / "new.csv").write_text(f"image,{name}\nt1.nii;t2.nii,{cell}\n")
    (image,), problems = find_images([scans / "new.csv"], recipe("T1", "T2"))
    assert (image.channels, problems) == ((scans / "t2.nii",), [])
    assert ("must be in the order of training: T1, T2" in caplog.text) is (name != "modality")


def test_a_folder_names_nothing(tmp_path: Path) -> None:
    """A network for CTs whose values are no Hounsfield units has a name of its own for them."""
    write_series(tmp_path / "ct", np.arange(60, dtype=np.int16).reshape(5, 4, 3))
    assert len(find_images([tmp_path], recipe("CT rescaled"))[0]) == 1
