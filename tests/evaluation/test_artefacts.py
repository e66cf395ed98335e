"""Artefacts: fixed for each case, the same in every run, and worse with each strength."""

import numpy as np
import pytest
import torch

from sslmed.core.errors import UserError
from sslmed.evaluation.artefacts import MAKERS, OF_PHOTOGRAPHS, STRENGTHS, applicable, corrupt


def ball(side=20, channels=1) -> torch.Tensor:
    where = np.stack(np.meshgrid(*[np.linspace(-1, 1, side)] * 3, indexing="ij"))
    return torch.tensor(0.2 + 0.6 * ((where**2).sum(0) < 0.4), dtype=torch.float16).expand(channels, -1, -1, -1)


@pytest.mark.parametrize("artefact", MAKERS)
def test_the_case_determines_an_artefact_and_strength_increases_it(artefact) -> None:
    image = ball(channels=2)
    before = torch.random.get_rng_state()
    found = [corrupt(image, artefact, strength, "case_1") for strength in STRENGTHS]
    torch.manual_seed(1)
    again = [corrupt(image, artefact, strength, "case_1") for strength in STRENGTHS]
    assert all(map(torch.equal, found, again))
    changes = [float((each - image).abs().mean()) for each in found]
    assert 0.001 < changes[0] < changes[1] < changes[2]
    assert all(each.shape == image.shape and each.min() >= 0 and each.max() <= 1 for each in found)
    assert not torch.equal(found[0], corrupt(image, artefact, 1, "case_2"))
    torch.random.set_rng_state(before)
    corrupt(image, artefact, 1, "case_1")
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("artefact", OF_PHOTOGRAPHS)
def test_photographs_have_light_and_noise(artefact) -> None:
    photo = ball()[0, :, :, 10].expand(3, -1, -1)
    changes = [float((corrupt(photo, artefact, strength, "a") - photo).abs().mean()) for strength in STRENGTHS]
    assert changes == sorted(changes)
    assert corrupt(photo, artefact, 1, "a").shape == photo.shape


def test_artefacts_of_scanners_are_refused_for_photographs() -> None:
    assert applicable(["noise", "motion", "noise"], 3) == ("motion", "noise")
    with pytest.raises(
        UserError, match=r"^motion, spacing: no artefact of photographs, only of scans; .* bias and noise"
    ):
        applicable(["motion", "noise", "spacing", "motion"], 2)
