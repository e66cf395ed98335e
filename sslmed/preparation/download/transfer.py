"""Downloads a large file, and resumes an interrupted download."""

import http.client
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from sslmed.core.progress import progress

CHUNK = 2**20  # bytes
TIMEOUT = 30.0  # seconds without a byte


def transfer(url: str, path: Path) -> None:
    """Download to a `.part` file beside `path`, continue it if it exists, and rename it when it is complete.

    Raises:
        OSError, HTTPException: If the download fails or is incomplete; the received part is kept.
    """
    part = path.with_name(f"{path.name}.part")
    start = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310 (our own URLs)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
            _receive(response, part, start if response.status == HTTPStatus.PARTIAL_CONTENT else 0, path.stem)
    except urllib.error.HTTPError as error:
        if not (start and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):  # i.e. nothing is left
            raise
    part.replace(path)


def _receive(response: http.client.HTTPResponse, part: Path, start: int, name: str) -> None:
    remaining = response.length
    total = None if remaining is None else start + remaining
    with part.open("ab") as file, progress(f"downloading {name}", -(-(total or 0) // CHUNK), unit="MiB") as advance:
        file.truncate(start)
        for _ in range(start // CHUNK):
            advance()
        while chunk := response.read(CHUNK):
            file.write(chunk)
            advance()
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(f"the connection broke off after {part.stat().st_size} of {total} bytes")
