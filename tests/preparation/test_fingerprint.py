"""Spacing and crops from the data: by hand for a few volumes, and what holds for any crop."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from commands import exit_status
from hypothesis import given
from hypothesis import strategies as st

from sslmed.core.errors import DataError
from sslmed.preparation.fingerprint import Fingerprint, choose_crop, measure
from sslmed.preparation.readers import layouts
from sslmed.preparation.store import Store


def _write(root: Path, volumes: list[tuple[tuple[int, ...], tuple[float, ...]]], axes: str = "LPS") -> None:
    """Write volumes of a shape and spacing towards R, A, S, as files whose axes run to `axes`."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for number, (shape, spacing) in enumerate(volumes):
        image, label = np.random.default_rng(number).normal(size=shape), np.zeros(shape, np.uint8)
        label[1:5, 2:5, 3:5] = 1
        target = nib.orientations.axcodes2ornt(axes)
        for folder, voxels in (("imagesTr", image.astype(np.float32)), ("labelsTr", label)):
            volume = nib.Nifti1Image(voxels, np.diag([*spacing, 1.0]))
            nib.save(
                volume.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(volume.affine), target)),
                root / folder / f"case_{number}.nii",
            )
    names = [f"case_{number}.nii" for number in range(len(volumes))]
    content = {
        "name": "Toy",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "organ"},
        "training": [{"image": f"imagesTr/{name}", "label": f"labelsTr/{name}"} for name in names],
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(content))


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SPL", "ILA"])
def test_the_median_spacing_and_sides_along_the_patient_s_axes(tmp_path: Path, axes: str) -> None:
    _write(tmp_path, [((20, 30, 10), (1, 2, 3)), ((40, 30, 12), (1, 2, 4)), ((60, 10, 11), (2, 3, 3))], axes)
    found = measure(layouts.read(tmp_path))
    assert found == Fingerprint(3, spacing=(1, 2, 3), shape=(40, 30, 11))


def test_prepare_resamples_to_it(tmp_path: Path, capsys) -> None:
    _write(tmp_path / "data", [((20, 30, 10), (1, 2, 3)), ((40, 30, 12), (1, 2, 4)), ((60, 10, 11), (2, 3, 3))])
    auto = ["prepare", tmp_path / "data", "--store", tmp_path / "store", "--spacing", "auto"]
    assert exit_status(*auto, "--size", 24, "--foreground", 0.1) == 0
    said = capsys.readouterr()
    assert "spacing: 1 x 2 x 3 mm, for 3 volumes" in said.out
    assert "prepared with: dimensions 3, geometry spacing, spacing 1.0 2.0 3.0, normalisation" in said.out
    assert "--size, --foreground: without effect on these images" in said.err
    store = Store(tmp_path / "store")
    assert (store.settings.geometry, store.settings.spacing) == ("spacing", (1, 2, 3))
    shapes = [(20, 30, 10), (40, 30, 16), (120, 15, 11)]
    assert [store.image(case).shape[1:] for case in store.cases] == shapes
    assert [store.label(case).shape for case in store.cases] == shapes


def test_thick_slices_take_a_fine_spacing_that_occurs(tmp_path: Path) -> None:
    slices = [2.0, *[5.0] * 9]
    _write(tmp_path, [((40, 40, 8), (0.5, 1, thickness)) for thickness in slices])
    expected = np.percentile(slices, 10)
    assert measure(layouts.read(tmp_path)).spacing == pytest.approx((0.5, 1, expected), rel=1e-2)


def test_unreadable_headers_are_left_to_the_preparation(tmp_path: Path) -> None:
    _write(tmp_path, [((20, 30, 10), (1, 2, 3))] * 2)
    paths = [tmp_path / "imagesTr" / f"case_{number}.nii" for number in range(2)]
    paths[0].write_bytes(b"no image")
    assert measure(layouts.read(tmp_path)).n_images == 1
    paths[1].write_bytes(b"no image")
    with pytest.raises(DataError, match=r"case_0\.nii"):
        measure(layouts.read(tmp_path))


SIDES = st.tuples(*[st.integers(1, 600)] * 3)
SPACING = st.tuples(*[st.floats(0.2, 10)] * 3)


@given(SIDES, SPACING, st.integers(100, 200**3), st.sampled_from([1, 4, 16, 32]))
def test_crops_divide_into_the_encoder_s_maps_fit_and_are_as_large_as_allowed(
    shape: tuple, spacing: tuple, voxels: int, reduction: int
) -> None:
    found = Fingerprint(1, spacing, shape)
    crop = choose_crop(found, voxels=voxels, reduction=reduction)
    least = {1: 4, 4: 16, 16: 64, 32: 64}[reduction]
    largest = [max(least, -(-side // reduction) * reduction) for side in shape]
    assert all(side % reduction == 0 and least <= side <= most for side, most in zip(crop, largest, strict=True))
    assert np.prod(crop) <= voxels or set(crop) == {least}
    if np.prod(largest) <= voxels:
        assert [*crop] == largest
    larger = choose_crop(found, voxels=2 * voxels, reduction=reduction)
    assert all(more >= side for more, side in zip(larger, crop, strict=True))


def test_crops_are_about_cubes_in_mm() -> None:
    found = Fingerprint(1, (1.0, 1.0, 4.0), (500, 500, 200))
    assert choose_crop(found, voxels=128 * 128 * 32, reduction=4) == (128, 128, 32)
