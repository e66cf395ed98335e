"""Arms and encoders that a user names: groups of arms, and YAML files from outside the package."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from sslmed.core.errors import UserError
from sslmed.core.files import expand_home
from sslmed.core.names import PLAIN
from sslmed.core.nearest import did_you_mean, did_you_mean_path
from sslmed.core.yaml_files import find_setting, read_yaml
from sslmed.experiments.arms import SLICES, SUPERVISED, Arm
from sslmed.experiments.configs import config_root, is_yaml, known_names
from sslmed.experiments.experiment import Experiment

GROUP = "@"
ALL = f"{GROUP}all"
RESERVED = ("preset", "run", "encoder", "pretrain", "finetune", SUPERVISED)
"""Names of a preset's files, which arms must not have."""


def expand_groups(experiment: Experiment, names: Sequence[str]) -> list[str]:
    """Replace `@<group>` by the group's arms, `@<group>-2d` by these on slices, and `@all` by the arms of all groups.

    A group adds only arms that are neither named nor added by another one.

    Args:
        experiment: The figure.
        names: Arms and groups.

    Returns:
        Arms.

    Raises:
        UserError: If there is no such group.
    """
    groups = {f"{GROUP}{name}": arms for name, arms in experiment.groups.items()}
    groups[ALL] = [*dict.fromkeys([*experiment.arms, *(arm for arms in groups.values() for arm in arms)])]
    expanded: list[str] = []
    for name in names:
        if not name.startswith(GROUP):
            expanded.append(name)
            continue
        group = name.removesuffix(SLICES)
        if group not in groups:
            near = did_you_mean(group, sorted(groups))
            raise UserError(f"unknown group of arms {group}: choose from {', '.join(sorted(groups))}{near}")
        arms = [arm + name.removeprefix(group) for arm in groups[group]]
        expanded += [arm for arm in arms if arm not in (*names, *expanded)]
    return expanded


def add_arms(experiment: Experiment, names: Sequence[str]) -> tuple[Experiment, list[str]]:
    """Add arms that are given as the path of their pretext task's YAML.

    An arm has the name of its file, without folder and extension. `mine.yaml-2d`, `mine.yaml-external` and
    `mine.yaml-decoder` are variants.

    Returns:
        The figure with the new arms, and all names.

    Raises:
        UserError: If the file does not exist, or another arm has the same name.
    """
    own: dict[str, Path] = {}
    chosen = []
    for name in names:
        arm = Arm.parse(name)
        if not is_yaml(arm.pretext):
            chosen.append(name)
            continue
        path = _existing(Path(arm.pretext))
        _check_name(path, experiment, own)
        own[path.stem] = path
        chosen.append(path.stem + name.removeprefix(arm.pretext))
    return replace(experiment, arms=experiment.arms | {stem: str(path) for stem, path in own.items()}), chosen


def find_encoder(name: str) -> Path:
    """Find the YAML of an encoder: one of sslmed's by its name, or one of the user's by its path.

    Raises:
        UserError: If it does not exist.
    """
    if is_yaml(name):
        return _existing(Path(name))
    known = known_names("encoder")
    if name not in known:
        near = did_you_mean(name, known)
        raise UserError(f"unknown encoder {name}: choose from {', '.join(known)}, or give the path of a YAML{near}")
    return config_root() / "encoder" / f"{name}.yaml"


def encoder_class(path: Path) -> str | None:
    """Return the name of the class, without module, in an encoder's YAML or an overlay; `None` if it has none."""
    contents = [read_yaml(path)]
    name = find_setting(contents, "model.encoder.class_path", find_setting(contents, "model.encoder", None))
    return name.rpartition(".")[-1] if isinstance(name, str) else None


def weights_file(path: Path) -> Path | None:
    """Return the file of weights that an arm's YAML names instead of a pretext task; `None` if it names none.

    Raises:
        UserError: If there is no such file, beside the YAML or as it is written.
    """
    content = find_setting([read_yaml(path)], "model.pretrained.checkpoint", None)
    if content is None:
        return None
    written = expand_home(Path(str(content)))
    found = next((each for each in (path.parent / written, written) if each.is_file()), None)
    if found is None:
        raise UserError(f"{path}: {written} is neither beside it nor in the current folder; download the weights first")
    return found.resolve()


def own_code(files: Sequence[Path], contents: Sequence[object]) -> list[str]:
    """Read the user's own modules that YAML files name by `class_path`, so that a run does not outlive an edit of them.

    A module is a file, or a package with all its files, beside the YAML or in the working folder. What it imports from
    other files is not read.

    Args:
        files: YAML files of a run.
        contents: What they hold.
    """
    code: dict[Path, str] = {}
    for file, content in zip(files, contents, strict=True):
        modules = {path.partition(".")[0] for path in _class_paths(content)} - {"sslmed"}
        for folder, module in product((file.parent, Path.cwd()), sorted(modules)):
            for path in (folder / f"{module}.py", *sorted((folder / module).rglob("*.py"))):
                if path.is_file():
                    code[path] = path.read_text(encoding="utf-8", errors="replace")
    return [*code.values()]


def _class_paths(content: object) -> Iterator[str]:
    if isinstance(content, dict):
        if "class_path" in content:
            yield str(content["class_path"])
        content = [*content.values()]
    for each in content if isinstance(content, list) else []:
        yield from _class_paths(each)


def _existing(path: Path) -> Path:
    if not path.is_file():
        near = did_you_mean_path(path, (".yaml", ".yml"))
        raise UserError(
            f"{path}: no such file; an arm or encoder of your own is a YAML like those in {config_root()}{near}"
        )
    return path.resolve()


def _check_name(path: Path, experiment: Experiment, own: dict[str, Path]) -> None:
    name = path.stem
    arm = Arm.parse(name)
    if arm.is_null or arm.pretext != name or name in (*RESERVED, *experiment.arms) or own.get(name, path) != path:
        raise UserError(f"{path}: {name} is already the name of something else in {experiment.figure}; rename the file")
    if not PLAIN.fullmatch(name):
        raise UserError(
            f"{path}: an arm has the name of its file, which may contain letters, digits, - and _; rename the file"
        )
