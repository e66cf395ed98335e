"""Every random number of a run follows from what it is for, the run's seed and its fold.

Folds then differ in initial weights and batches, so that their scores are independent repetitions of training, while
the arms of one fold share both, so that they can be compared in pairs.
"""

from zlib import crc32

import numpy as np


def derived_seed(purpose: str, *numbers: int) -> int:
    """Mix numbers into a seed of 32 bits, which is what torch's CPU generator uses of one.

    Args:
        purpose: What the random numbers are for, e.g. `"weights"`; other purposes give unrelated seeds.
        numbers: Seed, fold, update and whatever else tells this use from others; at least 0 each.
    """
    # The count ends the list: SeedSequence takes [1] and [1, 0] for the same.
    entropy = [crc32(purpose.encode()), *numbers, len(numbers)]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
