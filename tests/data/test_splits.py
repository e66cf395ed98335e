"""The protocol's splits as properties."""

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.data.selection import HELD_OUT, Selection, select_pretraining
from sslmed.data.splits import Split, count_labels, hold_out, label_order, split_cases, strata
from sslmed.preparation.groups import merge_groups

FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)

case_lists = st.lists(st.text("abcxyz019_", min_size=1, max_size=6), min_size=7, max_size=60, unique=True)


@st.composite
def classified_cases(draw):
    cases = draw(case_lists)
    return {case: draw(st.sampled_from("aaabbc")) for case in cases}


@st.composite
def grouped_cases(draw):
    cases = draw(case_lists)
    groups = {case: draw(st.sampled_from("pqrstuvwxyz")) for case in cases[5:]}
    return groups | dict(zip(cases, "pqrst", strict=False))  # at least five groups


@st.composite
def class_sets(draw, min_size=1):
    sets = draw(st.lists(st.frozensets(st.integers(0, 5), max_size=4), min_size=min_size, max_size=12))
    return {f"case{i}": classes for i, classes in enumerate(sets)}


def proportional(part, whole, share, classes):
    """Whether `part` holds `share` of each class of `whole`, to the nearest case up or down."""
    held, total = (Counter(classes[case] for case in cases) for cases in (part, whole))
    return all(abs(held[c] - share * total[c]) < 1 for c in total)


@given(classified_cases(), st.integers(0, 3))
def test_every_case_is_tested_on_once_and_folds_and_validation_are_stratified(classes, split_seed):
    n_folds = 5
    splits = [split_cases(classes, fold=k, split_seed=split_seed, classes=classes) for k in range(n_folds)]
    assert sorted(case for split in splits for case in split.test) == sorted(classes)
    for split in splits:
        assert sorted(split.train + split.validation + split.test) == sorted(classes)
        assert abs(len(split.test) - len(classes) / n_folds) < 1
        rest = split.train + split.validation
        assert len(split.validation) == max(1, math.floor(Fraction(len(rest), 5) + Fraction(1, 2)))
        assert proportional(split.test, classes, 1 / n_folds, classes)
        assert proportional(split.validation, rest, 1 / 5, classes)


@given(grouped_cases(), st.integers(0, 4))
def test_groups_stay_together(groups, fold):
    try:
        split = split_cases(groups, fold=fold, groups=groups)
    except UserError as error:  # one group may hold nearly all cases
        assert "no training case is left" in str(error)  # noqa: PT017
        return
    homes = [{groups[case] for case in part} for part in (split.train, split.validation, split.test)]
    assert all(homes)
    assert sum(map(len, homes)) == len(set(groups.values()))


def test_groups_of_equal_size_give_equal_folds():
    groups = {f"patient{p}-scan{s}": f"patient{p}" for p in range(25) for s in range(3)}
    classes = {case: int(group[-1]) % 2 for case, group in groups.items()}
    for fold in range(5):
        split = split_cases(groups, fold=fold, groups=groups, classes=classes)
        assert (len(split.train), len(split.validation), len(split.test)) == (48, 12, 15)
        assert Counter(classes[case] for case in split.test).most_common() in ([(0, 9), (1, 6)], [(1, 9), (0, 6)])


def test_small_groups_fill_up_the_folds_without_a_large_one():
    groups = {f"case{i:02}": "large" if i < 6 else f"patient{i}" for i in range(30)}
    assert [len(split_cases(groups, fold=k, groups=groups).test) for k in range(5)] == [6] * 5


@given(classified_cases(), st.randoms())
def test_the_order_of_the_input_is_irrelevant(classes, random):
    shuffled = list(classes)
    random.shuffle(shuffled)
    again = {case: classes[case] for case in shuffled}
    split = split_cases(classes, fold=1, classes=classes)
    assert split_cases(shuffled, fold=1, classes=again) == split
    sets = {case: frozenset({ord(c)}) for case, c in classes.items()}
    order = label_order(split.train, fold=1, seed=0, class_sets=sets, stratify=True)
    assert label_order(reversed(split.train), fold=1, seed=0, class_sets=sets, stratify=True) == order


