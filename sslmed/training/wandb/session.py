"""One run in Weights & Biases: where it writes, who it is, and that nothing it does can stop the work it mirrors."""

import logging
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
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
"""How long a run waits at its end for a slow or lost network; what was not sent stays in its folder."""

# Before anything of W&B is imported, and in child processes: what it would otherwise print, ask, or write elsewhere.
QUIET = {"WANDB_SILENT": "true", "WANDB_DISABLE_GIT": "true", "WANDB_DISABLE_CODE": "true"}


@contextmanager
def never_fatal(action: str) -> Iterator[None]:
    """Turn any failure into a warning: the run directory is the truth, and training must not end for its mirror."""
    try:
        yield
    except Exception as error:  # W&B raises its own, pydantic's, and the system's errors
        log.warning("Weights & Biases: could not %s (%s: %s)", action, type(error).__name__, error)


@contextmanager
def writing_below(folder: Path) -> Iterator[None]:
    """Keep W&B's caches and staged files below `folder`, where the user has not put them elsewhere."""
    places = {name: str(folder / "wandb" / "cache") for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR")}
    added = {name: value for name, value in (places | QUIET).items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def identity_of(folder: Path) -> str:
    """The random name of what a directory holds, made once: it goes where the directory goes, and dies with it."""
    path = folder / "wandb" / "identity"
    if not path.is_file():
        write_text(path, secrets.token_hex(8))
    return path.read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    """Project and entity, W&B's variables first."""
    return {"project": os.environ.get("WANDB_PROJECT", PROJECT), "entity": os.environ.get("WANDB_ENTITY")}


@contextmanager
def session(
    folder: Path,
    mode: Mode,
    *,
    run_id: str,
    resume: bool,
    name: str,
    group: str | None,
    job_type: str,
    tags: Sequence[str],
    config: Mapping[str, Any],
) -> Iterator[Any]:
    """Open a run and close it, whatever happens in between.

    Offline runs of the same folder that an interruption left are removed: whoever opens a run logs it from its
    beginning, and `wandb sync` would send both.

    Args:
        folder: Where it writes, in `wandb/`.
        mode: `online` becomes `offline` if the server does not answer.
        run_id: The run is the same as the last one of this id.
        resume: Whether what the server has of the run is kept; else it is overwritten.
        name: Shown for the run.
        group: Shown for the runs of an experiment.
        job_type: Shown for the runs of one stage.
        tags: Words to filter by.
        config: Settings.

    Yields:
        The `wandb.Run`, or `None` if there is none to be had.
    """
    for stale in (folder / "wandb").glob(f"offline-run-*-{run_id}"):
        shutil.rmtree(stale, ignore_errors=True)
    arguments = {"id": run_id, "name": name, "group": group, "job_type": job_type, "tags": tags, "config": config}
    with writing_below(folder):
        run = None
        if mode == "online":
            with never_fatal("reach the server; this run is mirrored offline, and `wandb sync` sends it later"):
                run = _open(folder, "online", resume="allow" if resume else None, **arguments)
        if run is None:
            with never_fatal("mirror this run"):
                # It will hold the whole run, and overwrite what the server may have of it.
                run = _open(folder, "offline", resume=None, **arguments)
        failed = True
        try:
            yield run
            failed = False
        finally:
            if run is not None:
                with never_fatal("finish the mirror of this run"):
                    run.finish(exit_code=int(failed))


def _open(folder: Path, mode: Mode, **arguments: Any) -> Any:  # noqa: ANN401 - what wandb.init takes
    import wandb  # takes seconds

    settings = wandb.Settings(
        silent=True,
        console="off",
        save_code=False,
        disable_code=True,
        disable_git=True,
        x_disable_meta=True,  # names of host and user, paths; the configuration and the summary have what matters
        x_save_requirements=False,
        init_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
    )
    try:
        return wandb.init(dir=folder, mode=mode, reinit="create_new", settings=settings, **project(), **arguments)
    except Exception:
        wandb.teardown()  # its service would hold on to the id
        raise


def check_account(*, verify: bool) -> None:
    """Make sure, before anything is trained, that runs can be sent.

    Args:
        verify: Ask the server, too.

    Raises:
        UserError: If there is no key, or the server does not take it or does not answer.
    """
    cure = "log in by `wandb login` or set WANDB_API_KEY, or mirror offline: --wandb offline (make: WANDB=offline)"
    with TemporaryDirectory() as folder, writing_below(Path(folder)):
        import wandb

        try:
            found = wandb.login(prompt=False, verify=verify)
        except (wandb.Error, OSError, ValueError) as error:
            raise UserError(f"Weights & Biases: {error}\n{cure}") from error
        if not found:
            raise UserError(f"Weights & Biases: no API key is configured; {cure}")
