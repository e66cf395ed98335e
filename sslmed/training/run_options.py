"""Options of a run beside model, data and trainer, and the parser that reads them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from pytorch_lightning.cli import LightningArgumentParser

# Lightning finds classes by their bare names once their modules are imported.
from sslmed import downstream, encoders, pretext
from sslmed.core.errors import UserError
from sslmed.core.numbers import Index, Threads
from sslmed.core.parsing import one_line
from sslmed.data import finetuning, pretraining  # noqa: F401

LABELS = {
    "label_values": "label_values",
    "region_classes": "regions",
    "num_classes": "num_classes",
    "target_mean": "target_mean",
    "target_scale": "target_scale",
}
"""Arguments of a model that are set from the labels: attribute of the data -> argument of the model, if it has one."""

LINKS = {
    "seed_everything": "data.init_args.seed",
    "data.init_args.validations": "trainer.max_epochs",
    "data.init_args.crop_size": "model.init_args.crop_size",
}
"""Option -> another that is always the same."""

FROM_DATA = {f"data.{name}": f"model.init_args.encoder.init_args.{name}" for name in ("spatial_dims", "in_channels")}
FROM_DATA |= {f"data.{source}": f"model.init_args.{target}" for source, target in LABELS.items()}
"""Attribute of the data -> option that it sets."""

Wandb = Literal["disabled", "offline", "online"]
Selection = Literal["last", "best"]
Automatic = Literal["auto"] | bool


@dataclass
class RunLabels:
    """Names a run in tables and figures.

    Args:
        figure: The experiment of the run, e.g. `fig3`.
        dataset: Name of the dataset in tables.
        preset: Name of the preset.
        arm: `baseline` or the pretext task.
        source: Labelled dataset of supervised pretraining, or file of weights, if there is one.
        key: Fingerprint of all settings, set by `sslmed reproduce`.
    """

    figure: str = ""
    dataset: str = ""
    preset: str = ""
    arm: str = ""
    source: str = ""
    key: str = ""


class OneLineParser(LightningArgumentParser):
    """Says what is wrong in one line, with the nearest valid name."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message.

        Raises:
            UserError: Always.
        """
        if not self.exit_on_error:  # it reads a part of the options, for another parser
            super().error(message, ex)
        parsers = [self, *(self._subcommands_action._name_parser_map.values() if self._subcommands_action else [])]
        options = [option for parser in parsers for action in parser._actions for option in action.option_strings]
        classes = [name for room in (pretext, downstream, encoders) for name in room.__all__]
        raise UserError(one_line(message, options, classes)) from ex


def add_run_options(parser: LightningArgumentParser) -> None:
    """Add the options of a run beside model, data and trainer, and link options that must agree."""
    parser.add_argument("--run_dir", type=Path, required=True, help="directory for everything that the run writes")
    parser.add_argument("--threads", type=Threads, default=1, help="torch threads on CPU; results depend on it")
    parser.add_argument("--channels_last", type=bool, default=True, help="store features with channels last")
    parser.add_argument("--compile", type=bool, default=False, help="compile the network; takes a minute at the start")
    parser.add_argument(
        "--cuda_graphs",
        type=Automatic,
        default="auto",
        help="replay training steps as a CUDA graph, so that Python does not hold up a GPU; auto does so where it can, "
        "if task and encoder are sslmed's own",
    )
    parser.add_argument("--keep_memory", type=bool, default=True, help="keep freed memory: faster on CPU")
    parser.add_argument("--wandb", type=Wandb, default="disabled", help="mirror the run to Weights & Biases")
    parser.add_argument(
        "--probes", type=bool, default=False, help="while pretraining, score what the features tell of the labels"
    )
    parser.add_argument("--select", type=Selection, default="last", help="checkpoint that is scored")
    parser.add_argument(
        "--initial_weights",
        type=Index,
        default=0,
        help="another number gives other initial weights and changes nothing else",
    )
    parser.add_argument("--wait", type=bool, default=False, help="wait if another process is writing run_dir")
    parser.add_class_arguments(RunLabels, "labels")
    for source, target in LINKS.items():
        parser.link_arguments(source, target)
    for source, target in FROM_DATA.items():
        parser.link_arguments(source, target, apply_on="instantiate")
