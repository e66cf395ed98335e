"""Dots are rendered as what they stand for."""

import numpy as np
import pytest

from sslmed.phantoms.dots import FINEST, RATIO, View, dot, line


@pytest.mark.parametrize("mirrored", [False, True])
def test_dots_are_rendered_as_gaussians(mirrored):
    view = View((60, 40), (25.0, 18.0), 20.0, mirrored)
    x, y = view.coordinates()
    assert x[18, 25] == y[18, 25] == 0
    assert x[18, 45] == (-1 if mirrored else 1)
    assert y[38, 25] == 1
    dots = dot([0.3, -0.2], [-0.1, 0.25], FINEST / 20 * RATIO ** np.array([5, 4]), [1, 0.5])
    expected = sum(h * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * s**2)) for cx, cy, s, h in dots)
    assert abs(view.render(dots) - expected).max() < 0.03
    assert view.render(dots).sum() == pytest.approx(expected.sum(), rel=0.02)
    assert not view.render(dots[:0]).any()
    ridge = view.render(line(np.stack([np.arange(-0.8, 0.8, 0.01), np.zeros(160)], axis=1), 0.1, 0.7, step=0.01))
    assert ridge[18, 20:30] == pytest.approx(0.7, rel=0.2)
