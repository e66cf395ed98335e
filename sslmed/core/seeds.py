"""Derives the seeds of a run from their purpose, the run's seed and its fold.

Folds have different initial weights and batches, so that their scores are independent repetitions of training. The arms
of one fold have the same initial weights and batches, so that they can be compared in pairs.
"""

from zlib import crc32

import numpy as np


def derived_seed(purpose: str, *numbers: int) -> int:
    """Mix numbers into a seed of 32 bits, as torch's CPU generator uses no more.

    Source: https://numpy.org/doc/stable/reference/random/bit_generators/generated/numpy.random.SeedSequence.html.

    Args:
        purpose: Purpose of the random numbers, e.g. `"weights"`. Other purposes give unrelated seeds.
        numbers: Seed, fold, update and other numbers that identify this use; each at least 0.

    Returns:
        A seed in [0, 2³²).
    """
    # The count makes lists unique: SeedSequence treats [1] and [1, 0] alike.
    entropy = [crc32(purpose.encode()), *numbers, len(numbers)]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
