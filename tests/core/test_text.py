import pytest

from sslmed.core.text import duration, image_counts, path_of, shorten
from sslmed.preparation.readers.names import escape


@pytest.mark.parametrize("path", ["patient 07/visit1/t1", "50%/a%2Fb", "plain"])
def test_cases_are_shown_by_their_paths(path):
    assert path_of(escape(path)) == path
    assert shorten([escape(path)]) == path


def test_durations_are_in_the_unit_that_says_most():
    seconds = (14.3, 754, 12000, 47.9 * 3600, 6.94 * 86400)
    assert [*map(duration, seconds)] == ["14 s", "13 min", "3 h 20 min", "47 h 54 min", "6.9 days"]


def test_images_that_are_left_out_are_counted_by_reason_and_none_are_not_named():
    assert (
        image_counts({"used": 5, "for validation": 1, "copies": 2})
        == "5 of 8 images (others: 1 for validation, 2 copies)"
    )
    assert image_counts({"used": 8, "for validation": 0}) == "8 of 8 images"
