"""Loads the weights of an encoder or a decoder from a checkpoint: all tensors must fit, and are counted."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sslmed.core.errors import UserError
from sslmed.encoders.base import Encoder
from sslmed.encoders.decoder import UNetDecoder

SETTINGS_DIFFER = "pretrain and fine-tune with the same settings (class, widths, channels, dimensions)"
CHANNELS_DIFFER = "only the number of input channels differs: set adapt_channels to true to fit the weights to it"


def load_encoder(encoder: Encoder, path: str | Path, adapt_channels: bool = False) -> None:
    """Load the encoder of a checkpoint into `encoder`: all tensors or none.

    Args:
        encoder: The encoder to fill, in place.
        path: A checkpoint written by `sslmed fit`. The keys that start with `encoder.` are read.
        adapt_channels: Accept a checkpoint that was pretrained on images with another number of channels. The weights
            of the first convolution are averaged over the old channels, repeated for the new ones, and scaled by
            old/new. If all channels are equal, the output is the same as before.

    Raises:
        UserError: If the file does not exist or is not a checkpoint, or if a tensor is missing, unknown, not finite, or
            has another shape. The message lists all of them, and `encoder` is not changed.
    """
    weights = _weights_of("encoder.", Path(path))
    if not weights:
        msg = f"{path}: holds no encoder (no tensor is named encoder.…)"
        raise UserError(msg)
    own = encoder.state_dict()
    first = _adaptable_convolution(encoder, weights)
    adapted = ""
    if adapt_channels and first is not None:
        old, new = weights[first].shape[1], encoder.in_channels
        weights[first] = (weights[first].mean(1, keepdim=True) * (old / new)).expand_as(own[first])
        adapted = f"; {first} adapted from {old} to {new} input channels"
    report = _compare(type(encoder).__name__, own, weights, path, first)
    encoder.load_state_dict(weights)
    print(f"encoder tensors from {path}: {report}{adapted}")


def load_decoder(decoder: UNetDecoder, path: str | Path) -> None:
    """Load the decoder of a checkpoint into `decoder`: all tensors except the last layer, or none.

    The last layer keeps its random weights, because its outputs have another meaning in pretraining. If pretraining had
    no decoder, nothing is loaded.

    Args:
        decoder: The decoder to fill, in place.
        path: A checkpoint written by `sslmed fit`. The keys that start with `decoder.` are read.

    Raises:
        UserError: See `load_encoder`.
    """
    weights = {key: value for key, value in _weights_of("decoder.", Path(path)).items() if not _is_output(key)}
    if not weights:
        print(f"{path} holds no decoder: it starts from random weights")
        return
    own = {key: value for key, value in decoder.state_dict().items() if not _is_output(key)}
    report = _compare(type(decoder).__name__, own, weights, path)
    decoder.load_state_dict(weights, strict=False)
    print(f"decoder tensors from {path}: {report}; its last layer starts from random weights")


def _compare(
    name: str, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: str | Path, first: str | None = None
) -> str:
    """Count the tensors that fit, or raise `UserError` if any does not; `first` differs in channels only."""
    missing = sorted(own.keys() - weights.keys())
    unknown = sorted(weights.keys() - own.keys())
    mismatched = [key for key in sorted(own.keys() & weights.keys()) if weights[key].shape != own[key].shape]
    n_loaded = len(own) - len(missing) - len(mismatched)
    report = f"{n_loaded} loaded, {len(missing)} missing, {len(mismatched)} mismatched, {len(unknown)} unknown"
    if missing or unknown or mismatched:
        lines = [f"{path}: does not fit {name}, nothing was loaded: {report}"]
        lines += [f"  missing: {key}" for key in missing]
        lines += [
            f"  mismatched: {key} (checkpoint {tuple(weights[key].shape)}, network {tuple(own[key].shape)})"
            for key in mismatched
        ]
        lines += [f"  unknown: {key}" for key in unknown]
        only_channels = [*missing, *mismatched, *unknown] == [first]
        lines.append(f"  {CHANNELS_DIFFER if only_channels else SETTINGS_DIFFER}")
        raise UserError("\n".join(lines))
    return report


def _is_output(key: str) -> bool:
    return key.startswith("output.")


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, by name.

    Raises:
        UserError: If the file does not exist, is not a checkpoint, or holds values that are not finite.
    """
    if not path.is_file():
        msg = f"{path}: no such checkpoint; give one of a finished run, in its folder checkpoints/"
        raise UserError(msg)
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except Exception as error:
        # torch.load raises many errors (pickle, zip, key errors) with the same meaning for the user.
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        msg = f"{path}: not a checkpoint written by sslmed fit ({reason})"
        raise UserError(msg) from error
    broken = non_finite(state)
    if broken:
        msg = (
            f"{path}: {len(broken)} of {len(state)} tensors are not finite (first {broken[0]}): its training diverged; "
            "train again with a lower learning rate or with trainer.precision 32-true"
        )
        raise UserError(msg)
    return state


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
        msg = (
            f"{path}: this run is not finished ({run / 'results.json'} is absent): resume it by its own command first, "
            f"`sslmed fit -c {run / 'config.yaml'}`"
        )
        raise UserError(msg)


def _weights_of(prefix: str, path: Path) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in read_state(path).items() if key.startswith(prefix)}


def _adaptable_convolution(encoder: Encoder, weights: dict[str, Tensor]) -> str | None:
    """Name the weights of the encoder's first convolution if they differ in the number of input channels only."""
    convolutions = (name for name, module in encoder.named_modules() if isinstance(module, nn.Conv2d | nn.Conv3d))
    key = f"{next(convolutions, '')}.weight"
    own, pretrained = encoder.state_dict().get(key), weights.get(key)
    if own is None or pretrained is None or pretrained.ndim != own.ndim or own.shape[1] != encoder.in_channels:
        return None
    differs = [before != now for before, now in zip(pretrained.shape, own.shape, strict=True)]
    return key if differs == [axis == 1 for axis in range(own.ndim)] else None
