"""The notebook, converted and executed by a kernel, on a preset of a tiny size."""

import os
import shutil
import sys
from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "first_curve.py"
SMALL = {
    '"quick"': '"tiny"',
    "--cases 60 --unlabelled 40": "--cases 12 --unlabelled 2 --size 16 16 16",
    '"2 8 all"': '"2 all"',
    "--cases 1 ": "--cases 1 --size 16 16 16 ",
}
pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_the_notebook_ends_with_a_curve_and_a_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    text = NOTEBOOK.read_text()
    for here, there in SMALL.items():
        assert here in text
        text = text.replace(here, there)
    notebook = jupytext.reads(text, fmt="py:percent")
    shutil.copytree(Path(__file__).parent / "tiny", tmp_path / "tiny")
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", ())
    ]
    assert len(pictures) == 2
    assert (tmp_path / "results/segmentation/scans-tiny/report.html").is_file()
