"""What users get wrong, by kind: each module has a list `INPUTS`. A new bad input is one more entry.

Commands run in a folder that holds what `start.write_start` writes: `Task` (MSD), `mine` (a table), `eyes` (APTOS),
`store`, `run` and `pretraining` (finished runs), `preset`, `figure.yaml`, `task.yaml`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Bad:
    """One bad input.

    Attributes:
        name: Name of the test.
        command: The command, as in a shell; `sslmed` is left out.
        says: What its line must say: the file or option, and what was expected.
        make: Changes the folder that the command runs in.
        environment: Variables to set.
        leaves: Patterns of files that may be there afterwards and were not before; by default there is none.
    """

    name: str
    command: str
    says: tuple[str, ...]
    make: Callable[[Path], object] = lambda folder: None
    environment: dict[str, str] = field(default_factory=dict)
    leaves: tuple[str, ...] = ()


STORE = ("new/.lock", "new/settings.json", "new/cases/*/*")
"""What `sslmed prepare` keeps for the next time if some cases are bad: it is no store yet."""

RUN = ("new/.lock", "new/config.yaml", "new/data.json", "new/preparation.json", "new/run.log", "new/python_path.txt")
"""What `sslmed fit` leaves of a run that is refused when it starts: a record, which the next one overwrites."""

PREPARE = "prepare Task --store new --jobs 1 --size 12"


def fit(options: str = "", data: str = "segmentation", model: str = "downstream/segmentation") -> str:
    """A run of fine-tuning, or of pretraining."""
    from sslmed.experiments.configs import config_root

    names = ["base", f"data/{data}", model, "encoder/unet"]
    files = " ".join(f"-c '{config_root() / name}.yaml'" for name in names)
    budget = "--data.n_folds 3 --data.batch_size 2 --data.updates 4 --data.validations 2"
    return f"fit {files} -c preset/encoder.yaml --data.store store {budget} --run_dir new {options}"


def plan(options: str = "", figure: str = "fig3", data: str = "Task") -> str:
    """A figure's dry run."""
    places = "--runs new/runs --out new/out --downloads new/downloads"
    return f"reproduce {figure} --dry-run --data {data} --preset preset {places} {options}"


def write(name: str, content: str | bytes) -> Callable[[Path], object]:
    """Write a file."""
    data = content.encode() if isinstance(content, str) else content

    def make(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    return make


def rename(old: str, new: str) -> Callable[[Path], object]:
    """Rename a file or folder."""
    return lambda folder: (folder / old).rename(folder / new)
