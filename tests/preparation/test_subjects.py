"""A torchio dataset as a pool: its images, as its transforms leave them, go through the preparation of any other."""

import numpy as np
import pytest
import torch
import torchio
from commands import exit_status, run_arguments

from sslmed.core.errors import UserError
from sslmed.preparation.readers.torchio_image import voxels_of
from sslmed.preparation.recipe import Recipe
from sslmed.preparation.settings import PrepareSettings
from sslmed.preparation.subjects import prepare_subjects

AFFINE = np.diag([-1.0, 1.0, 2.0, 1.0])


def subject(number: int, shape=(14, 12, 10)) -> torchio.Subject:
    generator = torch.Generator().manual_seed(number)
    images = {name: torch.randint(0, 900, (1, *shape), generator=generator) for name in ("t1", "t2")}
    mask = torchio.LabelMap(tensor=torch.ones(1, *shape, dtype=torch.uint8), affine=AFFINE)
    return torchio.Subject({k: torchio.ScalarImage(tensor=v, affine=AFFINE) for k, v in images.items()}, mask=mask)


@pytest.fixture
def subjects() -> torchio.SubjectsDataset:
    return torchio.SubjectsDataset([subject(n) for n in range(5)], transform=torchio.Crop((1, 0, 0, 2, 0, 0)))


def test_subjects_are_prepared_like_any_image_and_only_once(subjects, tmp_path, capfd) -> None:
    settings = PrepareSettings(size=8)
    store = prepare_subjects(subjects, tmp_path / "mine", settings, jobs=1)
    assert (store.name, store.labels, store.labelled, len(store.unlabelled)) == ("mine", "none", (), 5)
    recipe = Recipe.of_store(store)
    for case, each in zip(store.unlabelled, subjects, strict=True):
        image, geometry = recipe.prepare_array(*voxels_of(each))
        assert np.allclose(store.image(case), image, atol=1e-3)  # half precision
        assert store.geometry(case).original_shape == geometry.original_shape == (13, 10, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    capfd.readouterr()
    prepare_subjects(subjects, tmp_path / "mine", settings, jobs=1)
    assert "preparing" not in capfd.readouterr().err


def test_subjects_pretrain_a_network(subjects, tmp_path) -> None:
    store = prepare_subjects(subjects, tmp_path / "mine", PrepareSettings(size=16), jobs=1)
    arguments = run_arguments("rotation", store.root, tmp_path, data="pool")
    assert exit_status("fit", *arguments, "--run_dir", tmp_path / "run") == 0
    assert (tmp_path / "run" / "results.json").is_file()


def test_what_cannot_be_prepared_is_refused_with_its_number(subjects, tmp_path) -> None:
    odd = subject(9)
    odd.add_image(torchio.ScalarImage(tensor=torch.rand(1, 6, 6, 6)), "pet")
    photo = torchio.Subject(photo=torchio.ScalarImage(tensor=torch.rand(3, 40, 36, 1)))
    for each, words in (
        (odd, r"subject 1: the images of the torchio subject differ in shape or affine"),
        (photo, r"subject 1: has shape \(3, 40, 36, 1\), one slice; photographs are prepared from their folder"),
    ):
        with pytest.raises(UserError, match=words):
            prepare_subjects(torchio.SubjectsDataset([subject(0), each]), tmp_path / "mine", PrepareSettings(size=8))
    assert list(tmp_path.iterdir()) == []
