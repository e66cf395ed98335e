"""Makes one dataset of several: folders, tables, and known datasets."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sslmed.core.errors import DataError
from sslmed.preparation.channels import UNNAMED, agree, name_channels
from sslmed.preparation.readers import table
from sslmed.preparation.readers.dataset import KINDS, Dataset
from sslmed.preparation.readers.names import name_cases
from sslmed.preparation.settings import is_ct


def merge(datasets: Sequence[Dataset]) -> Dataset:
    """Put the cases of several datasets together; a case is called `<source>%2F<case>`.

    Sources are called as their folder or table, or as the part of the path that differs.

    Raises:
        DataError: If their images or labels are of different kinds, or channels are in another order.
    """
    paths = [_place(each.root.absolute()) for each in datasets]
    sources = dict(zip(paths, name_cases(paths), strict=True))
    again = [str(each.root) for each, path in zip(datasets, paths, strict=True) if paths.count(path) > 1]
    if again:
        raise DataError([f"{again[0]}: is given twice, by its name without .csv; give it once, or rename one"])
    labelled = [each for each in datasets if each.labels != "none"]
    named = [each for each in datasets if each.modalities != name_channels(len(each.modalities))]
    _require_one("images are of {} dimensions", datasets, [str(each.spatial_dims) for each in datasets])
    _require_one("images have {} channels", datasets, [str(len(each.modalities)) for each in datasets])
    _require_one("labels are {}", labelled, [KINDS[each.labels] for each in labelled])
    _require_one("classes are {}", labelled, [", ".join(each.label_names.values()) for each in labelled])
    kinds = [" and ".join("CT" if is_ct(name) else "no CT" for name in each.modalities) for each in named]
    _require_one("images are {}", named, kinds)
    same = [agree(named[0].modalities, each.modalities) for each in named]
    if len(datasets[0].modalities) > 1:  # one alone has no order, and a pool may hold T1 and T2
        names = [named[0 if as_first else index].modalities for index, as_first in enumerate(same)]
        _require_one("channels are {}", named, [", ".join(each) for each in names])
    cases = [
        replace(case, id=f"{source}%2F{case.id}", source=source)
        for source, each in zip(sources.values(), datasets, strict=True)
        for case in each.cases
    ]
    return replace(
        (labelled or datasets)[0],
        name="+".join(each.name for each in datasets),
        modalities=(named or datasets)[0].modalities if all(same) else UNNAMED,
        cases=tuple(sorted(cases, key=lambda case: case.id)),
        label_maps=tuple(path for each in datasets for path in each.label_maps),
    )


def _place(root: Path) -> str:
    """Return the path of a folder, or of a table without its extension; a `table.csv` is called as its folder."""
    if root.name == table.NAME:
        return str(root.parent)
    return str(root.with_suffix("") if root.is_file() else root)


def _require_one(words: str, datasets: Sequence[Dataset], values: Sequence[str]) -> None:
    other = next((index for index, value in enumerate(values) if value != values[0]), None)
    if other is not None:
        there, here = words.format(values[other]), words.format(values[0])
        raise DataError([f"{datasets[other].root}: its {there}, but of {datasets[0].root} the {here}; use one kind"])
