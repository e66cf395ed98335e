"""The pictures of the docs: how they are made, and those that are there."""

import shutil
from pathlib import Path

import docs_pictures
import pytest
from PIL import Image
from synthetic_experiment import write_experiment

from sslmed.reporting.html.page import report_experiment

ROOT = Path(__file__).parents[3]


@pytest.mark.long
@pytest.mark.skipif(not any(map(shutil.which, docs_pictures.BROWSERS)), reason="there is no browser")
def test_a_report_is_shown_in_true_colour(tmp_path):
    page = report_experiment(write_experiment(tmp_path, arms=("baseline", "rotation"), cases=3), tmp_path)
    docs_pictures.take_picture(page, tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as picture:
        assert picture.size == docs_pictures.PAGE
        blue = (0, 114, 178)  # of rotation's line, which the palette of 8 bits had turned grey
        assert blue in {colour[:3] for _, colour in picture.getcolors(2**24)}


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "figures").rglob("*.png")), ids=lambda path: path.stem)
def test_no_picture_of_the_docs_has_a_palette(picture):
    with Image.open(picture) as opened:
        assert opened.mode in ("RGB", "RGBA")
