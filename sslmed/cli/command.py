"""The command `sslmed`: one argument parser that imports only what the subcommand needs."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sslmed import __version__
from sslmed.core.errors import UserError
from sslmed.core.extras import require
from sslmed.core.startup import importing

if TYPE_CHECKING:
    from sslmed.preparation.store import Store

KNOWN_NAMES = "pancreas, hippocampus, brats, aptos"
LIGHTNING_COMMANDS = {
    "fit": "train a run: pretrain or fine-tune, then score its test cases once",
    "validate": "score a run's validation cases",
    "test": "score a run's test cases again; its record is not touched",
    "predict": "segment test and unlabelled cases on their original grids, or tell their classes or values",
}


def main(args: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 1 failed, 2 something the user gave cannot be used."""
    arguments = sys.argv[1:] if args is None else list(args)
    # Where several processes train one network, the first one reports.
    level = logging.INFO if int(os.environ.get("RANK", "0")) == 0 else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells when it has looked for fonts
    try:
        if arguments and arguments[0] in LIGHTNING_COMMANDS:
            with importing():
                from sslmed.training.lightning_cli import main as lightning_main

            lightning_main(arguments)
        else:
            options = _parser().parse_args(arguments)
            sys.exit(options.run(options))
    except UserError as error:
        if os.environ.get("SSLMED_DEBUG") == "1":
            raise
        print(error, file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that is a file or read-only
        if os.environ.get("SSLMED_DEBUG") == "1":
            raise
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on where this one stopped", file=sys.stderr)
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("sslmed", description=__doc__, allow_abbrev=False)
    parser.description = "Self-supervised pretraining for medical images whose benefit one can trust."
    parser.add_argument("--version", action="version", version=f"sslmed {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, purpose in LIGHTNING_COMMANDS.items():
        commands.add_parser(name, help=purpose)  # listed here, parsed by LightningCLI
    _add_phantom(commands)
    _add_prepare(commands)
    _add_reproduce(commands)
    _add_report(commands)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace], int | None]


def _add(commands: Commands, name: str, run: Run, purpose: str, epilog: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_phantom(commands: Commands) -> None:
    purpose = "draw a dataset: CT-like or MRI-like volumes in the layout of MSD, or photographs in that of APTOS"
    epilog = "Deterministic by seed; the first N cases do not depend on N. A killed command goes on where it was."
    parser = _add(commands, "phantom", _phantom, purpose, epilog)
    parser.add_argument("kind", choices=["pancreas", "brain", "fundus"], help="what to draw")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the dataset")
    parser.add_argument("--cases", type=int, default=60, metavar="N", help="labelled cases")
    parser.add_argument("--unlabelled", type=int, default=40, metavar="N", help="unlabelled cases")
    size_help = "three sides of volumes in voxels, or width and height of photographs in pixels; the kind's by default"
    parser.add_argument("--size", type=int, nargs="+", default=argparse.SUPPRESS, metavar="N", help=size_help)
    parser.add_argument("--seed", type=int, default=0, help="seed of the anatomy")


def _phantom(options: argparse.Namespace) -> None:
    from sslmed.phantoms import KINDS

    size = {"size": tuple(options.size)} if "size" in options else {}
    KINDS[options.kind](options.out, cases=options.cases, unlabelled=options.unlabelled, seed=options.seed, **size)
    print(f"{options.out}: {options.cases} labelled and {options.unlabelled} unlabelled cases")


def _add_prepare(commands: Commands) -> None:
    purpose = "check a dataset's files and write them as normalised, memory-mapped arrays"
    epilog = "A killed command goes on where it was. Exit status 2 if a file cannot be used: one line for each."
    parser = _add(commands, "prepare", _prepare, purpose, epilog)
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a table (CSV), a folder with a table.csv or in MSD or APTOS layout, or a known name to download: "
        + KNOWN_NAMES,
    )
    parser.add_argument("--store", type=Path, required=True, metavar="DIR", help="folder for the prepared arrays")
    parser.add_argument("--geometry", choices=["cube", "spacing"], default="cube", help="crop and resize, or resample")
    parser.add_argument("--size", type=int, default=128, metavar="N", help="side of the cube or square")
    parser.add_argument("--spacing", type=float, nargs=3, default=(1, 1, 1), metavar=("I", "J", "K"), help="in mm")
    parser.add_argument("--hu-window", type=float, nargs=2, default=(-160, 240), metavar=("LOW", "HIGH"), help="of CT")
    parser.add_argument(
        "--percentiles", type=float, nargs=2, default=(0.5, 99.5), metavar=("LOW", "HIGH"), help="of other modalities"
    )
    parser.add_argument(
        "--foreground", type=float, default=0.05, metavar="X", help="intensity above which it is body or retina, 0 to 1"
    )
    photo_help = "take photographs whole, or crop them to the retina"
    parser.add_argument("--photo", choices=["plain", "fundus"], default="plain", help=photo_help)
    task_help = "task whose labels to take from a table that has several columns of them: mask, class or value"
    parser.add_argument("--task", choices=["segmentation", "classification", "regression"], help=task_help)
    parser.add_argument("--pool", action="store_true", help="take all images, which may be any folder's, and no label")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes; all cores by default")
    parser.add_argument("--downloads", type=Path, default=Path("data"), metavar="DIR", help="where downloads go")


