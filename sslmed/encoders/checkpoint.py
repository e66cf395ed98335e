"""Loads the weights of an encoder or a decoder from a file of tensors: all must fit, and are counted."""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from sslmed.core.errors import UserError
from sslmed.encoders.base import Encoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.encoders.weights_file import first_parts, read_state

SETTINGS_DIFFER = "pretrain and fine-tune with the same settings (class, widths, channels, dimensions)"
CHANNELS_DIFFER = "only the number of input channels differs: set adapt_channels to true to fit the weights to it"


def load_encoder(
    encoder: Encoder,
    path: str | Path,
    adapt_channels: bool = False,
    key_map: Mapping[str, str] | None = None,
) -> None:
    """Load an encoder from a checkpoint, an export or a file from elsewhere into `encoder`: all tensors or none.

    Args:
        encoder: The encoder to fill, in place.
        path: See `read_state`. The tensors whose names start with `encoder.` are read; the others are counted. Without
            any, names are changed by the encoder's `published_names`.
        adapt_channels: Accept a checkpoint that was pretrained on images with another number of channels. The weights
            of the first convolution are averaged over the old channels, repeated for the new ones, and scaled by
            old/new. If all channels are equal, the output is the same as before.
        key_map: Start of a name in the file -> what replaces it, as `{"backbone.": "encoder."}`.

    Raises:
        UserError: If the file does not exist or is not a checkpoint, or if a tensor is missing, unknown, not finite, or
            has another shape. The message lists all of them, and `encoder` is not changed.
    """
    state = read_state(Path(path), key_map)
    weights, others = _split(state, "encoder.")
    own = encoder.state_dict()
    if not weights:
        weights, others = _split(_published(encoder, state), "encoder.")
    if not weights:
        raise UserError(
            f"{path}: holds no encoder (no tensor is named encoder.…); names begin with {first_parts(others)}: "
            'give a key_map, as {"backbone.": "encoder."}'
        )
    first = _adaptable_convolution(encoder, weights)
    adapted = ""
    if adapt_channels and first is not None:
        old, new = weights[first].shape[1], encoder.in_channels
        weights[first] = (weights[first].mean(1, keepdim=True) * (old / new)).expand_as(own[first])
        adapted = f"; {first} adapted from {old} to {new} input channels"
    report = _compare(type(encoder).__name__, own, weights, path, first)
    encoder.load_state_dict(weights)
    print(f"encoder tensors from {path}: {report}{adapted}")
    if others:
        print(f"other tensors in {path}, not the encoder's: {first_parts(others)}")


def load_decoder(decoder: UNetDecoder, path: str | Path, key_map: Mapping[str, str] | None = None) -> None:
    """Load the decoder of a checkpoint into `decoder`: all tensors except the last layer, or none.

    The last layer keeps its random weights, because its outputs have another meaning in pretraining.

    Args:
        decoder: The decoder to fill, in place.
        path: See `read_state`. The tensors whose names start with `decoder.` are read.
        key_map: See `load_encoder`.

    Raises:
        UserError: See `load_encoder`.
    """
    found, others = _split(read_state(Path(path), key_map), "decoder.")
    weights = {key: value for key, value in found.items() if not _is_output(key)}
    if not weights:
        raise UserError(
            f"{path}: holds no decoder (no tensor is named decoder.…); names begin with {first_parts(others)}: "
            "set pretrained.load to encoder"
        )
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


def _split(state: Mapping[str, Tensor], prefix: str) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors whose names start with the prefix, without it, and the names of the others."""
    weights = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return weights, [name for name in state if not name.startswith(prefix)]


def _published(encoder: Encoder, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a file with the names that others give those of this encoder.

    Files written by torch before 0.4.1 do not count the batches of batch normalisation.
    """
    for pattern, replacement in encoder.published_names.items():
        state = {re.sub(pattern, replacement, name): tensor for name, tensor in state.items()}
    if not any(name.startswith("encoder.") for name in state):
        return state
    own = encoder.state_dict().items()
    return {f"encoder.{name}": each for name, each in own if name.endswith("num_batches_tracked")} | state


def _adaptable_convolution(encoder: Encoder, weights: dict[str, Tensor]) -> str | None:
    """Name the weights of the encoder's first convolution if they differ in the number of input channels only."""
    convolutions = (name for name, module in encoder.named_modules() if isinstance(module, nn.Conv2d | nn.Conv3d))
    key = f"{next(convolutions, '')}.weight"
    own, pretrained = encoder.state_dict().get(key), weights.get(key)
    if own is None or pretrained is None or pretrained.ndim != own.ndim or own.shape[1] != encoder.in_channels:
        return None
    differs = [before != now for before, now in zip(pretrained.shape, own.shape, strict=True)]
    return key if differs == [axis == 1 for axis in range(own.ndim)] else None
