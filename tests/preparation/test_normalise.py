import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sslmed.preparation.normalise import LEAST_CONTRAST, extremes, foreground_box, is_nearly_constant, normalise
from sslmed.preparation.settings import PrepareSettings


@st.composite
def images(draw):
    """`(C, I, J, K)` of one or two channels whose axes lie in memory in any order, each running either way."""
    sides = (draw(st.integers(1, 2)), *draw(st.permutations((2, 3, 5))))
    values = np.random.default_rng(draw(st.integers(0, 99))).normal(size=sides).astype(np.float32)
    order = draw(st.permutations(range(4)))
    image = np.ascontiguousarray(values.transpose(order)).transpose(np.argsort(order))
    return image[tuple(slice(None, None, draw(st.sampled_from([1, -1]))) for _ in sides)]


@given(images(), st.sampled_from([0.0, 1.0, 1.5, 2.0, 9.0]))
def test_the_box_holds_what_is_above_the_threshold_in_any_channel(image, threshold):
    found = foreground_box(image, threshold)
    voxels = np.argwhere((image > threshold).any(axis=0))
    expected = (tuple(voxels.min(0)), tuple(voxels.max(0) + 1)) if len(voxels) else None
    assert found == expected


@given(images())
def test_extremes_and_nan(image):
    channel = image[0]
    assert extremes(channel) == (channel.min(), channel.max())
    channel[-1, 0, 1] = np.nan
    assert np.isnan(extremes(channel)).all()


@given(images())
def test_windows_and_percentiles_are_mapped_to_0_and_1_in_place(image):
    modalities = ["CT", "T1w"][: len(image)]
    settings = PrepareSettings(hu_window=(-1, 1.5), percentiles=(10, 80))
    ends = [(-1, 1.5), *(np.percentile(channel, (10, 80)) for channel in image[1:])]
    expected = [np.clip((channel - low) / (high - low), 0, 1) for channel, (low, high) in zip(image, ends, strict=True)]
    normalise(image, modalities, settings)
    np.testing.assert_allclose(image, expected, atol=1e-6)


@given(images(), st.sampled_from([0.0, 0.003, 0.0049, 0.0051, 0.3]), st.sampled_from([0, 0.4, 1]))
def test_contrast_is_the_standard_deviation(image, deviation, mean):
    channel = image[0]
    channel -= channel.mean()
    channel *= deviation / channel.std()
    channel += mean
    assert is_nearly_constant(channel) == (deviation < LEAST_CONTRAST)
