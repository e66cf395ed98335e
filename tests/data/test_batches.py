from collections import Counter
from itertools import accumulate, chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from sslmed.data.batches import EndlessBatches, EvenBatches

sizes = st.integers(1, 12)
some_groups = st.lists(st.integers(1, 5), min_size=1, max_size=3)


def _groups(*counts: int) -> list[range]:
    """Groups of so many cases each."""
    ends = [0, *accumulate(counts)]
    return [range(*each) for each in pairwise(ends)]


def _stretches(
    groups: list[range], batch_size: int, numbers: list[int], *, length: int = 5, repeats: bool = False
) -> list[list]:
    starts = iter([number * length for number in numbers])
    sampler = EndlessBatches(
        groups, batch_size, length=length, seed=3, fold=0, repeats=repeats, updates_done=lambda: next(starts)
    )
    return [list(sampler) for _ in numbers]


@given(counts=some_groups, batch_size=sizes)
def test_a_batch_holds_no_case_twice(counts: list[int], batch_size: int) -> None:
    for batch in chain(*_stretches(_groups(*counts), batch_size, [0, 1, 2])):
        cases = [draw.case for draw in batch]
        assert len(cases) == len(set(cases)) == min(batch_size, sum(counts))


@given(counts=some_groups, batch_size=sizes)
def test_each_group_gives_as_many_cases_as_any_other(counts: list[int], batch_size: int) -> None:
    groups = _groups(*counts)
    for batch in chain(*_stretches(groups, batch_size, [0, 1, 2])):
        given_by = [sum(draw.case in group for draw in batch) for group in groups]
        most = max(given_by)
        assert all(found in (most, most - 1, len(group)) for found, group in zip(given_by, groups, strict=True))


@given(n_cases=sizes, batch_size=sizes)
def test_every_batch_is_full_where_repeats_are_allowed_and_cases_are_drawn_equally(
    n_cases: int, batch_size: int
) -> None:
    batches = list(chain(*_stretches(_groups(n_cases), batch_size, [0, 1, 2], repeats=True)))
    assert all(len(batch) == batch_size for batch in batches)
    drawn = Counter(draw.case for draw in chain(*batches))
    assert max(drawn.values()) - min(drawn[case] for case in range(n_cases)) <= 2


@given(counts=some_groups, batch_size=sizes, start=st.integers(0, 4))
def test_a_resumed_run_sees_what_an_uninterrupted_one_sees(counts: list[int], batch_size: int, start: int) -> None:
    whole = _stretches(_groups(*counts), batch_size, list(range(6)))
    assert _stretches(_groups(*counts), batch_size, list(range(start, 6))) == whole[start:]


def test_seed_and_fold_change_the_order_and_no_two_draws_share_a_seed() -> None:
    runs = [
        list(EndlessBatches([range(9)], 3, length=6, seed=seed, fold=fold, repeats=False, updates_done=lambda: 0))
        for seed, fold in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
    orders = {tuple(draw.case for draw in chain(*batches)) for batches in runs}
    assert len(orders) == len(runs)
    seeds = [draw.seed for batches in runs for draw in chain(*batches)]
    assert len(set(seeds)) == len(seeds)


@given(n_cases=sizes, batch_size=sizes)
def test_even_batches_hold_every_case_once_in_order(n_cases: int, batch_size: int) -> None:
    batches = list(EvenBatches(n_cases, batch_size))
    assert [draw.case for draw in chain(*batches)] == list(range(n_cases))
    lengths = [len(batch) for batch in batches]
    assert max(lengths) <= batch_size + 1
    assert min(lengths) >= min(2, n_cases, batch_size)
    assert max(lengths) - min(lengths) <= 1
