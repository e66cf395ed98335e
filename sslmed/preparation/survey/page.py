"""Shows what a survey found, on one page: in colours on a terminal, as plain text elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from sslmed.core.errors import printable
from sslmed.core.text import count, shorten

MOST_LINES = 20
"""Lines of one kind that the page shows; `--json` has all."""


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print a report of `describe`."""

    def line(text: str, style: str | None = None) -> None:
        console.print(printable(text), style=style, markup=False, highlight=False, soft_wrap=True)

    def section(title: str, lines: Sequence[str], style: str | None = None) -> None:
        if lines:
            console.print()
            line(title, "bold")
        for text in _first(lines):
            line(f"  {text}", style)

    line(report["folder"], "bold")
    if not report["groups"]:
        line("holds no image that can be used")
    for group in report["groups"]:
        console.print()
        line(count(group["images"], group["kind"].removesuffix("s")), "bold")
        grid = Grid.grid(padding=(0, 2))
        for name, text in _facts(group):
            grid.add_row(f"  {name}", Text(printable(text)))
        console.print(grid)
    copies = [f"{len(names)} equal images: {shorten(names)}" for names in report["copies"]]
    section("copies, which stay together in one fold", copies)
    section("to know", report["notes"])
    section("cannot be used", report["cannot_be_used"], "red")
    others = [f"{number} {name}" for name, number in report["other_files"].items()]
    section("other files", [", ".join(others)] if others else [])
    section("next", [*_written(report), *report["advice"]])
    for command in report["commands"]:
        line(f"  {command}", "bold green")


def _facts(group: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the rows of a group's table."""
    read = group["images_read"]
    of = "" if read == group["images"] else f" ({read} of {group['images']} images read)"
    facts = [
        ("format", _counts(group["formats"])),
        ("channels", str(group["channels"])),
        ("says it shows", _counts(group["modalities"])),
        ("looks like", _counts(group["looks_like"])),
        ("size", _spread(group["size"], "voxels" if group["kind"] == "volumes" else "pixels, rows x columns")),
        ("spacing", _spread(group["spacing_mm"], "mm")),
        ("orientation", _counts(group["orientations"])),
        ("patients", str(group["patients"] or "")),
    ]
    if "values" in group:
        low, median, high = group["values"]["median"]
        extremes = f"in all {group['values']['least']:g} to {group['values']['most']:g}"
        facts.append(("values", f"typically {low:g} to {high:g}, half of them below {median:g}; {extremes}{of}"))
    for label in group["labels"]:
        read = f"; of {label['maps_read']} that were read:" if "maps_read" in label else ""
        facts.append((label["kind"], f"{label['images']} of {group['images']} images ({label['name']}){read}"))
        facts += [("", text) for text in _contents(label)]
    if not group["labels"]:
        facts.append(("labels", "none"))
    return [(name, text) for name, text in facts if text]


def _contents(label: Mapping[str, Any]) -> list[str]:
    """Return what a label holds: voxels of each value, or images of each class."""
    if "classes" in label:
        return [_counts(label["classes"])]
    voxels = label.get("voxels", {})
    lines = [
        f"{value} {label['names'].get(value, '')}".strip()
        + f": {number:,} voxels ({number / sum(voxels.values()):.2%})"
        for value, number in voxels.items()
    ]
    return _first(lines)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(_first([f"{name} ({number})" for name, number in counts.items()]))


def _first(texts: Sequence[str]) -> list[str]:
    more = len(texts) - MOST_LINES
    return [*texts[:MOST_LINES], *([f"and {more} more, which --json lists"] if more > 0 else [])]


def _spread(spread: Mapping[str, Sequence[float]], unit: str) -> str:
    if not spread:
        return ""
    least, median, most = (" x ".join(f"{value:g}" for value in spread[name]) for name in ("least", "median", "most"))
    return f"{median} {unit}" if least == most else f"{median} {unit} in the median, from {least} to {most}"


def _written(report: Mapping[str, Any]) -> list[str]:
    lines = []
    if report["layout"]:
        lines.append(f"the folder is in the layout of {report['layout']}: --data takes it as it is")
    for table in report["tables"]:
        kept = f"{table['path']} is there and says something else: it was kept; remove it, or give --table"
        lines.append(
            kept
            if table["kept"]
            else f"{table['path']} lists {count(table['images'], 'image')}: look at it and edit it"
        )
    return lines