def _prepare(options: argparse.Namespace) -> None:
    from sslmed.evaluation.resolution import label_round_trip
    from sslmed.preparation.download.fetch import KNOWN, fetch
    from sslmed.preparation.prepare import PrepareSettings, prepare
    from sslmed.preparation.readers.dataset import LABELS_OF_TASKS

    data = fetch(options.data, options.downloads) if options.data in KNOWN else Path(options.data)
    settings = PrepareSettings(
        geometry=options.geometry,
        size=options.size,
        spacing=tuple(options.spacing),
        hu_window=tuple(options.hu_window),
        percentiles=tuple(options.percentiles),
        foreground=options.foreground,
        photo=options.photo,
    )
    labels = None if options.task is None else LABELS_OF_TASKS[options.task]
    store = prepare(data, options.store, settings, options.jobs, labels=labels, pool=options.pool)
    print(f"{options.store}: {len(store.labelled)} labelled and {len(store.unlabelled)} unlabelled cases are ready")
    _say_copies(store)
    if store.labelled and store.labels == "map":
        scores = label_round_trip(store)
        print(
            f"labels on this grid, mapped back to the original one by nearest neighbour, keep a foreground Dice of "
            f"{scores.mean():.3f} (least {scores.min():.3f}; {len(scores)} cases)"
        )


def _say_copies(store: "Store") -> None:
    n_copies = len(store.cases) - len(set(store.digests.values()))
    if n_copies:
        print(f"{n_copies} images are copies of another; copies stay together in one fold")


def _add_reproduce(commands: Commands) -> None:
    purpose = "pretrain, fine-tune, score and draw a figure's data-efficiency curves"
    epilog = (
        "The same command goes on where an interrupted one stopped. Exit status 1 if runs failed, 2 for wrong input."
    )
    parser = _add(commands, "reproduce", _reproduce, purpose, epilog)
    figure_help = "fig2, fig3, fig4; of your own data segmentation, classification, regression; or a YAML of your own"
    parser.add_argument("figure", metavar="FIGURE", help=figure_help)
    data_help = f"phantom, a known name ({KNOWN_NAMES}), a table (CSV), or a folder with one or in MSD or APTOS layout"
    parser.add_argument("--data", default="phantom", help=data_help)
    parser.add_argument("--pool", type=Path, metavar="DIR", help="unlabelled images for arms <task>-external")
    parser.add_argument("--preset", default="quick", help="quick, sound, paper, or a folder with a preset.yaml")
    arms_help = "arms to compare, names or YAML files of your own pretext tasks; the figure's by default"
    parser.add_argument("--arms", nargs="+", metavar="ARM", help=arms_help)
    encoder_help = "densenet, resnet, unet, or a YAML of your own; the figure's by default"
    parser.add_argument("--encoder", metavar="ENCODER", help=encoder_help)
    parser.add_argument("--fractions", nargs="+", type=float, metavar="F", help="label fractions in (0, 1]")
    labels_help = "numbers of labelled training cases, or `all`, instead of fractions"
    parser.add_argument("--labels", nargs="+", metavar="N", help=labels_help)
    parser.add_argument("--folds", nargs="+", type=int, metavar="K", help="folds to run; the preset's by default")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="S", help="fine-tuning seeds; the preset's by default")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="jobs side by side; as cores, GPUs or the profile allow by default"
    )
    devices_help = "GPUs, or processes on the CPU, that train one run together"
    parser.add_argument("--devices", type=int, default=1, metavar="N", help=devices_help)
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="tables and figures")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="runs and prepared data")
    parser.add_argument(
        "--downloads", type=Path, default=Path("data"), metavar="DIR", help="generated and downloaded data"
    )
    parser.add_argument("--executor", choices=["local", "slurm"], default="local", help="where jobs run")
    profile_help = "Snakemake profile of a cluster: partition, account, time, memory; see configs/cluster/slurm"
    parser.add_argument("--profile", type=Path, metavar="DIR", help=profile_help)
    parser.add_argument("--wandb", choices=["disabled", "offline", "online"], default="disabled", help="mirror of runs")
    parser.add_argument("--dry-run", action="store_true", help="list what is done and to do, and what it would cost")


def _reproduce(options: argparse.Namespace) -> int:
    from sslmed.experiments.reproduce import Options, reproduce

    settings = {name: value for name, value in vars(options).items() if name != "run"}
    experiment = reproduce(Options(**settings))
    if experiment is None:
        return 0
    from sslmed.reporting.publish import publish  # pandas and matplotlib take a while to import

    return publish(experiment)


def _add_report(commands: Commands) -> None:
    purpose = "write an experiment's report: one HTML file with curves, numbers, slices, protocol and cost"
    epilog = "`sslmed reproduce` does so at its end. The file needs no network; runs that are missing are marked."
    parser = _add(commands, "report", _report, purpose, epilog)
    parser.add_argument("dir", type=Path, metavar="DIR", help="an experiment's directory, as runs/fig3/phantom-quick")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="tables and figures")
    wandb_help = "make a report of the experiment's runs in Weights & Biases instead"
    parser.add_argument("--wandb", action="store_true", help=wandb_help)


def _report(options: argparse.Namespace) -> None:
    if options.wandb:
        require("wandb_workspaces", extra="wandb-workspaces", why="--wandb")
        from sslmed.reporting.wandb.dashboard import make_dashboard

        print(make_dashboard(options.dir))
    else:
        from sslmed.reporting.html.page import report_experiment

        print(report_experiment(options.dir, options.out))
