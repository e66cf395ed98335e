"""Shows findings as tables, and converts them to JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.goals import GOALS
from benchmarks.measure import Findings


def show_section(console: Console, section: str, findings: Findings) -> None:
    """Print a section's numbers and remarks."""
    table = Table("number", title=section, title_justify="left")
    for column in ("median", "least", "most", "repeats"):
        table.add_column(column, justify="right")
    table.add_column("unit")
    for result in findings.results:
        spread = (result.median, min(result.values), max(result.values))
        table.add_row(result.name, *(f"{value:.4g}" for value in spread), str(len(result.values)), result.unit)
    if findings.results:
        console.print(table)
    for remark in findings.remarks:
        console.print(f"{section}: {remark}", highlight=False)


def show_goals(console: Console, sections: Mapping[str, Findings]) -> None:
    """Print the goals beside the measurements."""
    table = Table("section", "goal", title="goals", title_justify="left")
    for column in ("measured", "goal", "met"):
        table.add_column(column, justify="right")
    for goal in GOALS:
        measured = goal.measured(sections)
        if measured is not None:
            shown = f"{measured:.4g} {goal.unit}", f"{goal.sense} {goal.bound:g}"
            table.add_row(goal.section, goal.result, *shown, "yes" if goal.is_met(measured) else "no")
    console.print(table)


def as_json(sections: Mapping[str, Findings]) -> dict[str, Any]:
    """Return all repeats, medians, remarks and goals; a goal that was not measured is null."""
    goals = []
    for goal in GOALS:
        measured = goal.measured(sections)
        met = None if measured is None else goal.is_met(measured)
        goals.append(asdict(goal) | {"measured": measured, "met": met})
    return {
        "sections": {
            name: {
                "results": [asdict(result) | {"median": result.median} for result in findings.results],
                "remarks": findings.remarks,
            }
            for name, findings in sections.items()
        },
        "goals": goals,
    }
