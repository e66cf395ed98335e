"""Reads tensors by name from checkpoints, exports, runs and files from elsewhere, and fills networks with them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from sslmed.core.errors import UserError
from sslmed.core.extras import require

IN_FOLDERS = ("model.safetensors", "models/model.pt", "checkpoints/last.ckpt")
"""Where the weights are in an export, a MONAI bundle and a run directory."""

AGAIN = "which sslmed does not load; export the run again with --format safetensors"
FOR_OTHERS = {
    "model.onnx": f"is an export for ONNX runtimes, {AGAIN}",
    "checkpoint_final.pth": f"is an export for nnU-Net, {AGAIN}, or fine-tune from its checkpoint_final.pth",
}
"""The same in exports that only others load -> what to say of them."""

NESTED = ("state_dict", "network_weights", "model_state_dict", "model", "teacher")
"""Names under which files hold their tensors: Lightning's, nnU-Net's, others', and DINO's of those to use."""

SECOND_NAME = ".all_modules."
"""Part of the second name that nnU-Net gives to every tensor of a convolution or its normalisation."""


def read_state(path: Path, key_map: Mapping[str, str] | None = None) -> dict[str, Tensor]:
    """Read all tensors, by name.

    Args:
        path: A checkpoint, a file of tensors (`.safetensors`, or written by `torch.save`), an export, or the directory
            of a run.
        key_map: Start of a name in the file -> what replaces it, e.g. `{"backbone.": "encoder."}`. If several fit, the
            longest is replaced. Other names stay as they are.

    Raises:
        UserError: If there is no such file, it cannot be read, holds no tensors or some that are not
            finite, or the map does not fit it.
    """
    file = find_weights(path)
    try:
        if file.suffix == ".safetensors":
            require("safetensors", extra="export", why=str(file))
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            state = _tensors(_load(file))
    except UserError:
        raise
    except Exception as error:
        # Both loaders raise many errors (pickle, zip, key errors) with the same meaning for the user. PyTorch's further
        # sentences advise to run what the file contains.
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0].partition('. ')[0]}"
        raise UserError(
            f"{file}: not a checkpoint written by sslmed fit, nor another file of tensors ({reason})"
        ) from error
    if broken := non_finite(state):
        raise UserError(
            f"{file}: {len(broken)} of {len(state)} tensors are not finite (first {broken[0]}): its training diverged; "
            "train again with a lower learning rate or with trainer.precision 32-true"
        )
    return _renamed(state, key_map or {}, file)


def fill(network: nn.Module, weights: Mapping[str, Tensor], source: object) -> None:
    """Load weights: all tensors, or none.

    Raises:
        UserError: If a tensor is missing, unknown, or has another shape.
    """
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{source}: does not fit {type(network).__name__}: {reason}") from error


def non_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors with NaN or infinite values. A GPU is waited for once."""
    names = [name for name, tensor in state.items() if tensor.is_floating_point()]
    if not names:
        return []
    finite = torch.stack([state[name].isfinite().all() for name in names]).tolist()
    return [name for name, is_finite in zip(names, finite, strict=True) if not is_finite]


def check_finished(path: Path) -> None:
    """Check that a checkpoint is not of an unfinished run. One outside a run's directory is accepted.

    Raises:
        UserError: If the run has no results.json.
    """
    run = path.absolute().parent.parent
    if path.is_file() and (run / "config.yaml").is_file() and not (run / "results.json").is_file():
        raise UserError(
            f"{path}: this run is not finished ({run / 'results.json'} is absent): resume it by its own command first, "
            f"`sslmed fit -c {run / 'config.yaml'}`"
        )


def find_weights(path: Path) -> Path:
    """Return the file that holds the weights of an export or a run; a file is returned as it is.

    Raises:
        UserError: If there is none.
    """
    candidates = [path / name for name in IN_FOLDERS] if path.is_dir() else [path]
    found = next((each for each in candidates if each.is_file()), None)
    if found is None:
        for name, what in FOR_OTHERS.items():
            if (path / name).is_file():
                raise UserError(f"{path}: {what}")
        expected = f"a folder with {', '.join(IN_FOLDERS)}" if path.is_dir() else "one of a finished run, or an export"
        raise UserError(f"{path}: no such checkpoint; give {expected}")
    return found


def first_parts(names: Iterable[str]) -> str:
    """Summarise names of tensors: `decoder. (12), head. (2)`."""
    counts = Counter(f"{first}{dot}" for first, dot, _ in (name.partition(".") for name in names))
    return ", ".join(f"{first} ({count})" for first, count in sorted(counts.items()))


class _Other(dict[Any, Any]):
    """Stands for an object in a file that is no tensor, such as NumPy's numbers or the options of a program."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # it may be a key

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __setstate__(self, _: object) -> None:
        """Forget what the object held."""

    def append(self, _: object) -> None:
        """Forget an entry, as of a list."""

    def extend(self, _: object) -> None:
        """Forget entries."""


def _load(file: Path) -> Any:  # noqa: ANN401 - whatever a file holds
    """Load a file of PyTorch's without running code that it names.

    nnU-Net's checkpoints have scores as numbers of NumPy's, others the options of their program. PyTorch refuses such a
    file as a whole, though only its tensors are needed.
    """
    others = get_unsafe_globals_in_checkpoint(file) if is_zipfile(file) else []
    with safe_globals([(_Other, name) for name in others]):
        return torch.load(file, map_location="cpu", weights_only=True)


def _tensors(content: Any) -> dict[str, Tensor]:  # noqa: ANN401 - whatever a file holds
    nested = next((content[name] for name in NESTED if isinstance(content.get(name), Mapping)), content)
    tensors = {str(name): value for name, value in nested.items() if torch.is_tensor(value)}
    if not tensors:
        raise ValueError("it holds no tensors by name")
    if any(SECOND_NAME in name for name in tensors):
        return {name: turned(tensor) for name, tensor in tensors.items() if SECOND_NAME not in name}
    return tensors


def turned(tensor: Tensor) -> Tensor:
    """Turn a 3-D kernel from our axes (i, j, k) to nnU-Net's (k, j, i), or back; return other tensors as they are."""
    return tensor.transpose(2, 4).contiguous() if tensor.ndim == 5 else tensor


def _renamed(state: dict[str, Tensor], key_map: Mapping[str, str], file: Path) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    used: set[str] = set()
    for name, tensor in state.items():
        old = max((each for each in key_map if name.startswith(each)), key=len, default=None)
        new = name if old is None else key_map[old] + name.removeprefix(old)
        used |= set() if old is None else {old}
        if new in renamed:
            raise UserError(f"{file}: key_map gives two tensors the name {new}; map their names to different ones")
        renamed[new] = tensor
    if unused := sorted(key_map.keys() - used):
        raise UserError(
            f"{file}: no tensor has a name that begins with {unused[0]!r}, which key_map replaces; "
            f"names begin with {first_parts(state)}"
        )
    return renamed
