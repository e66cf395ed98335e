"""Hand an encoder's weights from one training run to another: strictly, and with a report."""

from pathlib import Path

import torch
from torch import Tensor, nn

from sslmed.core.errors import UserError
from sslmed.encoders.base import Encoder

PREFIX = "encoder."

SETTINGS_DIFFER = "pretrain and fine-tune with the same encoder settings (class, widths, channels, dimensions)"
CHANNELS_DIFFER = "only the number of input channels differs: set adapt_channels to true to fit the weights to it"


def load_encoder(encoder: Encoder, path: str | Path, adapt_channels: bool = False) -> None:
    """Load the encoder of a checkpoint into `encoder`, every tensor or none.

    Args:
        encoder: The encoder to fill, in place.
        path: A checkpoint written by `sslmed fit`; its keys that start with `encoder.` count.
        adapt_channels: Take a checkpoint that was pretrained on images of another number of channels. The weights of
            the first convolution are averaged over the old channels, repeated for the new ones, and scaled by old/new:
            where all channels are equal, it answers as before.

    Raises:
        UserError: If the file is absent or no checkpoint, or if any tensor is missing, unknown, or of another shape.
            The message lists them all; `encoder` is left as it was.
    """
    weights = _encoder_weights(Path(path))
    own = encoder.state_dict()
    first = _adaptable_convolution(encoder, weights)
    adapted = ""
    if adapt_channels and first is not None:
        old, new = weights[first].shape[1], encoder.in_channels
        weights[first] = (weights[first].mean(1, keepdim=True) * (old / new)).expand_as(own[first])
        adapted = f"; {first} adapted from {old} to {new} input channels"
    missing = sorted(own.keys() - weights.keys())
    unknown = sorted(weights.keys() - own.keys())
    mismatched = [key for key in sorted(own.keys() & weights.keys()) if weights[key].shape != own[key].shape]
    n_loaded = len(own) - len(missing) - len(mismatched)
    report = f"{n_loaded} loaded, {len(missing)} missing, {len(mismatched)} mismatched, {len(unknown)} unknown"
    if missing or unknown or mismatched:
        lines = [f"{path}: does not fit {type(encoder).__name__}, nothing was loaded: {report}"]
        lines += [f"  missing: {key}" for key in missing]
        lines += [
            f"  mismatched: {key} (checkpoint {tuple(weights[key].shape)}, encoder {tuple(own[key].shape)})"
            for key in mismatched
        ]
        lines += [f"  unknown: {key}" for key in unknown]
        only_channels = [*missing, *mismatched, *unknown] == [first]
        lines.append(f"  {CHANNELS_DIFFER if only_channels else SETTINGS_DIFFER}")
        raise UserError("\n".join(lines))
    encoder.load_state_dict(weights)
    print(f"encoder tensors from {path}: {report}{adapted}")


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, by name.

    Raises:
        UserError: If the file is absent or no checkpoint.
    """
    if not path.is_file():
        msg = f"{path}: no such checkpoint; give one of a finished run, in its folder checkpoints/"
        raise UserError(msg)
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except Exception as error:
        # torch.load fails in many ways (pickle, zip, key errors); all mean the same to the user.
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        msg = f"{path}: not a checkpoint written by sslmed fit ({reason})"
        raise UserError(msg) from error
    return state


def _encoder_weights(path: Path) -> dict[str, Tensor]:
    weights = {key.removeprefix(PREFIX): value for key, value in read_state(path).items() if key.startswith(PREFIX)}
    if not weights:
        msg = f"{path}: holds no encoder (no tensor is named {PREFIX}…)"
        raise UserError(msg)
    return weights


def _adaptable_convolution(encoder: Encoder, weights: dict[str, Tensor]) -> str | None:
    """Name the weights of the encoder's first convolution if they differ in the number of input channels only."""
    convolutions = (name for name, module in encoder.named_modules() if isinstance(module, nn.Conv2d | nn.Conv3d))
    key = f"{next(convolutions, '')}.weight"
    own, pretrained = encoder.state_dict().get(key), weights.get(key)
    if own is None or pretrained is None or pretrained.ndim != own.ndim or own.shape[1] != encoder.in_channels:
        return None
    differs = [before != now for before, now in zip(pretrained.shape, own.shape, strict=True)]
    return key if differs == [axis == 1 for axis in range(own.ndim)] else None
