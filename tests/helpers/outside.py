"""A pretext task and two encoders of a user's own, as they would lie in a module of theirs."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from sslmed.encoders import Encoder
from sslmed.encoders.decoder import UNetDecoder
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import Answer, PretextTask


class Inpainting(PretextTask[tuple[Tensor, Tensor]]):
    """Fill in hidden patches of the image, by a U-Net: encoder and decoder."""

    def __init__(
        self, encoder: Encoder, patch: int = 4, hidden_fraction: float = 0.4, optimization: Optimization = DEFAULT
    ) -> None:
        super().__init__(encoder, optimization)
        self.patch = patch
        self.hidden_fraction = hidden_fraction
        self.decoder = UNetDecoder(encoder, encoder.in_channels, dropout=0.0)

    def make_task(
        self, images: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        cells = [-(-side // self.patch) for side in images.shape[2:]]
        hidden = torch.rand(len(images), 1, *cells, generator=generator, device=images.device) < self.hidden_fraction
        for axis, side in enumerate(images.shape[2:], start=2):
            hidden = hidden.repeat_interleave(self.patch, axis).narrow(axis, 0, side)
        return images.masked_fill(hidden, 0), (images.float(), hidden.expand_as(images))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decoder(self.encode(inputs), inputs.shape[2:])

    def loss(self, outputs: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
        images, hidden = targets
        return ((outputs - images).square() * hidden).sum() / hidden.sum()

    def chance_answer(self, outputs: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
        images, hidden = targets
        return ((images * hidden).sum() / hidden.sum()).expand_as(outputs)

    def answers(self, outputs: Tensor, targets: tuple[Tensor, Tensor]) -> list[Answer]:
        return [Answer("filled in", image) for image in outputs]


class PatchTransformer(Encoder):
    """Patches become tokens, tokens attend to each other: one feature map, or several further reduced ones."""

    def __init__(
        self, spatial_dims: int = 3, in_channels: int = 1, width: int = 16, reductions: tuple[int, ...] = (4,)
    ) -> None:
        super().__init__()
        self.spatial_dims, self.in_channels = spatial_dims, in_channels
        self.reductions = tuple(reductions)
        self.out_channels = (width,) * len(self.reductions)
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims]
        channels = (in_channels, *self.out_channels)
        self.embed = nn.ModuleList(
            conv(before, width, coarse // fine, coarse // fine)
            for before, (fine, coarse) in zip(channels, pairwise((1, *self.reductions)), strict=False)
        )
        self.attend = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True) for _ in self.embed
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        self.check(images)
        maps, x = [], images
        for embed, attend in zip(self.embed, self.attend, strict=True):
            x = embed(x)
            x = attend(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(x.shape)
            maps.append(x)
        return maps
