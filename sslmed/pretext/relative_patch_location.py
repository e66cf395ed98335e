"""Relative patch location: predict the place of a patch relative to the centre patch of the image.

Sources: in 2-D Doersch et al. 2015, https://arxiv.org/abs/1505.05192; in 3-D Taleb et al. 2020, section 3,
https://arxiv.org/abs/2006.03829.
"""

import numpy as np
import torch
from torch import Tensor

from sslmed.core.numbers import Index
from sslmed.encoders import Encoder
from sslmed.encoders.heads import Head, HeadCallable
from sslmed.learning.optimization import DEFAULT, Optimization
from sslmed.pretext.base import ClassificationTask
from sslmed.pretext.patches import GRID, check_jitter, cut_cells


class RelativePatchLocation(ClassificationTask):
    """Predicts which cell around the centre of a 3-per-side grid a patch is from (26 cells in 3-D, 8 in 2-D).

    Sources: in 2-D Doersch et al. 2015, https://arxiv.org/abs/1505.05192; in 3-D Taleb et al. 2020, section 3,
    https://arxiv.org/abs/2006.03829.

    Args:
        encoder: See `PretextTask`. It encodes one patch at a time.
        jitter: How much smaller than its cell a patch is, in voxels (published: 3 of 42 in 3-D, 8 of 74 and 4 of 42 in
            2-D); by default a tenth of the cell, but at least 1.
        head: Builds the classifier.
        optimization: See `PretextTask`.

    Raises:
        InputError: If `jitter` is negative.
    """

    def __init__(
        self,
        encoder: Encoder,
        jitter: Index | None = None,
        head: HeadCallable = Head,
        optimization: Optimization = DEFAULT,
    ) -> None:
        super().__init__(encoder, 2, GRID**encoder.spatial_dims - 1, head, optimization)
        self.jitter = check_jitter(jitter)

    def class_name(self, index: int) -> str:
        """Name a cell by its steps from the centre along each axis, as `cell (-1, 0, +1)`."""
        number = index + (index >= self.num_classes // 2)
        steps = np.array(np.unravel_index(number, (GRID,) * self.encoder.spatial_dims)) - 1
        return f"cell ({', '.join(f'{step:+d}' if step else '0' for step in steps)})"

    def make_task(self, images: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Cut a patch from the centre cell and one from another random cell of every image.

        Args:
            images: `(B, C, *spatial)`.
            generator: See `PretextTask.make_task`.

        Returns:
            The two patches `(B, 2, C, *patch)`, the centre first; and the row-major number of the other cell, not
            counting the centre, `(B,)`.

        Raises:
            InputError: If the patches are too small for the encoder.
        """
        self.encoder.check(images)
        targets = torch.randint(self.num_classes, (len(images),), generator=generator, device=images.device)
        centre = self.num_classes // 2
        cells = torch.stack((torch.full_like(targets, centre), targets + (targets >= centre)), dim=1)
        return cut_cells(images, cells, self.jitter, self.encoder, generator), targets
