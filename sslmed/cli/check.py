"""`sslmed check`: look at a folder of images before anything else."""

from dataclasses import dataclass
from pathlib import Path

EPILOG = (
    "Headers are read of all images, voxels of some. Nothing is written into the folder. Exit status 0 if images can "
    "be used, 1 if none can, 2 for wrong input."
)
WIDTH = 200
"""Width of the page in columns where there is no terminal."""

POSITIONAL = ("folder",)


@dataclass(frozen=True)
class Options:
    """What to look at.

    Attributes:
        folder: Any folder of volumes, photographs or DICOM series, also in subfolders.
        table: Where to list the images and their labels; a file that is there and differs is kept.
        json: Print the report as JSON.
    """

    folder: Path
    table: Path = Path("table.csv")
    json: bool = False


OPTIONS = (Options,)


def run(options: Options) -> int:
    """Survey the folder, write the table, and report both."""
    import json

    from rich.console import Console

    from sslmed.preparation.survey.check import check
    from sslmed.preparation.survey.page import show

    report = check(options.folder, options.table)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        console = Console()
        show(report, console if console.is_terminal else Console(width=WIDTH))
    return 0 if report["groups"] else 1
