"""`sslmed reproduce --dry-run`: what is done and to do, and what runs see of the data."""

from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from sslmed.core.label_amount import ALL, LabelAmount
from sslmed.core.text import count, image_counts, shorten
from sslmed.data.selection import select_labelled, select_pool, select_pretraining, split_store, split_without_test
from sslmed.data.splits import Split
from sslmed.evaluation.resolution import lost_labels
from sslmed.experiments.arms import Arm
from sslmed.experiments.by_hand import commands
from sslmed.experiments.cost import cost_lines
from sslmed.experiments.executors.local import Executor, Local
from sslmed.experiments.finished import is_done, stale_runs
from sslmed.experiments.grid import Grid
from sslmed.experiments.inputs import Inputs
from sslmed.experiments.places import Places
from sslmed.experiments.runs import Run
from sslmed.experiments.seen import SeenData
from sslmed.experiments.sources import Source
from sslmed.preparation.store import Store


def print_dry_run(
    grid: Grid, runs: Sequence[Run], inputs: Inputs, places: Places, *, executor: Executor, by_hand: bool
) -> None:
    """Print how many runs of each arm are done, and estimates of time, disk and memory.

    With `by_hand`, also print the commands that do a run, whose files must be there.
    """
    source, seen = inputs.source, places.seen
    console = Console(soft_wrap=True)
    work = places.work
    done = {run for run in runs if is_done(work, run)}
    table = _overview(runs, done)
    table.title = f"{work.parent.name}: {work.name}, runs that are done"
    console.print(table)
    todo = [run for run in runs if run not in done]
    lines = _data_lines(grid, runs, inputs, seen)
    lines += [] if source is None else [_source_line(source, None if seen is None else seen.source)]
    why = f" {executor.why}" if isinstance(executor, Local) and executor.why else ""
    lines.append(
        f"runs: {len(runs)}, of which {len(done)} are done and {len(todo)} are to do, {executor.jobs} side by side{why}"
    )
    for reason, stale in stale_runs(work, runs).items():
        names = shorten([run.name for run in stale])
        lines.append(f"{reason}; will set {count(len(stale), 'old run')} aside: {names}")
    n_train = None if seen is None else len(_split(grid, runs, seen.store, grid.folds[0]).train)
    lines += cost_lines(grid, todo, places, n_train, executor)
    if by_hand and todo and seen is not None and (inputs.pool is None or seen.pool is not None):
        lines += ["by hand, e.g.:", *commands(todo[0], inputs, places, seen, grid)]
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _overview(runs: Sequence[Run], done: Set[Run]) -> Table:
    """Count the runs of each arm that are done, of all: pretraining, and fine-tuning with each amount of labels."""
    amounts: list[LabelAmount | None] = [*sorted({run.labels for run in runs if run.labels is not None})]
    if any(run.labels is None for run in runs):
        amounts.insert(0, None)
    table = Table(Column("arm", overflow="fold"), title_justify="left")
    for amount in amounts:
        table.add_column("pretraining" if amount is None else str(amount), justify="right")
    for arm in dict.fromkeys(run.arm for run in runs):
        cells = [{run for run in runs if (run.arm, run.labels) == (arm, amount)} for amount in amounts]
        table.add_row(arm, *(f"{len(cell & done)}/{len(cell)}" if cell else "" for cell in cells))
    return table


def _data_lines(grid: Grid, runs: Sequence[Run], inputs: Inputs, seen: SeenData | None) -> list[str]:
    """Count cases: of each fold, for pretraining, and with labels."""
    if seen is None:
        return [f"data: {_absent(inputs.data)}"]
    store, pool = seen.store, inputs.pool
    counts = f"{len(store.labelled)} labelled, {len(store.unlabelled)} unlabelled cases"
    lines = [f"data: {_listed(inputs.data.folders)}: {counts}"]
    stores = (store, seen.pool, seen.source)
    lines += [_unprepared_line(each) for each in stores if each is not None and each.unprepared]
    lines += [f"warning: {each}" for each in lost_labels(store)]
    transductive = _is_transductive(runs)
    lines += [_fold_line(grid, runs, store, fold, transductive=transductive) for fold in grid.folds]
    lines += _repeated_lines(grid, runs, store)
    if seen.pool is not None and pool is not None:
        lines.append(
            f"external pool: {_listed(pool.folders)}: pretraining sees {image_counts(select_pool(seen.pool).counts)}"
        )
        lines += [f"left out, e.g.: {problem}" for problem in seen.pool.problems[:1]]
    elif pool is not None:
        lines.append(f"external pool: {_listed(pool.folders)} (not here yet: it will be downloaded)")
    return lines


