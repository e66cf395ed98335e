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
from sslmed.cli.spacing import FLAG, WORDS
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
    options = {f"--{name}" for name in names - set(command.POSITIONAL)}
    assert set(output) >= options - {FLAG}
    assert (FLAG in options) == (f"[{WORDS}]" in " ".join(output))


@pytest.mark.parametrize("given", ["--spacing auto", "--spacing=auto", "--auto-spacing"])
def test_a_spacing_may_be_chosen(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    command = import_module("sslmed.cli.prepare")
    arrived = []
    monkeypatch.setattr(command, "run", lambda options, settings: arrived.append(options.auto_spacing))
    with pytest.raises(SystemExit):
        cli.main(f"prepare d --store s {given} --jobs 3".split())
    assert arrived == [True]


def test_every_phantom_can_be_asked_for() -> None:
    options = import_module("sslmed.cli.phantom").Options
    assert set(get_args(get_type_hints(options)["kind"])) == KINDS.keys()


def test_values_arrive_as_their_dataclass_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    command = import_module("sslmed.cli.prepare")
    arrived = []
    monkeypatch.setattr(command, "run", lambda *options: arrived.append(options))
    arguments = "prepare d --store s --pool --hu-window -100 2e2 --geometry spacing --spacing 1 1 2 --jobs 3"
    with pytest.raises(SystemExit):
        cli.main(arguments.split())
    options, settings = command.OPTIONS
    expected = settings("spacing", hu_window=(-100, 200), spacing=(1, 1, 2))
    assert arrived == [(options(["d"], Path("s"), pool=True, jobs=3), expected)]


@pytest.mark.parametrize(
    "given",
    [
        "fig3 --dry-run --pool a b --data c",
        "fig3 --pool a --data c --pool b --dry-run",
        "fig3 --pool=a --dry-run --data c --pool=b",
        "--dry-run --pool a --data c --pool b -- fig3",
    ],
)
def test_an_option_of_several_values_may_be_given_several_times(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    command = import_module("sslmed.cli.reproduce")
    arrived = []
    monkeypatch.setattr(command, "run", lambda options: arrived.append(options))
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "--jobs", "1", *given.split()])
    (options,) = arrived
    assert (options.figure, options.pool, options.data, options.dry_run) == ("fig3", ["a", "b"], ["c"], True)


@pytest.mark.parametrize("command", ["reproduce fig3 --dry-run --arm", "fit --initial_weight"])
def test_an_abbreviated_option_is_no_option(command: str, capsys) -> None:
    """Given again, it would replace the values before it: `--arm baseline --arm rotation` has no baseline."""
    with pytest.raises(SystemExit, match="2"):
        cli.main([*command.split(), "1"])
    option = command.split()[-1]
    assert capsys.readouterr().err.startswith(f"{option}: no such option; did you mean {option}s?")


def test_progress_of_libraries_stays_off_the_terminal() -> None:
    code = (
        "import logging, sslmed.cli\ntry: sslmed.cli.main(['--version'])\nexcept SystemExit: pass\n"
        "for name in ('sslmed.any', 'fontTools.subset'): logging.getLogger(name).info(name)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stderr == b"sslmed.any\n"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--spacing", "2"], "--spacing: is given as --spacing auto here"),
        (["--spacing=2"], "--spacing: is given as --spacing auto here"),
        (["--balanced-pools"], "--balanced-pools is for several pools"),
        (["--balanced-pools", "--pool", "one"], "--balanced-pools is for several pools"),
    ],
    ids=str,
)
def test_an_option_of_reproduce_that_would_do_nothing_is_refused(option: list[str], said: str, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["reproduce", "fig3", *option, "--dry-run"])
    assert capsys.readouterr().err.startswith(said)
