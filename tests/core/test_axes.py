import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslmed.core import axes
from sslmed.core.axes import c_contiguous, copy_into, in_slices, memory_order


@st.composite
def views(draw):
    """An array of 1 to 4 axes in any order, each of them running either way, or a part of one."""
    sides = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    array = np.arange(np.prod(sides)).reshape(sides).transpose(draw(st.permutations(range(len(sides)))))
    steps = st.sampled_from([slice(None), slice(None, None, -1), slice(1, None), slice(None, None, 2)])
    return array[tuple(draw(steps) for _ in sides)]


@given(views(), st.sampled_from([8, axes.IN_CACHE]))
def test_copies_hold_the_same_as_numpy_s(view, in_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(axes, "IN_CACHE", in_cache)
        copied = c_contiguous(view)
    target = np.full(view.shape, -1)
    copy_into(target, view)
    np.testing.assert_array_equal(target, view)
    np.testing.assert_array_equal(copied, view)
    assert copied.flags.c_contiguous
    assert (copied is view) == view.flags.c_contiguous


@given(views())
def test_slices_lie_along_the_slowest_axis(view):
    slices = in_slices(view)
    assert slices.base is not None
    np.testing.assert_array_equal(np.moveaxis(slices, 0, memory_order(view)[0]), view)
    strides = [abs(stride) for stride in view.strides]
    assert abs(slices.strides[0]) == max(strides)
    assert sorted(strides, reverse=True) == [strides[axis] for axis in memory_order(view)]
