"""Computes folds, validation sets and nested sets of labels as pure functions of case ids and seeds.

The results do not depend on the order of the input, on files, or on the Python version. Of the standard generator only
`random.Random(str).random()` is used, a sequence that Python guarantees not to change.
"""

import math
import random
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount
from sslmed.preparation.readers.dataset import Labels

VALUE_BINS = 5  # equally large bins by which values are stratified
VALIDATION_PARTS = 5  # validation is one fifth of the cases that are not tested on


@dataclass(frozen=True, slots=True)
class Split:
    """Holds the cases of one fold. Each tuple is sorted; they are disjoint, and together they have all cases.

    For a final model, `train` has all cases, and `validation` some of them.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def split_cases(
    case_ids: Iterable[str],
    *,
    fold: int,
    n_folds: int = 5,
    split_seed: int = 0,
    groups: Mapping[str, str] | None = None,
    classes: Mapping[str, Hashable] | None = None,
) -> Split:
    """Divide labelled cases into training, validation and test cases of one cross-validation fold.

    The folds have balanced sizes, and each case is in exactly one test set. 20 % of the other cases (rounded half up,
    at least 1) are the validation cases. Both divisions are stratified by `classes` and keep groups together. With
    large groups the sizes can be approximate.

    Args:
        case_ids: The labelled cases, in any order.
        fold: The fold that is the test set, `0 <= fold < n_folds`.
        n_folds: Number of folds, at least 2.
        split_seed: Seed of the folds and the validation sets.
        groups: Case id -> group that must stay together, e.g. the patient. By default every case is its own group.
        classes: Case id -> class for stratification. By default there is one class.

    Returns:
        The cases of the fold.

    Raises:
        UserError: If the cases or groups are too few, a case is listed twice, has no group or no class, or `fold` is
            out of range.
    """
    cases = _distinct(case_ids)
    if not 0 <= fold < n_folds or n_folds < 2:
        raise UserError(f"fold {fold} of {n_folds} does not exist: expected n_folds >= 2 and 0 <= fold < n_folds")
    groups = {case: case for case in cases} if groups is None else groups
    classes = dict.fromkeys(cases, 0) if classes is None else classes
    _require_entries(cases, groups, "group")
    _require_entries(cases, classes, "class")
    n_groups = len({groups[case] for case in cases})
    if n_groups < n_folds:
        what = "cases" if n_groups == len(cases) else f"groups ({len(cases)} cases)"
        raise UserError(
            f"{n_groups} labelled {what} cannot make {n_folds} folds: label more, or lower n_folds in a preset"
        )

    test = _deal(cases, n_folds, groups, classes, seed=f"folds {split_seed}")[fold]
    rest = sorted(set(cases).difference(test))
    parts = _deal(rest, VALIDATION_PARTS, groups, classes, seed=f"validation {split_seed} {fold}")
    wanted = _round_half_up(Fraction(len(rest), VALIDATION_PARTS))
    validation = min(filter(None, parts), key=lambda part: abs(len(part) - wanted))  # at least one case
    train = sorted(set(rest).difference(validation))
    if not train:
        raise UserError(
            f"no training case is left in fold {fold}: of {len(cases)} labelled cases, {len(test)} are for testing and "
            f"{len(validation)} for validation, groups kept together; label more, or choose another number of folds"
        )
    return Split(tuple(train), tuple(sorted(validation)), tuple(sorted(test)))


def strata(labels: Labels, targets: Mapping[str, float]) -> Mapping[str, Hashable] | None:
    """Return the strata of the folds: the class, or the fifth that a value is in; `None` for other labels.

    Fifths have about the same number of cases. Equal values are in the same fifth.

    Args:
        labels: Kind of the labels.
        targets: Case id -> class index or value, of all labelled cases.
    """
    if labels == "class":
        return targets
    if labels != "value":
        return None
    ascending = sorted(targets.values())
    ends = [ascending[len(ascending) * i // VALUE_BINS] for i in range(1, VALUE_BINS)]
    return {case: bisect_right(ends, value) for case, value in targets.items()}


def label_order(
    train: Iterable[str], *, fold: int, seed: int, class_sets: Mapping[str, frozenset[int]], stratify: bool
) -> tuple[str, ...]:
    """Order training cases so that any amount of labels is a prefix: amounts are nested, and the same for every arm.

    The order starts with a small set of cases that has all occurring classes, chosen greedily.

    Args:
        train: The training cases of `fold`, in any order.
        fold: The fold. Together with `seed` it determines the order.
        seed: The seed of the run.
        class_sets: Case id -> the classes in that case: one for classification, any number for segmentation, none for
            values.
        stratify: Whether the rest is interleaved so that every prefix has the class sets in proportion to their
            frequency, as closely as the first cases allow; otherwise it is in random order.

    Returns:
        All cases of `train`, in order.

    Raises:
        UserError: If there is no case, or a case is listed twice or has no class set.
    """
    cases = _distinct(train)
    _require_entries(cases, class_sets, "class set")
    shuffled = _shuffled(cases, seed=f"labels {seed} {fold}")
    opening = _cover(shuffled, class_sets)
    rest = [case for case in shuffled if case not in opening]
    if stratify:
        rest = _interleaved(opening, rest, class_sets)
    return (*opening, *rest)


def count_labels(amount: LabelAmount, n_train: int, *, n_classes: int = 1) -> int:
    """Return the number of training cases for an amount of labels.

    A fraction f gives `max(n_classes, floor(f * n_train + 0.5))`, at most all; a number gives itself.

    Args:
        amount: A fraction is used as the written decimal number: 0.29 of 50 is 14.5, hence 15.
        n_train: Number of training cases.
        n_classes: Minimum number: one label per class in classification.

    Raises:
        UserError: If there is no training case, or a number is below `n_classes` or above `n_train`.
    """
    if n_train < 1:
        raise UserError(f"there is no labelled training case to take {amount.of_labels} of (n_train = {n_train})")
    if amount.fraction is not None:
        return min(n_train, max(n_classes, _round_half_up(Fraction(str(amount.fraction)) * n_train)))
    count = amount.count or 0
    if count > n_train:
        raise UserError(f"{amount}: there are only {n_train} labelled training cases; `all` takes all of them")
    if count < n_classes:
        raise UserError(f"{amount}: each of the {n_classes} classes needs one, so the least number is {n_classes}")
    return count


def hold_out(case_ids: Iterable[str], *, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide cases without labels into training cases and a tenth, 2 to 500, for validation.

    Args:
        case_ids: The cases, in any order.
        seed: Seed of the division.

    Returns:
        Training and validation cases, each sorted.
    """
    cases = _distinct(case_ids)
    n_validation = min(500, max(2, _round_half_up(Fraction(len(cases), 10))))
    shuffled = _shuffled(cases, seed=f"pool {seed}")
    return tuple(sorted(shuffled[n_validation:])), tuple(sorted(shuffled[:n_validation]))


