"""A training run of an experiment, and the plan: the list of its runs, which a file keeps."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sslmed.core.errors import UserError
from sslmed.core.files import write_text
from sslmed.core.label_amount import LabelAmount
from sslmed.core.yaml_files import find_setting, read_yaml


@dataclass(frozen=True)
class Run:
    """Describes one training run.

    Attributes:
        arm: Name of the arm.
        fold: Test fold.
        seed: Seed of a fine-tuning run; `None` for pretraining.
        labels: Amount of labels of a fine-tuning run; `None` for pretraining.
        name: The run's directory below the experiment's.
        job: The job that does the run, with others of its arm and fold.
        needs: Name of the pretraining run whose weights a fine-tuning run starts from.
        arguments: Arguments of `sslmed fit` that do the run by hand.
        key: Fingerprint of all settings that determine the result, including those of the pretraining run.
        devices: GPUs, or processes on the CPU, of the run.
        data: Fingerprint of what the run, and the pretraining run, see of the data; `None` if the data are not here.
    """

    arm: str
    fold: int
    seed: int | None
    labels: LabelAmount | None
    name: str
    job: str
    needs: str | None
    arguments: tuple[str, ...]
    key: str
    devices: int = 1
    data: str | None = None

    def values(self, option: str) -> list[str]:
        """Return the values that an option has in the arguments, e.g. `--data.store`, or `-c` for its YAML files."""
        return [value for name, value in pairwise(self.arguments) if name == option]

    def setting(self, place: str, default: Any) -> Any:  # noqa: ANN401 - any YAML
        """Return a setting of the YAML files; see `find_setting`."""
        return find_setting([read_yaml(Path(file)) for file in self.values("-c")], place, default)


def write_plan(path: Path, runs: Sequence[Run]) -> None:
    """Write runs to a file, if it does not hold them already."""
    text = json.dumps([asdict(run) for run in runs], indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def read_plan(path: Path) -> list[Run]:
    """Read the plan that `write_plan` wrote.

    Raises:
        UserError: If it is damaged.
    """
    try:
        return [_read_run(run) for run in json.loads(path.read_text(encoding="utf-8"))]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is damaged ({error}): remove it, and `sslmed reproduce` writes it again") from error


def plan_of(work: Path) -> list[Run]:
    """Read the plan of an experiment.

    Raises:
        UserError: If the directory has none, e.g. as it holds the experiment's tables.
    """
    if not (work / "plan.json").is_file():
        place = work.resolve()
        wrong = f"{work}: has no plan.json; give an experiment's directory, as runs/fig3/phantom-quick"
        if (work / "experiment.json").is_file():
            wrong = f"{work}: holds a final model alone; the same `sslmed reproduce` without --final compares arms"
        tables = f"{work}: holds tables; give the runs of this experiment, as runs/{place.parent.name}/{place.name}"
        raise UserError(tables if (work / "results.csv").is_file() else wrong)
    return read_plan(work / "plan.json")


def _read_run(run: dict[str, Any]) -> Run:
    labels = None if run["labels"] is None else LabelAmount(**run["labels"])
    return Run(**{**run, "labels": labels, "arguments": tuple(run["arguments"])})
