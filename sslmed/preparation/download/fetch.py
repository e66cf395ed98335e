"""Downloads known datasets."""

import http.client
import shutil
import sys
from pathlib import Path

from filelock import FileLock

from sslmed.core.errors import UserError
from sslmed.core.nearest import did_you_mean
from sslmed.preparation.download.archive import Archive
from sslmed.preparation.download.kaggle import Competition
from sslmed.preparation.download.known import KNOWN
from sslmed.preparation.readers.layouts import has_layout


def fetch(name: str, folder: Path) -> Path:
    """Return the folder of a known dataset in `folder`, and download it first if it does not exist.

    The licence is shown, and an interrupted download is resumed. The archive is deleted after extraction.

    Args:
        name: One of `KNOWN`.
        folder: Folder for datasets.

    Raises:
        UserError: If the dataset is unknown or cannot be downloaded. The message explains the manual download.
    """
    if name not in KNOWN:
        raise UserError(f"unknown dataset {name!r}; known are {', '.join(KNOWN)}{did_you_mean(name, KNOWN)}")
    known = KNOWN[name]
    target = folder / known.name
    if has_layout(target):
        return target
    archive = folder / f"{known.name}{known.suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{known.name}.lock"):
            if has_layout(target):  # another process was faster
                return target
            if target.is_dir() and any(target.iterdir()):
                raise UserError(f"{target}: holds no whole dataset; complete it, or delete it to download it")
            if not archive.is_file():
                print(f"{name}: {known.name}, licence {known.licence}", file=sys.stderr)
                known.download(archive)
            _extract(known, archive, target)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"{known.name}: cannot be downloaded ({error}); run the same command again to resume, or first put "
            f"{known.source} at {archive}"
        ) from error
    return target


def _extract(known: Archive | Competition, archive: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.extracting")
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    content = known.unpack(archive, temporary)
    if not has_layout(content):
        raise UserError(f"{archive}: does not hold {known.name}; delete it and run the same command again")
    content.replace(target)
    shutil.rmtree(temporary, ignore_errors=True)
    archive.unlink()
