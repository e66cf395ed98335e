"""docs/architecture.md names files and functions that exist, and every package of sslmed."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_every_file_and_name_exists() -> None:
    files = {str(path.relative_to(ROOT / "sslmed")): path for path in (ROOT / "sslmed").rglob("*") if path.is_file()}
    named = re.findall(r"`([\w/<>]+\.py|Snakefile)(?:: ([\w, ]+))?`", PAGE)
    assert len(named) > 40
    for file, names in named:
        of_name = re.compile(rf"(.*/)?{file.replace('<task>', '[^/]+')}")
        texts = [path.read_text(encoding="utf-8") for name, path in files.items() if of_name.fullmatch(name)]
        assert texts, f"no file is called {file}"
        for name in names.split(", ") if names else ():
            defined = re.compile(rf"^ *(def {name}\(|class {name}\b|{name}\b.* = )", re.MULTILINE)
            assert any(defined.search(text) for text in texts), f"{file} has no {name}"


def test_every_package_is_in_the_tree() -> None:
    tree = PAGE.partition("```text\n")[2].partition("```")[0]
    listed = set(re.findall(r"(?:^ *|\|  )(\w+)/ ", tree, re.MULTILINE))
    assert listed == {path.parent.name for path in (ROOT / "sslmed").rglob("__init__.py")} - {"sslmed"}
