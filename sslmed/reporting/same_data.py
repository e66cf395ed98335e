"""Refuses to compare runs that were made on different data."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sslmed.core.errors import DataError
from sslmed.data.selection import PARTS
from sslmed.training.run_directory import RunDirectory


def refuse_mixed_data(run_dirs: Iterable[Path]) -> None:
    """Refuse runs for which a case had another image or label, or images were prepared otherwise.

    Args:
        run_dirs: Finished fine-tuning runs. Those without a `data.json` are not checked.

    Raises:
        DataError: If two runs saw different data; one line.
    """
    first: dict[str, tuple[Any, Path]] = {}
    for run_dir in sorted(run_dirs):
        record = RunDirectory(run_dir).read_data()
        if not record:
            continue
        facts = {"the preparation": record["preparation"], "the names of labels": record.get("labels")}
        facts |= {f"case {case}": seen for part in PARTS for case, seen in record.get(part, {}).items()}
        for name, value in facts.items():
            known, earlier = first.setdefault(name, (value, run_dir))
            if known != value:
                raise DataError(
                    [
                        f"{run_dir} and {earlier} were made on different data ({name} differs) and cannot be compared: "
                        "remove the older run, and `sslmed reproduce` makes it again"
                    ]
                )
