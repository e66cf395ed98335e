"""Every encoder, in 2-D and 3-D, becomes a graph by torch.export and by ONNX, for any number of images."""

from itertools import product

import pytest
import torch
from families import ENCODERS

from sslmed.exporting.onnx_file import TOLERANCE, Graph, difference, write_graph

REPEATS = {(name, 2) for name in ENCODERS} | {(name, 3) for name in ("fine-resnet", "flat-residual", "pyramid")}
LONG = REPEATS ^ {("SwinEncoder", 2), ("SwinEncoder", 3)}  # its 3-D graph takes as long as all the others


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dims"),
    [pytest.param(*each, marks=pytest.mark.long) if each in LONG else each for each in product(ENCODERS, (2, 3))],
)
def test_an_encoder_becomes_a_graph(name: str, dims: int, tmp_path) -> None:
    torch.manual_seed(0)
    graph = Graph(ENCODERS[name](dims, 2)).eval()
    images = torch.rand(3, 2, *(32,) * dims)
    dynamic = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(graph, (images[:2],), dynamic_shapes=dynamic).module()
    with torch.inference_mode():
        expected = graph(images)
        for one, other in zip(program(images), expected, strict=True):
            torch.testing.assert_close(one, other, atol=TOLERANCE, rtol=TOLERANCE)
    write_graph(graph, images[:2], tmp_path / "encoder.onnx", [f"map_{level}" for level in range(len(expected))])
    for batch in (1, 3):
        assert difference(graph, tmp_path / "encoder.onnx", images[:batch]) <= TOLERANCE
