"""What multiprocessing needs of the system, and the cure where it is missing: shared memory, short paths of sockets."""

import multiprocessing
import os
import shutil
import tempfile
from multiprocessing import util
from pathlib import Path

from sslmed.core.errors import UserError

SHARED = Path("/dev/shm")  # noqa: S108 - the system's shared memory
SHORT = "/tmp"  # noqa: S108 - files there are in a folder of their own, which only this user can read
LONGEST = 107 - len("/pymp-xxxxxxxx/listener-xxxxxxxx")
"""Most bytes of a folder for sockets: Linux allows 107 for the path of a socket (`man 7 unix`)."""


def lack_of_shared_memory(n_bytes: int = 0) -> str | None:
    """Return why processes cannot share memory here, or `None` if they can.

    Args:
        n_bytes: How much they need to share.
    """
    try:
        multiprocessing.get_context("fork").Lock()
    except (ImportError, OSError) as error:
        return f"{SHARED} cannot be used ({error}); mount it writable (a container: --shm-size=1g)"
    free = shutil.disk_usage(SHARED).free if SHARED.is_dir() else n_bytes
    if free < n_bytes:
        needed = f"{n_bytes / 2**20:.1f} MiB are needed"
        return f"{SHARED} has {free / 2**20:.1f} MiB left, {needed}; make it larger (a container: --shm-size=1g)"
    return None


def shorten_sockets() -> None:
    """Let multiprocessing keep its sockets in a short folder, if TMPDIR is too long for the path of a socket.

    Schedulers set long ones. Worker processes inherit the folder. All other temporary files stay in TMPDIR.

    Raises:
        UserError: If there is no other folder.
    """
    folder = tempfile.gettempdir()
    if len(os.fsencode(folder)) <= LONGEST:
        return
    try:
        tempfile.tempdir = SHORT
        util.get_temp_dir()  # made once, and removed when the process ends
    except OSError as error:
        raise UserError(
            f"TMPDIR={folder}: is too long for sockets of worker processes ({LONGEST} bytes at most), and {SHORT} "
            f"cannot be used ({error}); set TMPDIR to a short path"
        ) from error
    finally:
        tempfile.tempdir = folder
