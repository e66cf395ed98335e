"""Runs that were made on different data are not compared."""

import json

import pytest
from synthetic_runs import write_runs

from sslmed.core.errors import DataError
from sslmed.reporting.tables import collect, write_tables

PRIMARY = "dice_foreground"
SEEN = {"preparation": {"size": 24}, "labels": {"0": "background", "1": "organ"}, "training": {"a": "1 2", "b": "3 4"}}


def write_seen(paths, **changed):
    """Give every run its data, the last one with changes."""
    for path in paths:
        seen = SEEN | (changed if path == paths[-1] else {})
        (path / "data.json").write_text(json.dumps(seen))


def test_tables_of_equal_data_have_the_same_bytes_as_without_a_record(tmp_path):
    paths = write_runs(tmp_path / "runs", ("baseline", "rotation"), fractions=(0.25, 1.0))
    write_tables(collect(paths, PRIMARY), tmp_path / "without")
    # Runs see different parts of the data.
    write_seen(paths, training={"b": "3 4"}, test={"a": "1 2"})
    write_tables(collect(paths, PRIMARY), tmp_path / "with")
    for path in (tmp_path / "without").iterdir():
        assert path.read_bytes() == (tmp_path / "with" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"training": {"a": "1 2", "b": "3 0"}}, "case b"),
        ({"test": {"a": "0 2"}, "training": {}}, "case a"),
        ({"preparation": {"size": 128}}, "the preparation"),
        ({"labels": {"0": "background", "1": "lesion"}}, "the names of labels"),
    ],
)
def test_runs_on_other_data_are_refused_in_one_line_that_names_them(tmp_path, changed, words):
    paths = write_runs(tmp_path / "runs", ("baseline", "rotation"), fractions=(1.0,))
    write_seen(paths, **changed)
    with pytest.raises(DataError, match=f"made on different data \\({words} differs\\)") as caught:
        collect(paths, PRIMARY)
    assert len(str(caught.value).splitlines()) == 1
    assert str(paths[-1]) in str(caught.value)
