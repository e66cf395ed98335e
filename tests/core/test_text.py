from sslmed.core.text import duration


def test_durations_are_in_the_unit_that_says_most():
    seconds = (14.3, 754, 12000, 47.9 * 3600, 6.94 * 86400)
    assert [*map(duration, seconds)] == ["14 s", "13 min", "3 h 20 min", "47 h 54 min", "6.9 days"]