def _deal(
    cases: Sequence[str], n_parts: int, groups: Mapping[str, str], classes: Mapping[str, Hashable], *, seed: str
) -> list[list[str]]:
    """Assign groups, the largest first, to the part with the fewest cases of their classes, then with the fewest cases.

    If every case is its own group, any two parts differ by at most one case in each class and in total.
    """
    members = defaultdict(list)
    for case in cases:
        members[groups[case]].append(case)
    rank = {value: i for i, value in enumerate(dict.fromkeys(classes[case] for case in cases))}
    dealt = sorted(
        _shuffled(sorted(members), seed=seed),
        key=lambda group: (-len(members[group]), rank[classes[members[group][0]]]),  # class by class
    )
    parts: list[list[str]] = [[] for _ in range(n_parts)]
    held: list[Counter[Hashable]] = [Counter() for _ in range(n_parts)]
    for group in dealt:
        profile = Counter(classes[case] for case in members[group])
        chosen = min(range(n_parts), key=lambda i: (sum(n * held[i][c] for c, n in profile.items()), len(parts[i])))
        parts[chosen] += members[group]
        held[chosen] += profile
    return parts


def _cover(cases: Sequence[str], class_sets: Mapping[str, frozenset[int]]) -> list[str]:
    """Choose few cases with all classes: repeatedly the first case with the most missing classes.

    At most 1 + ln n times the minimum if a case has n classes (Chvatal 1979, https://doi.org/10.1287/moor.4.3.233).
    """
    chosen: list[str] = []
    missing = frozenset[int]().union(*(class_sets[case] for case in cases))
    while missing:
        chosen.append(max(cases, key=lambda case: len(class_sets[case] & missing)))
        missing -= class_sets[chosen[-1]]
    return sorted(chosen, key=cases.index)


def _interleaved(opening: Sequence[str], rest: Sequence[str], strata: Mapping[str, Hashable]) -> list[str]:
    """Sort `rest` so that the prefixes of `opening + rest` are proportional (the divisor method of Sainte-Laguë)."""
    sizes = Counter(strata[case] for case in (*opening, *rest))
    seen: Counter[Hashable] = Counter()
    position = {}
    for case in (*opening, *rest):
        position[case] = (seen[strata[case]] + 0.5) / sizes[strata[case]]
        seen[strata[case]] += 1
    return sorted(rest, key=position.__getitem__)


def _shuffled(items: Iterable[str], *, seed: str) -> list[str]:
    generator = random.Random(seed)  # noqa: S311 - nothing secret; shuffle() may change between versions, random() may not
    return sorted(items, key=lambda _: generator.random())


def _round_half_up(number: Fraction) -> int:
    return math.floor(number + Fraction(1, 2))


def _distinct(case_ids: Iterable[str]) -> list[str]:
    cases = sorted(case_ids)
    if not cases:
        raise UserError("there is no labelled case; at least one image needs a label")
    repeated = [case for case, times in Counter(cases).items() if times > 1]
    if repeated:
        raise UserError(f"cases are listed more than once: {', '.join(repeated)}")
    return cases


def _require_entries(cases: Sequence[str], mapping: Collection[str], what: str) -> None:
    missing = [case for case in cases if case not in mapping]
    if missing:
        raise UserError(f"these cases have no {what}: {', '.join(missing)}")
