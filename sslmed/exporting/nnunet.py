"""The format `nnunet`: a residual encoder, with its decoder if there is one, as nnU-Net's fine-tuning reads it.

Source: `documentation/finetuning_from_nnssl_checkpoints.md` and `nnunetv2/experiment_planning/like_nnssl.py` of
https://github.com/MIC-DKFZ/nnUNet. Its arrays have the axes (k, j, i), ours (i, j, k): kernels and sizes are
turned.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sslmed.core.errors import UserError
from sslmed.encoders import ResidualEncoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.encoders.weights_file import turned
from sslmed.exporting.request import Request

FILES = ("checkpoint_final.pth", "adaptation_plan.json")
"""Names that nnU-Net looks for in a folder of the Hugging Face Hub, beside config.json."""

NORMS = {"batch": "torch.nn.modules.batchnorm.BatchNorm3d", "instance": "torch.nn.modules.instancenorm.InstanceNorm3d"}
EPS = 1e-5
IMPORTED = ("conv_op", "norm_op", "dropout_op", "nonlin")
PLACES = {"conv": 0, "norm": 1}  # within `all_modules`


def check(request: Request) -> None:
    """Check that nnU-Net has this network.

    Raises:
        UserError: If not.
    """
    encoder, decoder = request.model.encoder, _decoder(request)
    name = type(encoder).__name__
    if not isinstance(encoder, ResidualEncoder):
        raise UserError(
            f"--format nnunet needs a residual encoder, as nnU-Net's ResidualEncoderUNet has; this is {name}: train "
            "the run with --encoder residual"
        )
    if encoder.spatial_dims != 3:
        raise UserError("--format nnunet needs a 3-D network, as nnU-Net fine-tunes no other; this is a 2-D one")
    if request.description.part == "training":
        raise UserError("--format nnunet holds no training state; give --format safetensors")
    if decoder is not None and not _is_known(decoder):
        raise UserError(
            "--format nnunet holds no decoder with extra_pooling, another norm_eps than 1e-5, or a first stride above "
            "1; give --part encoder"
        )


def write(request: Request, folder: Path) -> None:
    """Write `checkpoint_final.pth`, `adaptation_plan.json`, `config.json` and `README.md`."""
    encoder: Any = request.model.encoder
    plan = json.dumps(adaptation_plan(request, encoder), indent=1)
    (folder / FILES[1]).write_text(plan + "\n", encoding="utf-8")
    weights = network_weights(encoder, _decoder(request))
    # `weights_only` refuses the parser's own kinds of numbers, which JSON has made plain.
    torch.save({"network_weights": weights, "nnssl_adaptation_plan": json.loads(plan)}, folder / FILES[0])
    request.write_description(folder, "nnunet")


def _decoder(request: Request) -> UNetDecoder | None:
    decoder = getattr(request.model.network, "decoder", None)
    return decoder if isinstance(decoder, UNetDecoder) else None


def _is_known(decoder: UNetDecoder) -> bool:
    has_eps = all(getattr(layer, "eps", EPS) == EPS for layer in decoder.modules())
    return has_eps and decoder.extra_pool is None and max(decoder.stride) == 1


def adaptation_plan(request: Request, encoder: ResidualEncoder) -> dict[str, Any]:
    """Describe the network and its images. `pretrain_plan` has what nnU-Net reads of it."""
    settings, size = request.description.recipe.settings, _reversed(request.input_size)
    multiples = _reversed(encoder.axis_reductions[-1])
    n_stages = len(encoder.out_channels)
    network = {
        "n_stages": n_stages,
        "features_per_stage": [*encoder.out_channels],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [*map(_reversed, encoder.kernel_sizes)],
        "strides": [*map(_reversed, encoder.strides)],
        "n_blocks_per_stage": [len(stage.blocks) for stage in encoder.stages],  # type: ignore[arg-type]
        "n_conv_per_stage_decoder": [1] * (n_stages - 1),
        "conv_bias": True,
        "norm_op": NORMS[encoder.norm],
        "norm_op_kwargs": {"eps": EPS, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    # Voxels of cubes differ in size from scan to scan.
    spacing = _reversed(settings.spacing) if settings.geometry == "spacing" else None
    return {
        "architecture_plans": {
            "arch_class_name": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
            "arch_kwargs": network,
            "arch_kwargs_requiring_import": [*IMPORTED],
        },
        "architecture_kwargs": network,  # for its DynamicPretrainedTrainer
        "pretrain_plan": {
            "dataset_name": request.description.recipe.dataset,
            "plans_name": "sslmed",
            "configurations": {"3d_fullres": {"spacing": spacing, "patch_size": size}},
        },
        "pretrain_num_input_channels": encoder.in_channels,
        # nnU-Net's skip connections need sides that the strides divide.
        "recommended_downstream_patchsize": [
            -(-side // multiple) * multiple for side, multiple in zip(size, multiples, strict=True)
        ],
        "key_to_encoder": "encoder.stages",
        "key_to_stem": "encoder.stem",
        "keys_to_in_proj": ["encoder.stem.convs.0.conv", "encoder.stem.convs.0.all_modules.0"],
        "key_to_lpe": None,
    }


def network_weights(encoder: ResidualEncoder, decoder: UNetDecoder | None) -> dict[str, Tensor]:
    """Give the tensors the names, and kernels the axes, of `ResidualEncoderUNet`.

    Args:
        encoder: A 3-D encoder.
        decoder: Its decoder, or `None` to leave it out.
    """
    of_encoder = _named_twice(encoder.state_dict())
    weights = {f"encoder.{name}": value for name, value in of_encoder.items()}
    if decoder is not None:
        of_decoder = {f"encoder.{name}": value for name, value in of_encoder.items()} | _decoder_weights(decoder)
        weights |= {f"decoder.{name}": value for name, value in of_decoder.items()}
    return weights


def _decoder_weights(decoder: UNetDecoder) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    bias = decoder.output.bias
    for level, (up, block) in enumerate(zip(decoder.ups, decoder.blocks, strict=True)):
        convolutions = block.state_dict()
        first = convolutions["convs.0.conv.weight"]
        convolutions["convs.0.conv.weight"] = torch.cat(first.chunk(2, 1)[::-1], 1)  # upsampled features come first
        # Outputs of the other levels are used for deep supervision only.
        of_level = {"weight": first.new_zeros(len(bias), len(first), 1, 1, 1), "bias": torch.zeros_like(bias)}
        below = up.get_submodule("deconv").state_dict()
        parts = {"stages": convolutions, "transpconvs": below, "seg_layers": of_level}
        state |= {f"{part}.{level}.{name}": value for part, each in parts.items() for name, value in each.items()}
    last = len(decoder.blocks) - 1
    state |= {f"seg_layers.{last}.{name}": value for name, value in decoder.output.state_dict().items()}
    return _named_twice(state)


def _named_twice(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn kernels, and add the second name of every tensor of a convolution with its normalisation."""
    named: dict[str, Tensor] = {}
    for name, value in state.items():
        kernel = turned(value)
        second = re.sub(r"\.(conv|norm)\.([^.]+)$", lambda m: f".all_modules.{PLACES[m[1]]}.{m[2]}", name)
        named |= {name: kernel, second: kernel}
    return named


def _reversed(sizes: Sequence[Any]) -> list[Any]:
    return [*sizes][::-1]
