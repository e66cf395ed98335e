"""Makes one dataset of several: folders, tables, and known datasets."""

from collections.abc import Sequence
from dataclasses import replace

from sslmed.core.errors import DataError
from sslmed.preparation.readers.dataset import KINDS, Dataset
from sslmed.preparation.readers.names import name_cases
from sslmed.preparation.readers.volumes import UNNAMED
from sslmed.preparation.settings import is_ct


def merge(datasets: Sequence[Dataset]) -> Dataset:
    """Put the cases of several datasets together; a case is called `<source>%2F<case>`.

    Sources are called as their folder or table, or as the part of the path that differs.

    Raises:
        DataError: If their images or labels are of different kinds.
    """
    paths = [str(each.root.absolute().with_suffix("")) for each in datasets]
    sources = dict(zip(paths, name_cases(paths), strict=True))
    if len(sources) < len(datasets):
        raise DataError([f"{datasets[0].root}: is given twice; give each folder or table once"])
    labelled = [each for each in datasets if each.labels != "none"]
    named = [each for each in datasets if each.modalities != UNNAMED]
    _require_one("images are of {} dimensions", datasets, [str(each.spatial_dims) for each in datasets])
    _require_one("images have {} channels", datasets, [str(len(each.modalities)) for each in datasets])
    _require_one("labels are {}", labelled, [KINDS[each.labels] for each in labelled])
    _require_one("classes are {}", labelled, [", ".join(each.label_names.values()) for each in labelled])
    kinds = [" and ".join("CT" if is_ct(name) else "no CT" for name in each.modalities) for each in named]
    _require_one("images are {}", named, kinds)
    cases = [
        replace(case, id=f"{source}%2F{case.id}", source=source)
        for source, each in zip(sources.values(), datasets, strict=True)
        for case in each.cases
    ]
    return replace(
        (labelled or datasets)[0],
        name="+".join(each.name for each in datasets),
        modalities=(named or datasets)[0].modalities,
        cases=tuple(sorted(cases, key=lambda case: case.id)),
    )


def _require_one(words: str, datasets: Sequence[Dataset], values: Sequence[str]) -> None:
    other = next((index for index, value in enumerate(values) if value != values[0]), None)
    if other is not None:
        there, here = words.format(values[other]), words.format(values[0])
        raise DataError([f"{datasets[other].root}: its {there}, but of {datasets[0].root} the {here}; use one kind"])
