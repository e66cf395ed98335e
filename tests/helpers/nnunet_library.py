"""nnU-Net's own network, where its library is installed: `pip install --no-deps dynamic-network-architectures==0.4.4`.

With its dependencies the library replaces torchvision, which fails to import beside a torch for CPUs; the network needs
none of them.
"""

from typing import Any

import pytest
from torch import nn

from sslmed.encoders import ResidualEncoder

LAYERS = {
    2: {"conv_op": nn.Conv2d, "norm_op": nn.InstanceNorm2d},
    3: {"conv_op": nn.Conv3d, "norm_op": nn.InstanceNorm3d},
}


def library_network(encoder: ResidualEncoder, num_classes: int = 2) -> Any:
    """Build `ResidualEncoderUNet` with the sizes of an encoder; the test is skipped where that cannot be imported."""
    unet = pytest.importorskip("dynamic_network_architectures.architectures.unet", exc_type=ImportError)
    network = unet.ResidualEncoderUNet(
        input_channels=encoder.in_channels,
        n_stages=len(encoder.out_channels),
        features_per_stage=encoder.out_channels,
        kernel_sizes=encoder.kernel_sizes,
        strides=encoder.strides,
        n_blocks_per_stage=[len(stage.blocks) for stage in encoder.stages],
        num_classes=num_classes,
        n_conv_per_stage_decoder=1,
        conv_bias=True,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        **LAYERS[encoder.spatial_dims],
    )
    network.apply(network.initialize)
    return network.eval()
