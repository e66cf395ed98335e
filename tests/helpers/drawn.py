"""Small datasets of phantoms, and what is in them."""

from pathlib import Path

from sslmed.phantoms import KINDS

SIZES = {"pancreas": (40, 36, 20), "brain": (40, 36, 20), "fundus": (96, 72)}


def draw(out: Path, kind: str, **changes) -> Path:
    KINDS[kind](out, **{"cases": 3, "unlabelled": 2, "size": SIZES[kind], "jobs": 1} | changes)
    return out


def contents(root: Path, pattern: str = "**/*") -> dict[str, bytes]:
    files = [path for path in root.glob(pattern) if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}