def test_seeds_change_what_they_should():
    cases = [f"case{i:02}" for i in range(48)]
    sets = dict.fromkeys(cases, frozenset({0, 1}))
    assert split_cases(cases, fold=0, split_seed=1) != split_cases(cases, fold=0)
    train = split_cases(cases, fold=0).train
    seeds = [(fold, seed) for fold in range(2) for seed in range(3)]
    orders = {label_order(train, fold=f, seed=s, class_sets=sets, stratify=False) for f, s in seeds}
    assert len(orders) == 6
    assert {tuple(sorted(order)) for order in orders} == {train}


def test_splits_never_change_between_versions():
    """A changed split makes every published number incomparable: if this fails, the code is wrong, not the test."""
    cases = [f"case{i:02}" for i in range(12)]
    split = split_cases(cases, fold=0)
    sets = {case: frozenset({i % 3}) for i, case in enumerate(cases)}
    order = label_order(split.train, fold=0, seed=0, class_sets=sets, stratify=True)
    assert split.test == ("case02", "case05", "case11")
    assert split.validation == ("case06", "case07")
    assert order == ("case01", "case08", "case03", "case10", "case00", "case04", "case09")


@given(class_sets(), st.booleans(), st.integers(0, 3))
def test_the_order_opens_with_a_small_cover(sets, stratify, seed):
    order = label_order(sets, fold=0, seed=seed, class_sets=sets, stratify=stratify)
    assert sorted(order) == sorted(sets)
    everything = frozenset().union(*sets.values())
    covers = (c for n in range(len(sets) + 1) for c in combinations(sets.values(), n))
    smallest = len(next(c for c in covers if frozenset().union(*c) == everything))
    # Greedily, n classes take at most 1 + 1/2 + … + 1/n times as many cases as needed (Chvatal 1979).
    n_cases = math.floor(smallest * sum(1 / n for n in range(1, max(map(len, sets.values())) + 1)))
    assert frozenset().union(*(sets[case] for case in order[:n_cases])) == everything


def test_many_classes_in_many_cases_are_covered_in_an_instant():
    random = Random(0)
    sets = {f"case{i:03}": frozenset(random.sample(range(104), 20)) for i in range(400)}
    order = label_order(sets, fold=0, seed=0, class_sets=sets, stratify=False)
    assert frozenset().union(*(sets[case] for case in order[:20])) == frozenset(range(104))


@given(classified_cases(), st.integers(0, 3))
def test_fractions_are_nested_and_proportional_and_hold_every_class(classes, seed):
    sets = {case: frozenset({ord(c)}) for case, c in classes.items()}
    n_classes = len(set(classes.values()))
    order = label_order(classes, fold=0, seed=seed, class_sets=sets, stratify=True)
    counts = [count_labels(LabelAmount(fraction=f), len(order), n_classes=n_classes) for f in FRACTIONS]
    assert counts == sorted(counts)
    assert counts[-1] == len(order)
    total = Counter(classes.values())
    held = Counter(classes[case] for case in order[:n_classes])
    assert held == dict.fromkeys(total, 1)
    for case in order[n_classes:]:  # Sainte-Laguë: the next seat is for the largest quotient
        quotients = {c: Fraction(total[c], 2 * held[c] + 1) for c in total if held[c] < total[c]}
        assert quotients[classes[case]] == max(quotients.values())
        held[classes[case]] += 1


def test_the_rest_of_a_stratified_order_is_interleaved():
    sets = {f"a{i}": frozenset({0}) for i in range(30)} | {f"b{i}": frozenset({1}) for i in range(10)}
    order = label_order(sets, fold=0, seed=0, class_sets=sets, stratify=True)
    for n in range(2, 41):
        assert abs(sum(case[0] == "b" for case in order[:n]) - n / 4) < 1


@pytest.mark.parametrize(
    ("fraction", "n_train", "n_classes", "expected"),
    [
        (0.05, 30, 1, 2),  # 1.5 is rounded up
        (0.05, 38, 1, 2),
        (0.29, 50, 1, 15),  # 14.5; in floating point 14.499999999999998
        (0.05, 3, 1, 1),
        (0.05, 38, 5, 5),
        (1.0, 3, 5, 3),
        (1, 7, 1, 7),
    ],
)
def test_fractions_are_counted(fraction, n_train, n_classes, expected):
    assert count_labels(LabelAmount(fraction=fraction), n_train, n_classes=n_classes) == expected


