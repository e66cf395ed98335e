"""Every pretext task has its page, with its picture, in the site's navigation; chance levels are those of the code."""

import math
import re
from pathlib import Path
from typing import Any

import families
import pytest
import torch
import yaml
from task_pictures import CASES, SIDE, puzzles

from sslmed.encoders import UNetEncoder
from sslmed.experiments.configs import config_root, known_names

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path: path.read_text(encoding="utf-8") for path in (DOCS / "tasks").glob("*.md") if path.stem != "index"}
CLASSES = {
    name: yaml.safe_load((config_root() / "pretext" / f"{name}.yaml").read_text())["model"]["class_path"]
    for name in known_names("pretext")
}
BATCH = 4


def page_of(name: str) -> tuple[Path, str]:
    """The page that shows the task's picture, and the part of it that speaks of the task."""
    ((path, text),) = [each for each in PAGES.items() if f"(../figures/tasks/{name}.png)" in each[1]]
    parts = [part for part in text.split("\n## ") if f"/{name}.png" in part]
    return path, parts[0]


def test_the_tasks_with_a_configuration_are_all_there_are() -> None:
    assert sorted(CLASSES.values()) == sorted(families.TASKS)


def test_every_puzzle_is_drawn_by_the_code_that_trains() -> None:
    images, labels = torch.rand(CASES, 1, SIDE, SIDE), torch.ones(CASES, SIDE, SIDE, dtype=torch.uint8)
    assert sorted(name for name, _ in puzzles(images, labels)) == sorted([*CLASSES, "supervised"])


@pytest.mark.parametrize("name", [*CLASSES, "supervised"])
def test_every_task_has_a_page_with_its_picture_in_the_navigation(name: str) -> None:
    path, _ = page_of(name)
    assert f"- tasks/{path.name}\n" in (DOCS.parent / "mkdocs.yml").read_text()
    assert (DOCS / "figures" / "tasks" / f"{name}.png").stat().st_size < 75_000  # read on a phone


@pytest.mark.parametrize("name", CLASSES)
def test_the_page_gives_the_chance_loss_of_the_code(name: str) -> None:
    written = re.search(r"\| chance loss \| (.*) \|", page_of(name)[1])
    assert written is not None
    numbers = {int(dims): float(value) for dims, value in re.findall(r"([23])-D: ([\d.]+)", written[1])}
    assert numbers.keys() == {2, 3} or "measured" in written[1]
    for dims, value in numbers.items():
        torch.manual_seed(0)
        task: Any = families.TASKS[CLASSES[name]](UNetEncoder(dims, 1, widths=(2, 3, 4)))
        inputs, targets = task.make_task(torch.rand(BATCH, 1, *(48,) * dims))
        assert math.isclose(value, task.chance_loss(task(inputs), targets).item(), abs_tol=0.0051)
