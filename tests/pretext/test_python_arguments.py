"""Tasks that are built in Python, where no parser checks the numbers: those out of range are refused by name."""

from typing import Any

import pytest

from sslmed.core.errors import InputError
from sslmed.downstream.segmentation import Segmentation
from sslmed.encoders import UNetEncoder
from sslmed.pretext.genesis import ModelsGenesis
from sslmed.pretext.jigsaw import Jigsaw
from sslmed.pretext.mae import MaskedAutoencoder
from sslmed.pretext.relative_patch_location import RelativePatchLocation
from sslmed.pretext.voco import VoCo


@pytest.mark.parametrize(
    ("task", "name", "value"),
    [
        (Jigsaw, "jitter", -1),
        (RelativePatchLocation, "jitter", -1),
        (MaskedAutoencoder, "block", 0),
        (VoCo, "crops", 0),
        (VoCo, "momentum", 1.5),
        (Segmentation, "surface_tolerance", -1.0),
        (Segmentation, "surface_tolerance", float("nan")),
        *(
            (ModelsGenesis, name, 1.5)
            for name in ("nonlinear", "shuffle", "shuffled_fraction", "painting", "inpainting")
        ),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(task: type, name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name.removesuffix("s")):
        task(UNetEncoder(2, 1, widths=(2, 4)), **{name: value})
