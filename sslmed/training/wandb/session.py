"""One run in Weights & Biases: its folder and id. No failure of W&B can stop the training that it mirrors."""

import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from sslmed.core.errors import UserError
from sslmed.core.files import write_text

Mode = Literal["offline", "online"]

log = logging.getLogger(__name__)

PROJECT = "sslmed"
INIT_SECONDS = 30.0
FINISH_SECONDS = 60.0
"""Longest wait at the end of a run for a slow or lost network. Data that was not sent stays in its folder."""

# Set before W&B is imported, and in child processes: keeps it from printing, asking, or writing elsewhere.
QUIET = {"WANDB_SILENT": "true", "WANDB_DISABLE_GIT": "true", "WANDB_DISABLE_CODE": "true"}


@contextmanager
def never_fatal(action: str) -> Iterator[None]:
    """Turn any failure into a warning. The run directory is the record; its mirror must not stop training."""
    try:
        yield
    except Exception as error:  # W&B raises errors of its own, of pydantic and of the system
        log.warning("Weights & Biases: could not %s (%s: %s)", action, type(error).__name__, error)


@contextmanager
def writing_below(folder: Path) -> Iterator[None]:
    """Keep W&B's caches and staged files below `folder`, unless the user has set other places."""
    places = {name: str(folder / "wandb" / "cache") for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR")}
    added = {name: value for name, value in (places | QUIET).items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def identity_of(folder: Path) -> str:
    """Return the random id of a directory, created once. It moves with the directory and is deleted with it."""
    path = folder / "wandb" / "identity"
    if not path.is_file():
        write_text(path, secrets.token_hex(8))
    return path.read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    """Return project and entity; W&B's environment variables take precedence."""
    return {"project": os.environ.get("WANDB_PROJECT", PROJECT), "entity": os.environ.get("WANDB_ENTITY")}


@contextmanager
def session(folder: Path, mode: Mode, *, resume: bool, **arguments: Any) -> Iterator[Any]:  # noqa: ANN401
    """Open a run and close it, also after an error.

    Offline runs that an interruption left in the same folder are removed. Every session logs its run from the start, so
    `wandb sync` would send the rows twice.

    Args:
        folder: Folder to write to, in `wandb/`.
        mode: `online` becomes `offline` if the server does not answer.
        resume: Whether to keep the data that the server has of the run; otherwise it is overwritten.
        arguments: Others of `wandb.init`. The same `id` continues the same run.

    Yields:
        The `wandb.Run`, or `None` if it cannot be opened.
    """
    for stale in (folder / "wandb").glob(f"offline-run-*-{arguments['id']}"):
        shutil.rmtree(stale, ignore_errors=True)
    with writing_below(folder):
        run = None
        if mode == "online":
            with never_fatal("reach the server; this run is mirrored offline, and `wandb sync` sends it later"):
                run = _open(folder, "online", resume="allow" if resume else None, **arguments)
        if run is None:
            with never_fatal("mirror this run"):
                # It will contain the whole run, and overwrite any part of it on the server.
                run = _open(folder, "offline", resume=None, **arguments)
        failed = True
        try:
            yield run
            failed = False
        finally:
            if run is not None:
                with never_fatal("finish the mirror of this run"):
                    run.finish(exit_code=int(failed))


def _open(folder: Path, mode: Mode, **arguments: Any) -> Any:  # noqa: ANN401 - arguments of wandb.init
    import wandb  # takes seconds

    settings = wandb.Settings(
        silent=True,
        console="off",
        save_code=False,
        disable_code=True,
        disable_git=True,
        x_disable_meta=True,  # host, user and paths; the configuration and the summary have what matters
        x_save_requirements=False,
        host="sslmed",  # else that of the machine
        program="sslmed",  # else the path of the script
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
    )
    try:
        return wandb.init(dir=folder, mode=mode, reinit="create_new", settings=settings, **project(), **arguments)
    except Exception:
        wandb.teardown()  # its service would keep the id in use
        raise


def check_account(*, verify: bool) -> None:
    """Check before training that runs can be sent.

    Args:
        verify: Also ask the server.

    Raises:
        UserError: If there is no key, or the server rejects it or does not answer.
    """
    cure = "log in with `wandb login` or set WANDB_API_KEY; reproduce and fit need neither with --wandb offline"
    with TemporaryDirectory() as folder, writing_below(Path(folder)):
        import wandb

        try:
            found = wandb.login(prompt=False, verify=verify)
        except (wandb.Error, OSError, ValueError) as error:
            raise UserError(f"Weights & Biases: {error}\n{cure}") from error
        if not found:
            raise UserError(f"Weights & Biases: no API key is configured; {cure}")
