"""Which samples make a batch: an endless seeded reshuffle for training, even batches for evaluation."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import NamedTuple

from torch.utils.data import Sampler

from sslmed.learning.distributed import rank, share_size, world_size


class Draw(NamedTuple):
    """One sample of a batch.

    Attributes:
        case: Which case, by its position.
        seed: Seeds what is random in reading it, i.e. where a crop lies; `None` reads the whole volume.
    """

    case: int
    seed: str | None = None


class EndlessBatches(Sampler[list[Draw]]):
    """An endless reshuffle of the cases, cut into batches; one pass over this sampler is one stretch of it.

    Batch t is a function of (seed, fold, t) alone, so a resumed run sees what an uninterrupted one sees. A batch holds
    no case twice as long as there are `batch_size` cases; with fewer cases it is filled up with repeats, or, if
    `repeats` is false, it is as large as the number of cases. Where several ranks train, each gets an equal part of
    every batch.

    Args:
        n_cases: Number of cases.
        batch_size: Samples per batch, of all ranks together.
        length: Batches per stretch.
        seed: Seed of the reshuffle.
        fold: Fold of the run, which has a reshuffle of its own.
        repeats: Whether a batch larger than the number of cases repeats cases.
        updates_done: Tells at the start of a stretch which t comes next. (Lightning's `set_epoch` does not reach batch
            samplers, and is a stretch behind after resuming.)

    Raises:
        UserError: If a batch cannot be divided equally among the ranks.
    """

    def __init__(
        self,
        n_cases: int,
        batch_size: int,
        *,
        length: int,
        seed: int,
        fold: int,
        repeats: bool,
        updates_done: Callable[[], int],
    ) -> None:
        self.n_cases = n_cases
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
        cases = range(self.n_cases)
        queue: deque[int] = deque()
        update = 0
        generator = random.Random(f"batches {self.stream}")  # noqa: S311 - not for secrets
        while True:
            batch: list[int] = []
            while len(batch) < self.batch_size:
                if not queue:
                    queue = deque(generator.sample(cases, self.n_cases))
                # Where a new shuffle begins within a batch, cases that the batch holds already wait for the next one.
                position = next((i for i, case in enumerate(queue) if case not in batch), 0)
                batch.append(queue[position])
                del queue[position]
            yield [Draw(case, f"{self.stream} {update} {place}") for place, case in enumerate(batch)]
            update += 1


class EvenBatches(Sampler[list[Draw]]):
    """Cases in order, in batches whose sizes differ by at most one.

    No batch is of one case unless there is only one, or `batch_size` is 1: contrastive tasks need two. For their
    sake an odd number of cases in batches of 2 makes one batch of 3. Where there are several ranks, the batches are
    dealt out whole, so that they are those of a single process; a rank that gets none repeats the first, as Lightning
    wants one, and what it finds out is not counted (see `sslmed.learning.distributed.merge`).

    Args:
        n_cases: Number of cases.
        batch_size: Cases in a batch.
        seed: What every draw is seeded with; `None` reads whole volumes.
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
