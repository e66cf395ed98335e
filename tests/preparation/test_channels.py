"""Channels are the same if their names and their order are, as far as somebody named them."""

import pytest

from sslmed.preparation.channels import agree


@pytest.mark.parametrize(
    ("there", "here", "same"),
    [
        (("T1", "T2"), ("t1", "T2 "), True),
        (("T1", "T2"), ("T2", "T1"), False),
        (("T1", "T2"), ("channel 1", "channel 2"), True),
        (("T1", "T2"), ("T1",), False),
        (("CT",), ("channel",), True),
        (("CT",), ("MR",), False),
        (("T1",), ("T2",), False),
        (("T1",), ("MR",), True),
        (("MRI",), ("MR",), True),
        (("channel",), ("channels",), True),
    ],
)
def test_channels_agree_if_the_names_that_are_known_do(there, here, same):
    assert agree(there, here) is agree(here, there) is same
