"""Configures logging: a run's log file, and the library messages that are hidden."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sslmed.core.errors import RunError, UserError
from sslmed.core.interrupts import Interrupted

log = logging.getLogger(__name__)

IGNORED_WARNINGS = (
    "LightningCLI's args parameter",  # the command passes its own arguments on
    ".*Checkpoint directory .* exists and is not empty",  # a resumed run
    ".*LeafSpec.*is deprecated",  # Lightning's own use of torch
    ".*does not have many workers",  # a memory map needs no workers
    ".*custom batch sampler",  # it returns every case
    ".*`srun` command is available",  # a run is one process, or started by torchrun
    ".*on epoch level in distributed setting",  # the scores of a validation pass already include all ranks
)


def silence_libraries() -> None:
    """Hide messages of libraries that do not concern the user."""
    for message in IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message)
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Also write log lines, warnings and how the run failed to the run's log file."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)
    try:
        yield
    except (UserError, RunError, Interrupted) as ended:  # in words; the command says them on the terminal
        handler.handle(log.makeRecord(log.name, logging.ERROR, __file__, 0, str(ended), (), None))
        raise
    except Exception:
        log.exception("the run failed")
        raise
    finally:
        logging.captureWarnings(capture=False)
        root.removeHandler(handler)
        handler.close()
