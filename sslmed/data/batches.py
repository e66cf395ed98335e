"""Selects the samples of each batch: endless seeded shuffling for training, even batches for evaluation."""

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice, pairwise
from typing import NamedTuple

from torch.utils.data import Sampler

from sslmed.learning.distributed import rank, share_size, world_size


class Draw(NamedTuple):
    """Identifies one sample of a batch.

    Attributes:
        case: Position of the case.
        seed: Seed of random reading, e.g. of the place of a crop; `None` reads the whole volume.
    """

    case: int
    seed: str | None = None


class EndlessBatches(Sampler[list[Draw]]):
    """Shuffles the cases again and again, and cuts them into batches. One pass is one validation interval.

    Batch t depends on (seed, fold, t) only, so a resumed run gets the same batches as an uninterrupted one. A batch has
    no case twice if there are at least `batch_size` cases. With fewer cases it is filled with repeats, or, if `repeats`
    is false, it has one sample of every case. With several ranks, each gets an equal part of every batch.

    Args:
        groups: Positions of the cases. Each group is shuffled alone, and batches take a case of each in turn.
        batch_size: Samples per batch, over all ranks.
        length: Batches per validation interval.
        seed: Seed of the order.
        fold: Fold of the run. Each fold has its own order.
        repeats: Whether a batch larger than the number of cases repeats cases.
        updates_done: Returns the next t at the start of a validation interval. (Lightning's `set_epoch` does not reach
            batch samplers, and is one interval behind after resuming.)

    Raises:
        UserError: If a batch cannot be divided equally among the ranks.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        batch_size: int,
        *,
        length: int,
        seed: int,
        fold: int,
        repeats: bool,
        updates_done: Callable[[], int],
    ) -> None:
        self.groups = groups
        n_cases = sum(map(len, groups))
        self.batch_size = batch_size if repeats else min(batch_size, n_cases)
        self.length = length
        self.stream = f"{seed} {fold}"
        self.updates_done = updates_done
        size = share_size(self.batch_size, world_size())
        self._share = slice(rank() * size, (rank() + 1) * size)
        self._batches = self._all_batches()
        self._position = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[list[Draw]]:
        start = self.updates_done()
        if start != self._position:
            self._batches = islice(self._all_batches(), start, None)
        self._position = start + self.length
        return (batch[self._share] for batch in islice(self._batches, self.length))

    def _all_batches(self) -> Iterator[list[Draw]]:
        queues: list[deque[int]] = [deque() for _ in self.groups]
        turns = cycle(zip(self.groups, queues, strict=True))
        n_cases = sum(map(len, self.groups))
        update = 0
        generator = random.Random(f"batches {self.stream}")  # noqa: S311 - not for secrets
        while True:
            batch: list[int] = []
            while len(batch) < self.batch_size:
                cases, queue = next(turns)
                if not queue:
                    queue.extend(generator.sample(cases, len(cases)))
                # If a new shuffle begins within a batch, cases that are already in it wait for the next batch.
                position = next((i for i, case in enumerate(queue) if case not in batch), None)
                if position is None and len(batch) < n_cases:
                    continue  # the whole group is in the batch, but not yet all of the others
                position = position or 0
                batch.append(queue[position])
                del queue[position]
            yield [Draw(case, f"{self.stream} {update} {place}") for place, case in enumerate(batch)]
            update += 1


class EvenBatches(Sampler[list[Draw]]):
    """Cuts the cases, in order, into batches whose sizes differ by at most one.

    Contrastive tasks need at least two cases per batch. So no batch has a single case, unless there is only one case or
    `batch_size` is 1, and an odd number of cases in batches of 2 has one batch of 3. With several ranks, whole batches
    are distributed, so that they are the same as in a single process. A rank without a batch repeats the first one,
    because Lightning needs one; its results are not counted (see `sslmed.learning.distributed.merge`).

    Args:
        n_cases: Number of cases.
        batch_size: Cases per batch.
        seed: Seed of every sample; `None` reads whole volumes.
    """

    def __init__(self, n_cases: int, batch_size: int, *, seed: str | None = None) -> None:
        n_batches = -(-n_cases // batch_size)
        if batch_size > 1:
            n_batches = max(1, min(n_batches, n_cases // 2))
        bounds = [n_cases * i // n_batches for i in range(n_batches + 1)]
        batches = [[Draw(i, seed) for i in range(*ends)] for ends in pairwise(bounds)]
        self.batches = batches[rank() :: world_size()] or batches[:1]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Draw]]:
        return iter(self.batches)
