"""Surveys a folder, writes the tables, and finds the next commands."""

from pathlib import Path
from typing import Any

from sslmed.core.errors import UserError
from sslmed.core.files import check_writable, refuse_within
from sslmed.core.nearest import did_you_mean_path
from sslmed.preparation.survey.commands import commands_for_layout, commands_for_tables, read_layout
from sslmed.preparation.survey.report import describe
from sslmed.preparation.survey.survey import survey
from sslmed.preparation.survey.tables import write_tables


def check(folder: Path, table: Path) -> dict[str, Any]:
    """Survey a folder, and list its images in a table, unless the folder is in a layout that lists them.

    Args:
        folder: The folder; nothing is written into it.
        table: The table to write; a file that is there and differs is kept.

    Returns:
        What was found, as JSON values; see `describe`.

    Raises:
        UserError: If there is no such folder, or the table cannot be written, or not there.
    """
    if not folder.is_dir():
        if folder.suffix.lower() == ".csv" and folder.is_file():
            cure = "give a folder of images; `sslmed reproduce FIGURE --data TABLE --dry-run` checks a table"
            raise UserError(f"{folder}: is a file; {cure}")
        what = "is a file" if folder.exists() else f"no such folder{did_you_mean_path(folder)}"
        raise UserError(f"{folder}: {what}; give a folder of images")
    refuse_within(table.parent, [folder], f"--table {table}")
    check_writable(table.parent, "--table")
    found = survey(folder)
    layout = read_layout(folder, found.remarks.notes)
    if layout is not None:
        return describe(found, [], layout[0], *commands_for_layout(folder, layout[1], found.groups))
    tables = write_tables(found.groups, table)
    return describe(found, tables, "", *commands_for_tables(tables))
