"""Labels that may stand for missing ones, and channels without names, are said: in the function and by the commands."""

import generated_folders
import numpy as np
import pytest
from commands import exit_status
from generated_tables import write_table

from sslmed.preparation.missing_labels import missing_labels


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (["a", "b", "Unknown", "b", "Unknown"], "Unknown (2 cases)"),
        (["0", "1", "-999", "none"], "-999 (1 case), none (1 case)"),
        (["a", "not known", "nonesuch"], None),
        ([1.5, -999.0, 2.5, -999.0], "-999 (2 cases)"),
        ([9999.0, 1.5, 2.5, -99.0], "9999 (1 case), -99 (1 case)"),
        ([1.5, 2.5, -998.0], None),
        ([-99.0, -2.0, 20.0], None),  # 9.8 standard deviations from the mean
        ([990.0, 1002.0, 999.0], None),
        ([-999.0, -999.0], None),
        ([], None),
    ],
)
def test_words_and_codes_far_from_all_other_values_are_named_with_their_cases(labels, named):
    note = f"the score {named} may stand for a missing one; if it does, leave the cells empty"
    assert missing_labels("score", labels) == ([note] if named else [])


@pytest.mark.parametrize(("column", "old", "new"), [("class", "stage 2", "unknown"), ("value", ",15.0,", ",-999,")])
def test_check_and_prepare_name_them(tmp_path, monkeypatch, capsys, column, old, new):
    monkeypatch.chdir(tmp_path)
    table = write_table(tmp_path / "mine", 2, [column], cases=6)
    table.write_text(table.read_text().replace(old, new))
    words = f"the {column} {new.strip(',')} ("
    for command in (["check", "mine"], ["prepare", "mine", "--store", "store", "--jobs", "1", "--size", "8"]):
        assert exit_status(*command) == 0
        assert words in "".join(capsys.readouterr())


def test_check_and_prepare_say_that_channels_without_names_have_an_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        voxels = np.random.default_rng(number).random((9, 8, 7, 2), dtype=np.float32)
        generated_folders.save(tmp_path / "scans" / f"{number}.nii.gz", voxels)
    for command in (
        ["check", "scans"],
        ["prepare", "scans", "--store", "store", "--pool", "--size", "8", "--jobs", "1"],
    ):
        assert exit_status(*command) == 0
        assert "the 2 channels have no names" in "".join(capsys.readouterr())
