"""Shapes and smooth fields against their definitions."""

import numpy as np

from sslmed.phantoms.shapes import Ellipsoid, Tube, smooth_field


def test_shapes_against_their_definitions():
    points = np.stack(np.meshgrid(*(np.linspace(-10, 10, n) for n in (9, 10, 11)), indexing="ij"))
    level = Ellipsoid((1, 0, -1), (2, 4, np.inf)).level(points)
    np.testing.assert_allclose(level, np.sqrt(((points[0] - 1) / 2) ** 2 + (points[1] / 4) ** 2))

    straight = Tube([(-6, 0, 0), (0, 0, 0), (6, 0, 0)], [3, 3, 3]).level(points)
    to_axis = np.linalg.norm([np.maximum(abs(points[0]) - 6, 0), points[1], points[2]], axis=0) / 3
    near = np.isfinite(straight)
    assert near.sum() == 42  # of the grid, within the box around the tube
    assert (to_axis[~near] > 1).all()
    np.testing.assert_allclose(straight[near], to_axis[near], atol=0.01)


def test_smooth_fields_reproduce_what_is_linear():
    nodes = np.add.outer(np.linspace(0, 1, 5), 2 * np.linspace(0, 1, 4))
    expected = np.add.outer((np.arange(7) + 0.5) / 7, 2 * (np.arange(9) + 0.5) / 9)
    np.testing.assert_allclose(smooth_field(np.stack([nodes, -nodes]), (7, 9)), [expected, -expected], atol=1e-6)
