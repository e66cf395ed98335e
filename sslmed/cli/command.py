"""The command `sslmed`: it imports only what the subcommand needs."""

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from sslmed import __version__
from sslmed.core.environment import check_environment, is_first_process
from sslmed.core.errors import RunError, UserError, printable
from sslmed.core.interrupts import Interrupted, interruptible
from sslmed.core.nearest import did_you_mean
from sslmed.core.parsing import refuse_empty, separate_config
from sslmed.core.startup import importing

LIGHTNING_COMMANDS = {
    "fit": "train a run: pretrain or fine-tune, then score its test cases once",
    "validate": "score a run's validation cases",
    "test": "score a run's test cases again; its results do not change",
    "predict": "predict masks, classes or values of new images, or of the cases of a run's store",
}
OWN_COMMANDS = {
    "phantom": "generate a dataset: CT-like or MRI-like volumes in the layout of MSD, or photographs in that of APTOS",
    "check": "say what a folder of images holds and what cannot be used; write a table to edit, and the next command",
    "prepare": "check a dataset's files and write them as normalised, memory-mapped arrays",
    "reproduce": "pretrain, fine-tune, score and draw a figure's data-efficiency curves",
    "robustness": "score an experiment's test cases under artefacts, such as motion and noise",
    "predict": LIGHTNING_COMMANDS["predict"],
    "export": "export a trained network: weights with a model card, ONNX, a MONAI bundle, or for nnU-Net",
    "report": "write an experiment's report: one HTML file with curves, numbers, slices, protocol and cost",
}
"""Each is a module of this package, with the dataclasses of its options, and what runs it."""

RESUMING = ("fit", "phantom", "prepare", "reproduce", "robustness")
"""Commands that keep what an interruption leaves."""

COMMANDS = LIGHTNING_COMMANDS | OWN_COMMANDS
HELP = "\n".join(
    [
        "usage: sslmed [-h] [--version] COMMAND ...",
        "",
        "Self-supervised pretraining for medical images whose benefit one can trust.",
        "",
        "options:",
        "  -h, --help   show this help message and exit",
        "  --version    show the version and exit",
        "",
        "commands (`sslmed COMMAND --help` shows their options):",
        *(f"  {name:<12} {purpose}" for name, purpose in COMMANDS.items()),
    ]
)


def main(args: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 failed, 2 the input cannot be used, 128 + n ended by signal n."""
    arguments = sys.argv[1:] if args is None else list(args)
    os.environ["PYTHONSAFEPATH"] = "1"  # workers and other children must not import a random.py of the working folder
    try:
        check_environment()
        refuse_empty(arguments)
        level = logging.INFO if is_first_process() else logging.WARNING
        logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
        logging.getLogger("sslmed").setLevel(level)  # libraries tell of every glyph of a font
        with interruptible():
            sys.exit(_run(arguments))
    except (UserError, RunError, OSError) as error:  # a full disk, a folder that is a file or read-only
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        if os.environ.get("SSLMED_DEBUG") == "1":
            raise
        print(_words(error), file=sys.stderr)
        sys.exit(1 if isinstance(error, RunError) else 2)
    except Interrupted as interruption:
        resumes = arguments[:1] and (arguments[0] in RESUMING or _is_of_new_images(arguments))
        cure = "the same command resumes where this one stopped" if resumes else "start it again"
        print(f"{interruption}: {cure}", file=sys.stderr)
        sys.exit(interruption.status)


def _words(error: Exception) -> str:
    """What an error says; Python's own words for a system's error begin with a number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror is not None:
        return printable(f"{error.filename}: {error.strerror}")
    return "\n".join(map(printable, str(error).split("\n")))


def _run(arguments: Sequence[str]) -> int | None:
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help", "--version"):
        print(f"sslmed {__version__}" if name == "--version" else HELP)
        return None
    if name in LIGHTNING_COMMANDS and not _is_of_new_images(arguments):
        with importing():
            from sslmed.training.lightning_cli import main as lightning_main

        lightning_main(arguments)
        return None
    if name not in OWN_COMMANDS:
        given = f"{name}: no such command{did_you_mean(name, COMMANDS)}" if name else "give a command"
        raise UserError(f"{given} ({', '.join(COMMANDS)})")
    return _run_own(name, arguments[1:])


def _is_of_new_images(arguments: Sequence[str]) -> bool:
    """Whether a command is `predict` for any images; LightningCLI's takes a run's configuration, or its folder."""
    of_runs = ("-c", "--run_dir")
    given = [each.partition("=")[0] for each in separate_config(arguments)]
    return arguments[:1] == ["predict"] and not any(each in of_runs for each in given)


def _run_own(name: str, arguments: Sequence[str]) -> int | None:
    from sslmed.cli.options import HelpFormatter, Parser, parse  # jsonargparse takes a while to import

    command = import_module(f"sslmed.cli.{name}")
    purpose = OWN_COMMANDS[name]
    about = f"{purpose[0].upper()}{purpose[1:]}."
    words = {"prog": f"sslmed {name}", "description": about, "epilog": command.EPILOG}
    parser = Parser(**words, formatter_class=HelpFormatter, allow_abbrev=False)
    status: int | None = command.run(*parse(arguments, parser, command.OPTIONS, command.POSITIONAL))
    return status