@pytest.mark.parametrize(
    ("count", "words"),
    [(4, "the 5 classes needs one, so the least number is 5"), (8, "only 7 labelled training cases")],
)
def test_numbers_of_labels_are_themselves_within_what_there_is(count, words):
    assert [count_labels(LabelAmount(count=n), 7, n_classes=5) for n in (5, 6, 7)] == [5, 6, 7]
    with pytest.raises(UserError, match=words):
        count_labels(LabelAmount(count=count), 7, n_classes=5)


CASES = [f"case{i}" for i in range(10)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: split_cases([], fold=0), "no labelled case"),
        (lambda: split_cases(CASES[:4], fold=0), "4 labelled cases cannot make 5 folds"),
        (lambda: split_cases(CASES, fold=5), "fold 5 of 5 does not exist"),
        (lambda: split_cases(CASES, fold=-1), "fold -1 of 5 does not exist"),
        (lambda: split_cases(CASES, fold=0, n_folds=1), "n_folds >= 2"),
        (lambda: split_cases([*CASES, "case3"], fold=0), "more than once: case3"),
        (lambda: split_cases(CASES, fold=0, groups=dict.fromkeys(CASES, "p")), r"1 labelled groups \(10 cases\)"),
        (lambda: split_cases(CASES, fold=0, classes={"case0": 1}), "no class: case1, case2"),
        (lambda: split_cases(CASES[:2], fold=0, n_folds=2), "no training case is left in fold 0"),
        (lambda: label_order([], fold=0, seed=0, class_sets={}, stratify=False), "no labelled case"),
        (lambda: label_order(["a"], fold=0, seed=0, class_sets={}, stratify=False), "no class set: a"),
        (lambda: LabelAmount(fraction=math.nan), "got nan"),
        (lambda: count_labels(LabelAmount(fraction=0.5), 0), "no labelled training case"),
    ],
)
def test_unusable_input_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.lists(st.sampled_from("pqrstuv"), max_size=3)))
def test_groups_are_the_connected_components_named_after_their_first_case(keys):
    groups = merge_groups(keys)
    assert groups.keys() == keys.keys()
    for case in keys:
        reached = {case}
        while wider := {b for a in reached for b in keys if set(keys[a]) & set(keys[b])} - reached:
            reached |= wider
        assert groups[case] == min(reached)


@given(case_lists, st.integers(0, 3))
def test_a_pool_is_divided_whatever_its_order(cases, seed):
    train, validation = hold_out(cases, seed=seed)
    assert sorted((*train, *validation)) == sorted(cases)
    assert len(validation) == max(2, math.floor(len(cases) / 10 + 0.5))
    assert hold_out(cases[::-1], seed=seed) == (train, validation)


def test_folds_of_values_have_as_many_of_every_fifth() -> None:
    values = {f"case{number:02}": float((7 * number) % 50) for number in range(50)}
    fifths = strata("value", values)
    assert fifths is not None
    for fold in range(5):
        split = split_cases(values, fold=fold, classes=fifths)
        assert sorted(values[case] // 10 for case in split.test) == sorted([0, 1, 2, 3, 4] * 2)


def test_equal_values_are_in_one_stratum_and_maps_have_none() -> None:
    assert strata("value", dict.fromkeys("abc", 3.0)) == dict.fromkeys("abc", 4)
    assert strata("class", {"a": 1, "b": 0}) == {"a": 1, "b": 0}
    assert strata("map", {}) is None


def test_pretraining_leaves_out_unlabelled_images_of_held_out_patients_and_a_final_model_holds_nobody_out():
    cases = ("a1", "a2", "b1", "b2", "c1", "c2")
    store = SimpleNamespace(groups={c: c[0] for c in cases}, unlabelled=cases[1::2], distinct=tuple, problems=())
    fold = select_pretraining(store, Split(("a1",), ("b1",), ("c1",)), transductive=False)
    assert (fold.training, fold.left_out[HELD_OUT]) == (("a1", "a2"), 2)
    final = select_pretraining(store, Split(("a1", "b1", "c1"), ("b1",), ()), transductive=False)
    assert {*final.training} == {*cases}


def test_images_that_a_final_model_trains_and_validates_on_are_counted_once():
    assert Selection(("a", "b"), ("b",)).counts == {"used": 2, "for validation": 0}
