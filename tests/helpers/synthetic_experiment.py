"""An experiment as `reproduce` leaves it: a plan, runs with random scores, pretext losses, slices."""

import json
import re

import numpy as np
from synthetic_runs import PRIMARY, TASKS, write_runs

from sslmed.core.label_amount import LabelAmount
from sslmed.downstream.examples import Example, examples_of, save_examples
from sslmed.experiments.arms import Arm
from sslmed.experiments.reproduce import Outcome
from sslmed.experiments.runs import Run, read_plan, write_plan
from sslmed.preparation.settings import VERSION
from sslmed.reporting.publish import publish
from sslmed.reporting.tables import collect

CLASSES = {
    "fig2": ("background", "edema", "non-enhancing tumour", "enhancing tumour"),
    "fig3": ("background", "pancreas", "<i>tumour</i> & more"),
    "fig4": ("no DR", "mild", "moderate", "severe", "proliferative"),
}
CHANNELS = {"fig2": ["FLAIR", "T1w", "t1gd", "T2w"], "fig3": ["CT"], "fig4": ["red", "green", "blue"]}


def write_experiment(root, figure="fig3", dataset="phantom", arms=("baseline", *TASKS), examples=True, side=32, **runs):
    """Write the experiment's directory below root and return it; `runs` are arguments of `write_runs`."""
    work = root / "runs" / figure / f"{dataset}-quick"
    paths = write_runs(work, arms=arms, figure=figure, dataset=dataset, **runs)
    _write_store(root / "stores" / "data-0123", figure)
    plan = {}
    for path in paths:
        arm, fold, seed, labels = path.parts[-4:]
        parent = f"{arm}/{fold}/pretrain"
        pretrained = Arm.parse(arm).is_pretrained
        if pretrained and parent not in plan:
            store = root / "stores" / ("pool-more-eyes-0123" if Arm.parse(arm).external else "data-0123")
            plan[parent] = _planned(arm, fold, None, None, parent, store)
            _write_pretraining(work / parent, Arm.parse(arm).task, len(plan))
        amount = LabelAmount.from_path(labels)
        name = "/".join(path.parts[-4:])
        plan[name] = _planned(arm, fold, int(seed.removeprefix("seed")), amount, name, root / "stores" / "data-0123")
        if (path / "results.json").is_file():
            _complete(path, len(plan))
    write_plan(work / "plan.json", [*plan.values()])
    if examples and figure != "fig4":
        _write_examples(paths, side, len(CLASSES[figure]), PRIMARY[figure])
    return work


def paths_of(work):
    """Directories of the fine-tuning runs."""
    return [work / run.name for run in read_plan(work / "plan.json") if run.labels is not None]


def published(work, out, arms=None):
    """Publish the experiment as a command for some arms does, by default for all; return the folder of its results."""
    runs = read_plan(work / "plan.json")
    of_command = [run for run in runs if arms is None or run.arm in arms]
    assert publish(Outcome(work, of_command, runs, out, ["dice_foreground"], "disabled")) == 0
    return out


def data_of(page):
    """The data of a report's script."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])


def _planned(arm, fold, seed, labels, name, store):
    number = int(fold.removeprefix("fold"))
    arguments = ("--data.store", str(store))
    return Run(arm, number, seed, labels, name, job=arm, needs=None, arguments=arguments, key="")


def _cost(number):
    versions = {"python": "3.11.7", "sslmed": "0.1.0", "torch": "2.13.0"}
    return {"seconds": 20.0 + number, "peak_memory_bytes": 2**29, "device": "x86_64 CPU", "versions": versions} | {
        "git": "0123456789abcdef0123456789abcdef01234567"
    }


def _complete(path, number):
    record = json.loads((path / "results.json").read_text())
    (path / "results.json").write_text(json.dumps(record | _cost(number)))


def _write_pretraining(path, task, number):
    noise = np.random.default_rng(number).normal(0, 0.04, 10)
    chance = dict(zip(TASKS, (2.303, 4.605, 3.258, 1.0, 2.079), strict=True)).get(task, 1.0)
    losses = chance * (0.25 + 0.8 * np.exp(-np.arange(10) / 3) + noise)
    rows = [
        {"update": 12 * (i + 1), "val/loss": float(loss), "val/chance_loss": chance} for i, loss in enumerate(losses)
    ]
    record = {"kind": "pretrain", "validation": rows, "val_loss": rows[-1]["val/loss"], "chance_loss": chance}
    path.mkdir(parents=True)
    (path / "results.json").write_text(json.dumps(record | {"transductive": False} | _cost(number)))


def _write_store(root, figure):
    root.mkdir(parents=True)
    spatial = figure != "fig4"
    content = {
        **{"version": VERSION, "name": "toy", "spatial_dims": 3 if spatial else 2, "settings": {"size": 32}},
        **{"modalities": CHANNELS[figure], "labels": "map" if spatial else "class"},
        "label_names": dict(enumerate(CLASSES[figure])),
        "codes": list(range(len(CLASSES[figure]))),
        **{"labelled": ["a", "b", "c"], "unlabelled": ["d"], "groups": {}},
        "records": {case: {"digest": case, "classes": [*range(len(CLASSES[figure]))], "lost": []} for case in "abcd"},
        **{"left_out": {}, "problems": [], "sources": {}},
    }
    (root / "store.json").write_text(json.dumps(content))


def _write_examples(paths, side, n_classes, primary):
    tables = collect(paths, primary)
    cases = tables.cases
    for path in paths:
        if (path / "results.json").is_file():
            arm, fold, seed, labels = path.parts[-4:]
            mine = (cases["arm"] == arm) & (cases["fold"] == int(fold[4:])) & (cases["seed"] == int(seed[4:]))
            fraction = tables.labels.fraction(LabelAmount.from_path(labels))
            scores = cases[mine & (cases["label_fraction"] == fraction)]
            chosen = {role: _example(case, dice, side, n_classes) for role, case, dice in examples_of(scores)}
            save_examples(path / "examples.npz", chosen)


def _example(case, dice, side, n_classes):
    """A body with a blob of nested classes; the worse the score, the further off is the prediction."""
    generator = np.random.default_rng(int(case))
    where = np.stack(np.meshgrid(*[np.linspace(-1, 1, side)] * 3, indexing="ij"))
    centre = generator.uniform(-0.25, 0.25, size=(3, 1, 1, 1))
    image = 0.45 * ((where**2).sum(0) < 0.8) + 0.05 * generator.normal(size=where.shape[1:])
    distance = ((where - centre) ** 2).sum(0) + 0.06 * np.sin(7 * where[0]) * np.cos(5 * where[1])
    truth = sum((distance < 0.3 / 2.2**index).astype(np.uint8) for index in range(n_classes - 1))
    predicted = np.roll(truth, round((1 - dice) * side / 5), axis=0)
    return Example.of_volume(case, dice, (image + 0.12 * truth)[None], truth, predicted)
