"""Images to pretrain on that are labelled ones of the dataset, under any name: they are test cases of some fold."""

import os
from pathlib import Path

import pytest
from grids import grid_of
from PIL import Image

from sslmed.core.errors import UserError
from sslmed.experiments.inputs import find_inputs
from sslmed.experiments.sources import Pool, Source

pytestmark = pytest.mark.usefixtures("in_one_process")


def _prepare(
    tmp_path: Path, data: Path, *, pool: Path | None = None, source: Path | None = None, dry_run: bool = False
) -> None:
    sources = [None if each is None else Source(str(each), tmp_path, "class") for each in (data, source)]
    of_pool = None if pool is None else Pool((str(pool),), tmp_path)
    inputs, grid = find_inputs(sources[0], of_pool, sources[1], dry_run=dry_run), grid_of("baseline", figure="fig4")
    places, settings = inputs.places(grid, tmp_path / "work", tmp_path / "stores"), grid.prepare_settings(2)
    if dry_run:
        inputs.preview(places, settings)
    else:
        inputs.prepare(places, settings, "class")


def test_labelled_images_of_the_dataset_are_refused_in_a_pool(aptos_dataset, tmp_path: Path) -> None:
    data, pool = aptos_dataset(), tmp_path / "pool"
    pool.mkdir()
    for number in range(3):
        Image.new("RGB", (40, 40), (60 * number + 60, 100, 0)).save(pool / f"{number}.png")
    _prepare(tmp_path, data, pool=pool)
    Image.open(data / "train_images" / "eye_03.png").save(pool / "harmless.png", compress_level=1)
    _prepare(tmp_path, data, pool=pool, dry_run=True)  # which reads no image
    for dry_run in (False, True):  # and knows what was read
        with pytest.raises(UserError, match=r"--pool: holds labelled images .*\(harmless is eye_03\)"):
            _prepare(tmp_path, data, pool=pool, dry_run=dry_run)


def test_images_of_equal_name_size_and_time_are_not_taken_for_one(aptos_dataset, tmp_path: Path) -> None:
    data, pool = aptos_dataset(), tmp_path / "pool"
    pool.mkdir()
    for number in range(2):
        image = data / "train_images" / f"eye_0{number}.png"
        other = pool / image.name
        other.write_bytes(image.read_bytes()[::-1])
        for path in (image, other):
            os.utime(path, (0, 0))
    _prepare(tmp_path, data, pool=pool, dry_run=True)


def test_labelled_images_of_the_dataset_are_refused_in_a_source(aptos_dataset, tmp_path: Path) -> None:
    data, source = aptos_dataset(), aptos_dataset("source", side=44)
    _prepare(tmp_path, data, source=source)
    (source / "train_images" / "eye_00.png").write_bytes((data / "train_images" / "eye_04.png").read_bytes())
    with pytest.raises(UserError, match=r"--source: holds labelled images .*\(eye_00 is eye_04\)"):
        _prepare(tmp_path, data, source=source)
