"""Checkpoints of a run: which are kept, and that they stay complete when it is killed."""

from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from sslmed.core.files import atomic_path
from sslmed.training.run_directory import RunDirectory


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file in the same folder, then renames it.

    Lightning's own class writes to the system's temporary folder. That is often another file system, from which a file
    can only be copied. A run killed during the copy was left with half a `last.ckpt` and could not resume.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:  # noqa: ANN401, ARG002
        """Write a checkpoint; create its folder if it does not exist."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            torch.save(checkpoint, temporary)


def checkpoint_callbacks(run: RunDirectory, monitor: str, mode: str) -> list[ModelCheckpoint]:
    """Keep the best and the last checkpoint: two callbacks, because `save_last` of one only copies the best.

    The best is that with the `max` or `min` (`mode`) of a logged metric (`monitor`).
    """
    return [
        _LaterWinsTies(
            run.checkpoints,
            filename=path.stem,
            monitor=monitored,
            mode=mode,
            save_on_train_epoch_end=True,  # after validation, and in a state that resumes at the next interval
            enable_version_counter=False,
        )
        for path, monitored in ((run.best, monitor), (run.last, None))
    ]


class _LaterWinsTies(ModelCheckpoint):
    """Keeps the later of two checkpoints with equal scores, which was trained for longer."""

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether to save this checkpoint."""
        is_tie = current is not None and self.best_model_score is not None and bool(current == self.best_model_score)
        return is_tie or super().check_monitor_top_k(trainer, current)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score so far, also if the run's directory was moved; Lightning would forget it."""
        old, new = str(state_dict["dirpath"]), str(self.dirpath)
        moved = {key: value.replace(old, new, 1) for key, value in state_dict.items() if isinstance(value, str)}
        best = {path.replace(old, new, 1): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best})
