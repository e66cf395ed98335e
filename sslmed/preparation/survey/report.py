"""What a survey found, as JSON values: `sslmed check --json` writes it, and the page shows it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from sslmed.preparation.survey.survey import Group, Survey
from sslmed.preparation.survey.tables import Table

DIGITS = 4  # of spacings and intensities


def describe(
    survey: Survey, tables: Sequence[Table], layout: str, commands: Sequence[str], advice: Sequence[str]
) -> dict[str, Any]:
    """Describe a survey and what follows from it.

    Args:
        survey: The survey.
        tables: The tables that were written.
        layout: Name of the layout, if `--data` takes the folder itself; else empty.
        commands: The next commands.
        advice: What else is to be done, one line each.
    """
    return {
        "folder": str(survey.folder),
        "layout": layout,
        "groups": [_group(group) for group in survey.groups],
        "copies": [[str(name) for name in names] for names in survey.copies],
        "notes": survey.remarks.notes,
        "cannot_be_used": [*survey.remarks.problems, *(problem for table in tables for problem in table.problems)],
        "other_files": dict(survey.remarks.others.most_common()),
        "tables": [
            {"path": str(table.path), "images": len(table.group.images), "kept": table.is_kept} for table in tables
        ],
        "advice": [*advice],
        "commands": [*commands],
    }


def _group(group: Group) -> dict[str, Any]:
    images, sample = group.images, group.sample
    described: dict[str, Any] = {
        "kind": group.kind,
        "images": len(images),
        "formats": _count(image.format for image in images),
        "channels": images[0].channels,
        "modalities": _count(", ".join(image.modality) for image in images if image.modality),
        "patients": len({image.patient for image in images if image.patient}),
        "size": _spread([image.shape for image in images]),
        "spacing_mm": _spread([image.spacing for image in images]),
        "orientations": _count(image.orientation for image in images if image.orientation),
        "labels": _labels(group),
        "images_read": sample.n_images,
        "looks_like": dict(sample.looks.most_common()),
    }
    if sample.ranges:
        ranges = np.array(sample.ranges)
        typical = [_round(value) for value in np.median(ranges, axis=0).tolist()]
        described["values"] = {"least": _round(ranges.min()), "median": typical, "most": _round(ranges.max())}
    return described


def _labels(group: Group) -> list[dict[str, Any]]:
    labels: list[dict[str, Any]] = []
    for number, (kind, masks) in enumerate(group.masks.items()):
        labels.append({"kind": "mask", "name": kind, "images": len(masks)})
        if number == 0 and group.sample.occurring:
            voxels = {str(value): count for value, count in sorted(group.sample.values.items())}
            labels[-1] |= {
                "maps_read": len(group.sample.occurring),
                "voxels": voxels,
                "names": {str(value): name for value, name in group.label_names.items()},
            }
    sheet = group.sheet
    if sheet is not None and sheet.column:
        texts = [text for image in group.images if (text := sheet.labels.get(image.name))]
        labels.append({"kind": sheet.kind, "name": sheet.column, "file": str(sheet.path), "images": len(texts)})
        if sheet.kind == "class":
            labels[-1]["classes"] = _count(texts)
    return labels


def _count(texts: Any) -> dict[str, int]:  # noqa: ANN401
    return dict(Counter(texts).most_common())


def _spread(sizes: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    """Return the smallest, the median and the largest size along each axis."""
    table = np.array(sizes)
    if not table.size:
        return {}
    table.sort(axis=0)
    rows = {"least": table[0], "median": table[len(table) // 2], "most": table[-1]}
    return {name: [_round(value) for value in row.tolist()] for name, row in rows.items()}


def _round(value: float) -> float:
    rounded = float(f"{value:.{DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded
