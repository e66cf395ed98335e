"""The directory of one training run: its files and its lock."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from filelock import FileLock, Timeout

from sslmed.core.errors import UserError
from sslmed.core.files import remove_leftovers, write_text
from sslmed.core.tables import read_table, write_table
from sslmed.core.text import path_of, shorten
from sslmed.core.yaml_files import read_mapping
from sslmed.data.selection import changed_data

IGNORED_SETTINGS = ("run_dir", "ckpt_path", "weights_only", "keep_memory", "wandb", "wait", "probes")
"""Settings that do not change the result of a run."""


class RunDirectory:
    """Holds the paths of all files of one training run. `results.json` is written last: it exists if the run is done.

    Beside the results of a final model, `expected.json` has the scores of its arm in cross-validation.

    Args:
        path: The directory. It is created at the first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.data = path / "data.json"
        self.recipe = path / "preparation.json"
        self.metrics = path / "metrics.csv"
        self.log = path / "run.log"
        self.checkpoints = path / "checkpoints"
        self.best = self.checkpoints / "best.ckpt"
        self.last = self.checkpoints / "last.ckpt"
        self.cases = path / "cases.csv"
        self.robustness = path / "robustness.csv"
        self.examples = path / "examples.npz"
        self.answers = path / "answers.png"
        self.results = path / "results.json"
        self.expected = path / "expected.json"

    @property
    def is_done(self) -> bool:
        """Whether the run has finished."""
        return self.results.is_file()

    def require_results(self, use: str) -> None:
        """Check that the run has finished, which a use such as `a test` needs.

        Raises:
            UserError: If it has not.
        """
        if not self.is_done:
            raise UserError(
                f"{self.path}: this run is not finished (results.json is absent), {use} needs a finished one; "
                "the same command `sslmed fit` resumes it"
            )

    @contextmanager
    def locked(self, *, wait: bool) -> Iterator[None]:
        """Lock the directory for one writer. The lock ends with the process, however it ends.

        Args:
            wait: Wait for another writer, e.g. one orphaned by a kill, instead of raising an error.

        Raises:
            UserError: If another process writes the directory and `wait` is false.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=-1 if wait else 0):
                yield
        except Timeout as error:
            raise UserError(
                f"{self.path}: another process is writing this run; wait for it, or choose another --run_dir"
            ) from error

    def begin(self, config_yaml: str, data: Mapping[str, Any]) -> None:
        """Record the configuration and the data of a new run, or check that an interrupted run has the same ones.

        Raises:
            UserError: If the run is done, or started with another configuration or on other data.
        """
        old = read_mapping(self.config) if self.config.is_file() else {}
        differing = "; ".join(_differing_settings(old, yaml.safe_load(config_yaml)) if old else ())
        if self.is_done:
            settings = f", with other settings ({differing})" if differing else ""
            raise UserError(f"{self.path}: this run is done{settings}; remove it, or choose another --run_dir")
        if self.last.is_file() and old:
            if differing:
                raise UserError(
                    f"{self.path}: holds an interrupted run with other settings ({differing}); "
                    "give the same settings to resume it, or choose another --run_dir"
                )
            self.refuse_changed_data(data)
        self.checkpoints.mkdir(exist_ok=True)  # fails now, not after the first validation interval
        for folder in (self.path, self.checkpoints):
            remove_leftovers(folder)
        write_text(self.data, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        write_text(self.config, config_yaml)

    def other_settings(self, config_yaml: str) -> list[str]:
        """Return a line for each setting of the model, and for the selected checkpoint, that differs from the run's."""
        if not self.config.is_file():
            return []
        old, new = (
            {name: content.get(name) or {} for name in ("model", "select")}
            for content in (read_mapping(self.config), yaml.safe_load(config_yaml))
        )
        for content in (old, new):
            content["model"].get("init_args", {}).pop("pretrained", None)  # weights come from the run's own checkpoint
        return _differing_settings(old, new)

    def read_data(self) -> dict[str, Any]:
        """Return what the run has seen of the data; empty if it is not known.

        Raises:
            UserError: If the record is damaged.
        """
        if not self.data.is_file():
            return {}
        try:
            record: dict[str, Any] = json.loads(self.data.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{self.data}: is damaged ({error}); remove the run, and train it again") from error
        return record

    def changed_data(self, data: Mapping[str, Any]) -> list[str]:
        """Name what differs between the data that the run has seen and these; see `changed_data`."""
        return changed_data(self.read_data(), json.loads(json.dumps(data)))

    def refuse_changed_data(self, data: Mapping[str, Any]) -> None:
        """Refuse to resume or to finish a run whose images or labels have been changed since it started.

        Raises:
            UserError: If the recorded data differ.
        """
        changed = self.changed_data(data)
        if changed:
            raise UserError(
                f"{self.path}: the data have changed since this run started ({shorten(changed)}); remove it, or choose "
                "another --run_dir"
            )

    def finish(self, results: Mapping[str, Any], cases: pd.DataFrame | None = None) -> None:
        """Write the results, which marks the run as done."""
        if cases is not None:
            write_table(self.cases, cases.assign(case=cases["case"].map(path_of)))
        write_text(self.results, json.dumps(_without_nan(results), indent=2, allow_nan=False) + "\n")

    def read_corrupted(self) -> pd.DataFrame:
        """Read the scores under artefacts: `artefact`, `strength`, and columns of cases.csv; empty without them."""
        if not self.robustness.is_file():
            return pd.DataFrame(columns=["artefact", "strength", "case"])
        return read_table(self.robustness)

    def write_corrupted(self, rows: pd.DataFrame) -> None:
        """Write scores under artefacts; those under other artefacts stay."""
        old = self.read_corrupted()
        kept = old[~old["artefact"].isin(rows["artefact"])]
        rows = rows.assign(case=rows["case"].map(path_of))
        write_table(self.robustness, pd.concat([kept, rows] if len(kept) else [rows]))


def _without_nan(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Replace numbers that are not finite by `None`, as JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _differing_settings(old: Any, new: Any, name: str = "") -> list[str]:  # noqa: ANN401 - any YAML
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in dict.fromkeys((*old, *new)) if name or key not in IGNORED_SETTINGS]
        return [line for key in keys for line in _differing_settings(old.get(key), new.get(key), f"{name}.{key}")]
    return [] if old == new else [f"{name[1:]} was {old}, now {new}"]
