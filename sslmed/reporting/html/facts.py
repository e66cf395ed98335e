"""The facts of a report, as text: cost, data, protocol and versions."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from sslmed.core.text import duration, image_counts
from sslmed.core.yaml_files import find_setting, read_yaml
from sslmed.experiments.arms import Arm
from sslmed.preparation.channels import UNNAMED
from sslmed.preparation.download.known import licence_of
from sslmed.reporting.html.experiment import FinishedExperiment
from sslmed.reporting.html.formatting import listing, memory
from sslmed.reporting.pretraining import labelled_sources, pools
from sslmed.training.run_directory import RunDirectory

TIMES = " \N{MULTIPLICATION SIGN} "


def cost(experiment: FinishedExperiment) -> list[dict[str, str]]:
    """Return time and memory of the runs of each arm, for pretraining and fine-tuning."""
    rows = []
    for arm in experiment.arms:
        for stage, records in (("pretraining", experiment.pretraining), ("fine-tuning", experiment.finetuning)):
            of_arm = [record for run, record in records.items() if run.arm == arm]
            if of_arm and all("seconds" in record for record in of_arm):
                seconds = [record["seconds"] for record in of_arm]
                rows.append(
                    {
                        "arm": arm,
                        "stage": stage,
                        "runs": str(len(of_arm)),
                        "each": duration(float(np.mean(seconds))),
                        "all": duration(sum(seconds)),
                        "memory": memory(max(record["peak_memory_bytes"] for record in of_arm)),
                        "device": _distinct(record["device"] for record in of_arm),
                    }
                )
    return rows


def data(experiment: FinishedExperiment) -> list[tuple[str, str]]:
    """Describe the dataset as pairs of term and text."""
    store, cases = experiment.store, experiment.tables.cases
    n_labels = experiment.tables.results.groupby("label_fraction")["n_labels"].agg(["min", "max"])
    terms = [
        ("Dataset", _with_licence(experiment.dataset)),
        ("Test cases scored", f"{cases['case'].nunique():,}"),
        ("Labelled training cases", ", ".join(_n_labels(experiment, *row) for row in n_labels.itertuples())),
    ]
    if store is None:
        return [*terms, ("Prepared images", "no longer where the runs found them")]
    terms += [
        ("Cases", f"{len(store.labelled):,} labelled, {len(store.unlabelled):,} unlabelled"),
        ("Image channels", "one, without a name" if store.modalities == UNNAMED else ", ".join(store.modalities)),
        *([("Classes", ", ".join(store.label_names.values()))] if store.label_names else []),
    ]
    settings = store.settings
    side = TIMES.join([str(settings.size)] * store.spatial_dims)
    grid = side if settings.geometry == "cube" else f"spacing {TIMES.join(f'{s:g}' for s in settings.spacing)} mm"
    return [*terms, ("Prepared grid", grid)]


def _with_licence(names: str) -> str:
    """Add the licences of those of the datasets `a+b` that are known."""
    licence = licence_of(names)
    return f"{names} (licence: {licence})" if licence else names


def protocol(experiment: FinishedExperiment) -> list[tuple[str, str]]:
    """Describe the protocol as pairs of term and text."""
    results = experiment.tables.results
    folds, seeds = (sorted(map(int, results[key].unique())) for key in ("fold", "seed"))
    terms = [
        ("Folds", f"{', '.join(map(str, folds))}: each is the test set of its runs, scored once"),
        ("Seeds", f"{', '.join(map(str, seeds))}: label order, initialisation and batches"),
        (
            "Labels",
            "every amount is the beginning of one random order of the training cases, the same for every arm; "
            "the labels of the validation cases come on top, the same for every amount",
        ),
        (
            "Model selection",
            f"test cases are scored once, by {_scored_checkpoint(experiment)}",
        ),
        ("Fine-tuning", _budget(experiment.finetuning.values())),
    ]
    if experiment.pretraining:
        seen = "; sees the images of training and unlabelled cases, never of a test case"
        if experiment.transductive:
            seen = "; sees the images of training, unlabelled and test cases (transductive)"
        if not any(Arm.parse(run.arm).sees_the_dataset for run in experiment.pretraining):
            seen = ""
        terms += [("Pretraining", f"{_budget(experiment.pretraining.values())}, once per arm and fold{seen}")]
    counts = _image_counts(experiment)
    terms += [("Images of pretraining", counts)] if counts else []
    if names := pools(experiment.runs):
        listed = listing([*map(_with_licence, names)])
        terms.append(("External pool", f"{listed}: the arms with -external are pretrained on it alone"))
    sources = labelled_sources(experiment.records.values())
    terms += [("Supervised arms", f"pretrained on the labels of {each}") for each in sources]
    return terms


def _scored_checkpoint(experiment: FinishedExperiment) -> str:
    """Say which checkpoint was scored, by the configuration of a run; runs of an experiment do not differ in it."""
    texts = {"last": "the last checkpoint", "best": "the checkpoint that is best in validation"}
    files = (RunDirectory(experiment.work / run.name).config for run in experiment.finetuning)
    config = next((file for file in files if file.is_file()), None)
    select = "" if config is None else str(find_setting([read_yaml(config)], "select", ""))
    return texts.get(select, "the last checkpoint (or the best in validation, if the preset says so)")


def _image_counts(experiment: FinishedExperiment) -> str:
    """Count the images that pretraining saw and those left out: for each fold, and for the pool."""
    counts = {
        "external pool" if Arm.parse(run.arm).external else f"fold {run.fold}": image_counts(record["images"])
        for run, record in sorted(experiment.pretraining.items(), key=lambda item: item[0].fold)
        if "images" in record and not Arm.parse(run.arm).is_supervised
    }
    return "; ".join(f"{place}: {text}" for place, text in counts.items())


def _budget(records: Iterable[dict[str, Any]]) -> str:
    budgets = sorted({(int(record["validation"][-1]["update"]), len(record["validation"])) for record in records})
    return " or ".join(f"{updates:,} updates, {passes} validation passes" for updates, passes in budgets)


def versions(experiment: FinishedExperiment) -> list[tuple[str, str]]:
    """Return commit, precision and versions of the runs; several values where runs differ."""
    records = list(experiment.records.values())
    names = list(dict.fromkeys(name for record in records for name in record.get("versions", {})))
    terms = [(name, _distinct(record.get("versions", {}).get(name) for record in records)) for name in names]
    of_all = {"git commit": "git", "precision": "precision"}
    return [*((name, _distinct(record.get(key) for record in records)) for name, key in of_all.items()), *terms]


def _distinct(values: Iterable[str | None]) -> str:
    return ", ".join(sorted({"not recorded" if value is None else value for value in values}))


def _n_labels(experiment: FinishedExperiment, fraction: float, least: float, most: float) -> str:
    amount = experiment.tables.labels.amounts[fraction]
    return str(amount) if amount.fraction is None else f"{amount}: {_range(least, most)}"


def _range(least: float, most: float) -> str:
    return f"{least:.0f}" if least == most else f"{least:.0f} to {most:.0f}"
