"""Options of the subcommands: help without heavy imports, and one line for what is wrong."""

import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from sslmed import cli
from sslmed.cli.command import COMMANDS, OWN_COMMANDS
from sslmed.phantoms import KINDS

HEAVY = {"torch", "monai", "pytorch_lightning", "pandas", "numpy", "nibabel", "kaggle", "wandb"}


@pytest.mark.parametrize("arguments", [[], *([name] for name in OWN_COMMANDS)], ids=" ".join)
def test_help_imports_nothing_heavy_and_has_all_options(arguments: list[str]) -> None:
    call = [*arguments, "--help"]
    code = f"import sys, sslmed.cli\ntry: sslmed.cli.main({call})\nexcept SystemExit: print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(output)
    if not arguments:
        assert set(output) >= COMMANDS.keys()
        return
    assert "jsonargparse" in output
    command = import_module(f"sslmed.cli.{arguments[0]}")
    names = {field.name.replace("_", "-") for kind in command.OPTIONS for field in fields(kind)}
    assert set(output) >= {f"--{name}" for name in names - set(command.POSITIONAL)}


def test_every_phantom_can_be_asked_for() -> None:
    options = import_module("sslmed.cli.phantom").Options
    assert set(get_args(get_type_hints(options)["kind"])) == KINDS.keys()


WRONG = {
    "reproduse fig3": "reproduse: no such command; did you mean reproduce?",
    "": "give a command (fit, ",
    "reproduce": "required, and not given: figure",
    "reproduce fg3": "did you mean fig3?",
    "reproduce fig3 --armss rotation": "--armss: no such option; did you mean --arms?",
    "reproduce fig3 --arms baseline rotaton": "did you mean rotation?",
    "reproduce fig3 --preset quik": "did you mean quick?",
    "reproduce fig3 --encoder rsnet": "did you mean resnet?",
    "reproduce fig3 --data pancras": "did you mean pancreas?",
    "reproduce fig3 --jobs two": "--jobs: expected a whole number, got two",
    "reproduce fig3 --seeds 1 two": "--seeds: expected a whole number, got two",
    "reproduce fig3 --executor lokal": "--executor: expected local or slurm, got lokal; did you mean local?",
    "reproduce fig3 --dry-run maybe": "maybe",
    "prepare data": "required, and not given: --store",
    "prepare data --store store --hu-window -160": "--hu-window: expected 2 arguments",
    "prepare data --store store --hu-window -160 much": "--hu-window: expected a number, got much",
    "prepare data --store store --foreground 2": "foreground must be from 0 to below 1, not 2.0",
    "phantom brian out": "kind: expected pancreas or brain or fundus, got brian; did you mean brain?",
    "report runs --wndb": "--wndb: no such option; did you mean --wandb?",
}


@pytest.mark.parametrize("command", WRONG)
def test_what_is_wrong_is_one_line_with_the_nearest_name(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        cli.main(command.split())
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert WRONG[command] in message
    assert len(message.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_mistyped_path_is_told_with_the_nearest_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-scans").mkdir()
    (tmp_path / "inpainting.yaml").touch()
    for arguments, words in {
        "--data my-scan": "did you mean my-scans?",
        "--arms inpaintin.yaml": "did you mean inpainting.yaml?",
        "--pool my-scan --arms rotation-external": "did you mean my-scans?",
    }.items():
        with pytest.raises(SystemExit):
            cli.main(["reproduce", "fig3", "--dry-run", *arguments.split()])
        assert words in capsys.readouterr().err, arguments


def test_values_arrive_as_their_dataclass_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    command = import_module("sslmed.cli.prepare")
    arrived = []
    monkeypatch.setattr(command, "run", lambda *options: arrived.append(options))
    arguments = "prepare d --store s --pool --hu-window -100 2e2 --spacing 1 1 2 --jobs 3 --task regression"
    with pytest.raises(SystemExit):
        cli.main(arguments.split())
    options, settings = command.OPTIONS
    expected = settings(hu_window=(-100, 200), spacing=(1, 1, 2))
    assert arrived == [(options("d", Path("s"), task="regression", pool=True, jobs=3), expected)]
