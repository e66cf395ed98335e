"""A CT must be in Hounsfield units: whatever else it is stored in would be nearly constant, or mean something else."""

import nibabel as nib
import numpy as np
import pytest

from sslmed.core.errors import DataError
from sslmed.preparation.prepare import prepare
from sslmed.preparation.settings import PrepareSettings

CUBE = PrepareSettings(size=8)


@pytest.fixture
def data(decathlon_dataset):
    return decathlon_dataset(labelled=2, unlabelled=0, shape=(16, 14, 12))


def change(data, convert):
    """Replace the first image; Hounsfield units in, whatever is to be stored out."""
    path = data / "imagesTr/case_00.nii.gz"
    image = nib.load(path)
    nib.save(nib.Nifti1Image(convert(image.get_fdata()).astype(np.float32), image.affine), path)
    return path


OTHER_UNITS = {
    "0 to 1": lambda hu: np.clip((hu + 160) / 400, 0, 1),
    "0 to 255": lambda hu: np.clip((hu + 160) / 400, 0, 1) * 255,
    "HU + 1024": lambda hu: hu + 1024,
    "HU + 1024 in a circle of -2000": lambda hu: np.where(np.indices(hu.shape).sum(0) < 3, -2000, hu + 1024),
    "HU / 1000": lambda hu: hu / 1000,
    "standardised": lambda hu: (hu - hu.mean()) / hu.std(),
    "attenuation": lambda hu: 0.02 * (1 + hu / 1000),
}


@pytest.mark.parametrize("geometry", ["cube", "spacing"])
@pytest.mark.parametrize("name", OTHER_UNITS)
def test_a_ct_in_other_units_is_refused_by_file(data, tmp_path, name, geometry):
    path = change(data, OTHER_UNITS[name])
    with pytest.raises(DataError) as caught:
        prepare(data, tmp_path / "store", PrepareSettings(size=8, geometry=geometry), jobs=1)
    (line,) = caught.value.problems
    assert line.startswith(f"{path}: is not in Hounsfield units")
    assert "name its modality otherwise" in line


def test_what_the_message_says_is_a_cure(data, tmp_path):
    change(data, OTHER_UNITS["0 to 255"])
    text = (data / "dataset.json").read_text()
    (data / "dataset.json").write_text(text.replace('"CT"', '"CT rescaled"'))
    store = prepare(data, tmp_path / "store", CUBE, jobs=1)
    assert store.image("case_00").std() > 0.1


def body(hu):
    """A crop within the body: no air, but fat."""
    return np.where(hu < -500, -100, hu)


@pytest.mark.parametrize(
    "convert", [body, lambda hu: np.maximum(hu, -1024), lambda hu: np.where(hu < -500, -3024, body(hu - 120))]
)
def test_cts_that_are_cropped_clipped_or_padded_are_read(data, tmp_path, convert):
    change(data, convert)
    assert prepare(data, tmp_path / "store", CUBE, jobs=1).image("case_00").std() > 0.05


@pytest.mark.parametrize("window", [(2000, 3000), (-100000, 100000)])
def test_a_window_that_leaves_no_contrast_is_refused(data, tmp_path, window):
    with pytest.raises(DataError, match="is nearly constant within the window") as caught:
        prepare(data, tmp_path / "store", PrepareSettings(size=8, hu_window=window), jobs=1)
    assert len(caught.value.problems) == 2


def test_a_grid_of_one_voxel_is_refused(data, tmp_path):
    settings = PrepareSettings(geometry="spacing", spacing=(300, 300, 300))
    with pytest.raises(DataError, match="would be 0 x 0 x 0 voxels at 300, 300, 300 mm"):
        prepare(data, tmp_path / "store", settings, jobs=1)
