"""Downloads tasks of the Medical Segmentation Decathlon: http://medicaldecathlon.com, CC-BY-SA 4.0."""

import http.client
import shutil
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from filelock import FileLock

from sslmed.errors import UserError
from sslmed.progress import progress

KNOWN = {"pancreas": "Task07_Pancreas", "hippocampus": "Task04_Hippocampus", "brats": "Task01_BrainTumour"}
CHUNK = 2**20  # bytes
TIMEOUT = 30.0  # seconds without a byte


def fetch(name: str, folder: Path, *, url: str | None = None, md5: str | None = None) -> Path:
    """Return the folder of a known task below `folder`, downloading it first where it is absent.

    A transfer that broke off is taken up where it stopped. The archive is deleted once it is extracted.

    Args:
        name: One of `KNOWN`.
        folder: Where datasets are kept.
        url: Another address of the archive than MONAI's.
        md5: Another checksum of it than MONAI's.

    Raises:
        UserError: The task is unknown, or cannot be downloaded; says what to put where by hand.
    """
    if name not in KNOWN:
        raise UserError(f"unknown dataset {name!r}; known are {', '.join(KNOWN)}")
    task = KNOWN[name]
    target = folder / task
    if (target / "dataset.json").is_file():
        return target
    from monai.apps.datasets import DecathlonDataset  # takes 7 s, and most calls return above

    url = DecathlonDataset.resource[task] if url is None else url
    md5 = DecathlonDataset.md5[task] if md5 is None else md5
    archive = folder / f"{task}.tar"
    by_hand = f"by hand: put {url} at {archive} (MD5 {md5}), or its content at {target}, and run the same command again"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{task}.lock"):
            if not archive.is_file():
                _download(url, archive)
            _extract(archive, md5, target)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"{task}: cannot be downloaded ({error}); run the same command again to go on, or {by_hand}"
        ) from error
    return target


def _download(url: str, archive: Path) -> None:
    """Download to a `.part` file beside `archive`, from its end on where it exists, and rename it when it is whole."""
    part = archive.with_name(f"{archive.name}.part")
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310 (our own URLs)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
            _receive(response, part, start if response.status == HTTPStatus.PARTIAL_CONTENT else 0, archive.stem)
    except urllib.error.HTTPError as error:
        if not (start and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):  # which means that nothing is left
            raise
    part.replace(archive)


def _receive(response: http.client.HTTPResponse, part: Path, start: int, task: str) -> None:
    remaining = response.length
    total = None if remaining is None else start + remaining
    with part.open("ab") as file, progress(f"downloading {task}", -(-(total or 0) // CHUNK), unit="MiB") as advance:
        file.truncate(start)
        for _ in range(start // CHUNK):
            advance()
        while chunk := response.read(CHUNK):
            file.write(chunk)
            advance()
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"the connection broke off after {part.stat().st_size} of {total} bytes")


def _extract(archive: Path, md5: str, target: Path) -> None:
    from monai.apps.utils import check_hash, extractall

    if not check_hash(archive, md5, "md5"):
        raise UserError(f"{archive}: has another MD5 than {md5}; delete it and run the same command again")
    temporary = target.with_name(f".{target.name}.extracting")
    shutil.rmtree(temporary, ignore_errors=True)  # of a run that was killed
    extractall(archive, temporary, has_base=False)
    if not (temporary / target.name / "dataset.json").is_file():
        raise UserError(
            f"{archive}: does not hold {target.name}/dataset.json; delete it and run the same command again"
        )
    (temporary / target.name).replace(target)
    shutil.rmtree(temporary)
    archive.unlink()
