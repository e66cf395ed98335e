"""CSV tables of the user's own; tests/preparation/test_table.py has more of their rows."""

from collections.abc import Callable
from pathlib import Path

from bad_inputs import STORE, Bad, write

TABLE = "prepare mine --task classification --store new"
LINES = "images/case_00.png,a\nimages/case_01.png,b\n"


def replace(old: str, new: str) -> Callable[[Path], object]:
    """Change the text of the table."""

    def make(folder: Path) -> None:
        path = folder / "mine" / "table.csv"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return make


INPUTS = [
    Bad("several kinds of labels", "prepare mine --store new", ("table.csv: has the columns", "--task"),),
    Bad("empty table", TABLE, ("mine/table.csv: has no column image",), make=write("mine/table.csv", "")),
    Bad("table of zeros", TABLE, ("mine/table.csv: ",), make=write("mine/table.csv", b"\0" * 64)),
    Bad("table in UTF-16", TABLE, ("mine/table.csv: is not UTF-8",), make=write("mine/table.csv", f"image,class\n{LINES}".encode("utf-16"))),
    Bad("open quote", TABLE, ("mine/table.csv: is not valid CSV",), make=write("mine/table.csv", f'image,class\n"{LINES}')),
    Bad("header alone", TABLE, ("mine/table.csv: lists no image",), make=write("mine/table.csv", "image,class\n")),
    Bad("column twice", TABLE, ("mine/table.csv: has the column image twice",), make=write("mine/table.csv", f"image,image,class\n{LINES}")),
    Bad("no labels", TABLE, ("mine/table.csv: has no column class",), make=write("mine/table.csv", "image\nimages/case_00.png\n")),
    Bad("image that is not there", TABLE, ("mine/table.csv: line 2", "does not exist"), make=replace("images/case_00.png", "images/absent.png"), leaves=STORE),
    Bad("image of another kind", TABLE, ("mine/table.csv: line 2", "must end in"), make=replace("images/case_00.png", "images/case_00.dcm"), leaves=STORE),
    Bad("image twice", TABLE, ("mine/table.csv: line 3", "already listed on line 2"), make=replace("images/case_01.png", "images/case_00.png"), leaves=STORE),
    Bad("table that is a folder", "prepare folder.csv --store new", ("folder.csv: holds no image",), make=lambda folder: (folder / "folder.csv").mkdir()),
]  # fmt: skip