def _absent(source: Source) -> str:
    return f"{_listed(source.folders)} (not here yet: it will be {'generated' if source.is_phantom else 'downloaded'})"


def _source_line(source: Source, store: Store | None) -> str:
    if store is None:
        return f"labelled source: {_absent(source) if source.is_absent else source.folder}"
    split = split_without_test(store)
    return (
        f"labelled source: {source.folder}: pretraining sees images and labels of "
        f"{count(len(split.train), 'case')}, and {len(split.validation)} for validation"
    )


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


def _unprepared_line(store: Store) -> str:
    cases = sorted(store.unprepared)
    return (
        f"{count(len(cases), 'case')} not prepared yet, as new or changed ({shorten(cases)}): runs that see any of "
        "them are to do, and copies of an image, which count once in pretraining, are not known among them"
    )


def _split(grid: Grid, runs: Sequence[Run], store: Store, fold: int) -> Split:
    run = next(run for run in runs if run.labels is not None)
    split_seed = run.setting("data.split_seed", 0)
    return split_store(store, fold=fold, n_folds=grid.preset.n_folds, split_seed=split_seed, final=grid.final)


def _fold_line(grid: Grid, runs: Sequence[Run], store: Store, fold: int, *, transductive: bool) -> str:
    split = _split(grid, runs, store, fold)
    pretraining = select_pretraining(store, split, transductive=transductive)
    numbers = _numbers_of_labels(grid, runs, store, fold).items()
    labels = ", ".join(str(a) if a.fraction is None else f"{a} = {number}" for a, number in numbers)
    return (
        f"fold {fold}: {len(split.train)} training, {len(split.validation)} validation, {len(split.test)} test cases; "
        f"pretraining sees {image_counts(pretraining.counts)}{', those of test cases too' * transductive}; "
        f"labelled for training: {labels}"
    )


def _numbers_of_labels(grid: Grid, runs: Sequence[Run], store: Store, fold: int) -> dict[LabelAmount, int]:
    split = _split(grid, runs, store, fold)
    return {
        amount: len(select_labelled(store, split, amount, fold=fold, seed=grid.seeds[0]).training)
        for amount in sorted(grid.labels)
    }


def _repeated_lines(grid: Grid, runs: Sequence[Run], store: Store) -> list[str]:
    """Warn of amounts of labels that are the same cases, and give the option without those that are so in all folds."""
    same, repeated = defaultdict[str, list[int]](list), Counter[LabelAmount]()
    for fold in grid.folds:
        numbers = _numbers_of_labels(grid, runs, store, fold)
        for number in dict.fromkeys(numbers.values()):
            equal = [amount for amount, its_number in numbers.items() if its_number == number]
            if len(equal) > 1:
                same[f"{' and '.join(map(str, equal))} are the same, n = {number}"].append(fold)
                repeated.update(equal[:-1])
    lines = [f"warning: in fold{'s' * (len(of) > 1)} {', '.join(map(str, of))}, {what}" for what, of in same.items()]
    kept = [amount for amount in sorted(grid.labels) if repeated[amount] < len(grid.folds)]
    if len(kept) == len(grid.labels):
        return lines
    in_fractions = all(amount.fraction is not None for amount in kept)
    values = [f"{each.fraction:g}" if in_fractions else str(each.count or ALL) for each in kept]
    return [*lines, f"to train each once: --{'fractions' if in_fractions else 'labels'} {' '.join(values)}"]


def _is_transductive(runs: Sequence[Run]) -> bool:
    """Whether any pretraining run on the dataset's own images is configured as transductive."""
    own = (run for run in runs if run.labels is None and Arm.parse(run.arm).sees_the_dataset)
    of_arms = {run.arm: run for run in own}
    return any(run.setting("data.transductive", False) for run in of_arms.values())
