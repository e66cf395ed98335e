import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from commands import TINY
from families import PRESETS
from grids import ALL, grid_of

from sslmed.core.errors import UserError
from sslmed.core.label_amount import LabelAmount, label_amounts
from sslmed.experiments.arms import Arm
from sslmed.experiments.check import parse
from sslmed.experiments.configs import known_names
from sslmed.experiments.engine import command, environment
from sslmed.experiments.executors.local import Local
from sslmed.experiments.experiment import read_experiment
from sslmed.experiments.grid import Grid
from sslmed.experiments.own import encoder_class, expand_groups
from sslmed.experiments.places import LabelledSource, Places
from sslmed.experiments.plan import describe_file, plan_runs
from sslmed.experiments.preset import preset_folder, read_preset
from sslmed.experiments.runs import Run, read_plan, write_plan

_OVERLAYS = ("encoder.yaml", "finetune.yaml", "pretrain.yaml")
_TASKS = [arm for arm in read_experiment("fig3").arms if arm != "baseline"]


def _grid(preset: Path = TINY, figure: str = "fig3", arms: Sequence[str] | None = None, **chosen: tuple) -> Grid:
    arms = read_experiment(figure).default_arms if arms is None else arms
    options = {"labels": (LabelAmount(fraction=0.05), ALL), "folds": (0, 2), "seeds": (0, 1)} | chosen
    return grid_of(*arms, figure=figure, preset=preset, **options)


def _plan(grid: Grid, pool: Path | None = None, **options: int) -> list[Run]:
    source = LabelledSource("chaos", Path("/stores/chaos-1"), grid.experiment.label_kind)
    places = Places(work=Path("/work"), store=Path("/stores/phantom-1"), pool=pool, source=source)
    return plan_runs(grid, places, dataset="phantom", wandb="disabled", **options)


def _options(run: Run) -> dict[str, str]:
    pairs = zip(run.arguments[::2], run.arguments[1::2], strict=True)
    return {name.removeprefix("--"): value for name, value in pairs if name != "-c"}


def test_every_arm_pretrains_once_per_fold_and_fine_tunes_every_cell() -> None:
    runs = _plan(_grid())
    assert len({run.name for run in runs}) == len(runs) == 5 * 2 + 6 * 2 * 2 * 2
    assert "rotation/fold2/pretrain" in {run.name for run in runs}
    assert "baseline/fold0/seed1/5" in {run.name for run in runs}
    assert not any(run.name == "baseline/fold0/pretrain" for run in runs)


def test_arms_differ_in_nothing_but_the_weights_they_start_from() -> None:
    own = ("labels.arm", "labels.key", "run_dir", "model.pretrained.checkpoint")
    cells: dict[tuple, list] = {}
    labels = (LabelAmount(count=4), LabelAmount(fraction=0.05), LabelAmount(fraction=1.0))
    for run in _plan(_grid(labels=labels)):
        if run.labels is not None:
            configs = [
                value for name, value in zip(run.arguments[::2], run.arguments[1::2], strict=True) if name == "-c"
            ]
            shared = {name: value for name, value in _options(run).items() if name not in own}
            cells.setdefault((run.fold, run.seed, run.labels), []).append((configs, shared))
    for arms in cells.values():
        assert len(arms) == 6
        assert all(arm == arms[0] for arm in arms)


@pytest.mark.slow
def test_several_devices_are_part_of_a_runs_configuration() -> None:
    one, two = _plan(_grid()), _plan(_grid(), devices=2)
    assert {run.devices for run in one} == {1}
    assert {(run.devices, _options(run)["trainer.devices"]) for run in two} == {(2, "2")}
    assert all(a.key != b.key and a.name == b.name for a, b in zip(one, two, strict=True))
    assert one == _plan(_grid(), devices=1)


def test_the_presets_precision_is_part_of_a_runs_configuration() -> None:
    grid = _grid(arms=("baseline", "rotation"))
    precisions = ("32-true", "bf16-mixed")
    fp32, bf16 = (_plan(replace(grid, preset=replace(grid.preset, precision=each))) for each in precisions)
    for plan, precision in zip((fp32, bf16), precisions, strict=True):
        assert {_options(run)["trainer.precision"] for run in plan} == {precision}
    assert all(a.key != b.key and a.name == b.name for a, b in zip(fp32, bf16, strict=True))
    assert not any("trainer.precision" in _options(run) for run in _plan(grid))


def test_fine_tuning_starts_from_the_last_checkpoint_of_its_own_fold() -> None:
    for run in _plan(_grid()):
        pretrained = _options(run).get("model.pretrained.checkpoint")
        if run.labels is None or run.arm == "baseline":
            assert pretrained is None
        else:
            assert pretrained == f"/work/{run.arm}/fold{run.fold}/pretrain/checkpoints/last.ckpt"


def test_a_preset_says_which_checkpoint_is_handed_over(tmp_path: Path) -> None:
    copy = tmp_path / "tiny"
    shutil.copytree(TINY, copy)
    (copy / "preset.yaml").write_text((copy / "preset.yaml").read_text() + "handover: best\n")
    for last, best in zip(_plan(_grid()), _plan(_grid(copy)), strict=True):
        assert best.name == last.name
        if last.needs is None:
            assert best.key == last.key  # pretraining, and what is trained from scratch, is as before
        else:
            assert best.key != last.key
            assert _options(best)["model.pretrained.checkpoint"] == f"/work/{last.needs}/checkpoints/best.ckpt"
    (copy / "preset.yaml").write_text((copy / "preset.yaml").read_text().replace("best", "first"))
    with pytest.raises(UserError, match="handover"):
        read_preset(copy)


def test_a_final_model_has_no_validation_cases_so_its_last_checkpoints_count(tmp_path: Path) -> None:
    copy = tmp_path / "tiny"
    shutil.copytree(TINY, copy)
    (copy / "preset.yaml").write_text((copy / "preset.yaml").read_text() + "handover: best\n")
    final = {"folds": (0,), "seeds": (0,), "final": True}
    pretraining, finetuning = map(_options, _plan(_grid(copy, arms=("rotation",), labels=[ALL], **final)))
    assert pretraining["data.final"] == finetuning["data.final"] == "true"
    assert finetuning["select"] == "last"
    assert finetuning["model.pretrained.checkpoint"] == "/work/rotation/final/pretrain/checkpoints/last.ckpt"


def test_keys_follow_settings_and_not_comments_or_places(tmp_path: Path) -> None:
    copy = tmp_path / "tiny"
    shutil.copytree(TINY, copy)
    keys = {run.name: run.key for run in _plan(_grid())}
    overlay = copy / "pretrain.yaml"
    overlay.write_text("# a comment\n" + overlay.read_text())
    assert {run.name: run.key for run in _plan(_grid(copy))} == keys
    overlay.write_text(overlay.read_text().replace("updates: 6", "updates: 7"))
    changed = {run.name: run.key for run in _plan(_grid(copy))}
    assert {name for name in keys if changed[name] != keys[name]} == {name for name in keys if "baseline" not in name}


@pytest.mark.parametrize("module", ["mine.py", "mine/tasks.py"])
def test_an_edit_of_the_users_own_task_makes_its_runs_anew(tmp_path: Path, module: str) -> None:
    code, other = tmp_path / module, tmp_path / "other.py"
    code.parent.mkdir(exist_ok=True)
    (tmp_path / "arm.yaml").write_text("model: {class_path: mine.Task}\n")

    def keys() -> dict[str, str]:
        return {run.name: run.key for run in _plan(grid_of("baseline", str(tmp_path / "arm.yaml")))}

    code.write_text("one = 1\n")
    before = keys()
    other.write_text("")
    assert keys() == before
    code.write_text("one = 2\n")
    after = keys()
    assert {name for name in before if before[name] != after[name]} == {"arm/fold0/pretrain", "arm/fold0/seed0/100"}


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"arms": ("baseline", "sudoku")}, "unknown arm sudoku: choose from baseline, rotation"),
        ({"arms": ("baseline-external",)}, "unknown arm baseline-external"),
        ({"arms": ("baseline-decoder",)}, "unknown arm baseline-decoder"),
        ({"figure": "fig4", "arms": ("mae-decoder",)}, "fig4 predicts no label maps and has no decoder; use mae"),
        ({"figure": "fig4", "arms": ("rotation-2d",)}, "labels of fig4 are of whole images, not slices; use rotation"),
        (
            {"labels": (LabelAmount(count=4), LabelAmount(count=4))},
            "labels must be given once each, got more than once: 4 labels$",
        ),
        ({"folds": (3,)}, "folds must be in 0 to 2"),
        ({"seeds": (1, 2, 1)}, "seeds must be given once each, got more than once: 1$"),
        ({"arms": ()}, "at least one"),
    ],
)
def test_impossible_grids_are_refused(chosen: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        _grid(**chosen)


@pytest.mark.slow
def test_numbers_of_labels_have_runs_of_their_own_and_all_is_100_percent(tmp_path: Path) -> None:
    by_count = label_amounts(None, ["1", "4", "all"])
    assert by_count is not None
    runs = {run.name: run for run in _plan(_grid(labels=by_count)) if run.labels is not None}
    assert {name.rpartition("/")[2] for name in runs} == {"n1", "n4", "100"}
    four = _options(runs["rotation/fold2/seed1/n4"])
    assert four["data.n_labels"] == "4"
    assert "data.label_fraction" not in four
    assert parse(runs["rotation/fold2/seed1/n4"].arguments).data.init_args.n_labels == 4
    by_fraction = {run.name: run for run in _plan(_grid())}
    assert runs["rotation/fold2/seed1/100"] == by_fraction["rotation/fold2/seed1/100"]
    write_plan(tmp_path / "plan.json", [*runs.values()])
    assert read_plan(tmp_path / "plan.json") == [*runs.values()]


def test_a_preset_may_say_labels_instead_of_fractions_but_not_both(tmp_path: Path) -> None:
    copy = tmp_path / "tiny"
    shutil.copytree(TINY, copy)
    preset = copy / "preset.yaml"
    preset.write_text((TINY / "preset.yaml").read_text() + "labels: [1, 2, all]\n")
    assert read_preset(copy).label_amounts == (LabelAmount(count=1), LabelAmount(count=2), LabelAmount(fraction=1.0))
    preset.write_text(preset.read_text() + "fractions: [0.5]\n")
    with pytest.raises(UserError, match=re.escape(str(preset)) + ".*not both"):
        read_preset(copy)


def test_a_preset_is_shared_with_all_that_it_shares_itself(tmp_path: Path) -> None:
    settings = (TINY / "preset.yaml").read_text()
    plans = []
    for shares in ("fig3/quick", "segmentation/quick"):  # which has no more than a preset.yaml, and shares the former
        (folder := tmp_path / shares / "mine").mkdir(parents=True)
        (folder / "preset.yaml").write_text(f"{settings}shares: {shares}\n")
        plans.append([(run.name, run.key) for run in _plan(_grid(folder))])
    assert plans[0] == plans[1]
    (tmp_path / "finetune.yaml").touch()
    (tmp_path / "preset.yaml").write_text(f"{settings}shares: fig2/paper\n")  # later files take precedence
    folders = [path.parent for path in _grid(tmp_path).overlay("finetune.yaml")]
    assert folders == [preset_folder("fig3", "paper"), preset_folder("fig2", "paper"), tmp_path]


def test_a_preset_that_is_shared_and_does_not_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "preset.yaml").write_text((TINY / "preset.yaml").read_text() + "shares: fig3/quikc\n")
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "preset.yaml")) + ".*shares.*fig3/quikc.*fig3/quick"):
        read_preset(tmp_path)


def test_external_pools_and_slices_change_what_they_say_and_nothing_else() -> None:
    arms = ("rotation", "rotation-external", "rotation-2d")
    runs = {run.name: run for run in _plan(_grid(arms=arms), pool=Path("/stores/pool-1"))}
    own, external, slices = (_options(runs[f"{arm}/fold2/pretrain"]) for arm in arms)
    assert own["data.store"] == slices["data.store"] == "/stores/phantom-1"
    assert (external["data.store"], external["data.fold"]) == ("/stores/pool-1", "2")
    assert not {"data.n_folds", "data.balanced"} & external.keys()
    balanced = _plan(_grid(arms=arms, balanced_pools=True), pool=Path("/stores/pool-1"))
    assert {run.arm for run in balanced if "data.balanced" in _options(run)} == {"rotation-external"}
    tuned = [_options(runs[f"{arm}/fold2/seed0/5"]) for arm in arms]
    assert [options.get("model.pretrained.adapt_channels") for options in tuned] == [None, "true", None]
    assert {options["data.store"] for options in tuned} == {"/stores/phantom-1"}
    for stage in ("pretrain", "seed1/100"):
        assert parse(runs[f"rotation-2d/fold0/{stage}"].arguments).data.init_args.spatial_dims == 2


BUILT_ALWAYS = [("fig3", "quick"), ("fig4", "quick")]


def _has_own_files(figure: str, preset: str) -> bool:
    """Whether a preset has files of its own that `make test` does not read in test_presets.py; `test-all` reads all."""
    return (figure, preset) not in BUILT_ALWAYS and read_preset(preset_folder(figure, preset)).shares is None


@pytest.mark.slow
@pytest.mark.parametrize(("figure", "preset"), [each for each in PRESETS if _has_own_files(*each)])
def test_every_run_of_a_preset_with_own_files_has_a_configuration_that_the_command_accepts(
    figure: str, preset: str
) -> None:
    folder = preset_folder(figure, preset)
    own_in_2d = [path.stem for path in folder.glob("*-2d.yaml") if path.stem.removesuffix("-2d") in _TASKS]
    if read_experiment(figure).task != "segmentation":  # these overlays are for photographs, not for slices
        own_in_2d = []
    arms = ("baseline", *_TASKS, *own_in_2d, "supervised")
    grid = grid_of(*arms, figure=figure, preset=folder)
    kinds = {tuple(value for value in run.arguments if value.endswith(".yaml")): run for run in _plan(grid)}
    for run in kinds.values():
        assert parse(run.arguments).model.class_path.startswith("sslmed.")


@pytest.mark.slow
@pytest.mark.parametrize(("figure", "preset"), PRESETS)
def test_every_task_has_the_same_budget_of_pretraining(figure: str, preset: str) -> None:
    """Published batches and slices' epochs differ, so in `paper` tasks have only the epochs in common."""
    folder, settings = preset_folder(figure, preset), ["updates", "epochs", "validations", "batch_size"]
    budgets = []
    for suffix in ["", "-2d"] if read_experiment(figure).task == "segmentation" else [""]:
        arms = tuple(f"{arm}{suffix}" for arm in (*_TASKS, "supervised"))
        runs = _plan(_grid(folder, figure, arms=arms, folds=(0,), seeds=(0,), labels=[ALL]))
        compared = settings[:3] if preset == "paper" else settings
        of_tasks = {tuple(run.setting(f"data.{name}", None) for name in compared) for run in runs if run.labels is None}
        assert len(of_tasks) == 1
        budgets += of_tasks
    assert all(updates or epochs for updates, epochs, *_ in budgets)
    assert preset == "paper" or budgets[0][:3] == budgets[-1][:3]


def test_a_supervised_arm_learns_the_labels_of_its_source_with_the_network_of_fine_tuning() -> None:
    pretraining, finetuning = _plan(grid_of("supervised", folds=(2,)))
    options = _options(pretraining)
    assert [options[f"data.{name}"] for name in ("store", "fold", "testing")] == ["/stores/chaos-1", "2", "false"]
    assert options["labels.source"] == _options(finetuning)["labels.source"] == "chaos"
    files = [Path(value).name for value in pretraining.arguments if value.endswith(".yaml")]
    assert files == ["base.yaml", "segmentation.yaml", "segmentation.yaml", "unet.yaml", *_OVERLAYS]
    with pytest.raises(UserError, match="unknown arm supervised-external"):
        _grid(arms=("supervised-external",))


def test_an_arm_may_start_from_a_file_of_weights_without_pretraining(tmp_path: Path) -> None:
    arm = tmp_path / "imagenet.yaml"
    arm.write_text("model: {init_args: {pretrained: {checkpoint: dense.pth}}}")

    def plan(suffix: str = "") -> list[Run]:
        describe_file.cache_clear()
        return _plan(grid_of(f"{arm}{suffix}", figure="fig4", preset=preset_folder("fig4", "quick")))

    with pytest.raises(UserError, match=r"dense\.pth is neither beside it nor"):
        plan()
    (tmp_path / "dense.pth").write_bytes(b"weights")
    (run,) = plan()
    options = _options(run)
    assert options["model.pretrained.checkpoint"] == str(tmp_path / "dense.pth")
    assert options["model.pretrained.adapt_channels"] == "true"
    assert options["labels.source"] == f"dense.pth (SHA-256 {hashlib.sha256(b'weights').hexdigest()[:16]})"
    (tmp_path / "dense.pth").write_bytes(b"others")
    assert plan()[0].key != run.key
    with pytest.raises(UserError, match="starts from a file of weights and sees no pool"):
        plan("-external")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("model: {init_args: {encoder: {class_path: sslmed.encoders.UNetEncoder}}}", "UNetEncoder"),
        ("model: {encoder: UNetEncoder}", "UNetEncoder"),
        ("model.encoder: UNetEncoder", "UNetEncoder"),
        ("model: {encoder: {widths: [4, 8]}}", None),
    ],
)
def test_the_class_of_an_encoder_is_found_in_each_form_of_yaml(tmp_path: Path, written: str, name: str | None) -> None:
    (tmp_path / "encoder.yaml").write_text(written)
    assert encoder_class(tmp_path / "encoder.yaml") == name


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    copy = tmp_path / "tiny"
    shutil.copytree(TINY, copy)
    (copy / "finetune.yaml").write_text("data: {init_args: {batch_sise: 2}}")
    with pytest.raises(UserError, match="batch_sise"):
        parse(_plan(_grid(copy))[0].arguments)
    (copy / "preset.yaml").write_text((copy / "preset.yaml").read_text() + "n_fold: 5\n")
    with pytest.raises(UserError, match=re.escape(str(copy / "preset.yaml")) + ".*n_fold"):
        read_preset(copy)


def test_a_null_arm_is_a_baseline_with_other_initial_weights() -> None:
    runs = _plan(_grid(arms=("baseline", "null-1", "null-2")))
    by_arm = {arm: {run.name.partition("/")[2]: _options(run) for run in runs if run.arm == arm} for arm in _NULLS}
    assert by_arm["baseline"].keys() == by_arm["null-1"].keys() == by_arm["null-2"].keys()
    for name, baseline in by_arm["baseline"].items():
        for arm, weights in _NULLS.items():
            options = by_arm[arm][name]
            assert options.get("initial_weights") == weights
            differing = {key for key in options.keys() | baseline if options.get(key) != baseline.get(key)}
            assert differing <= {"labels.arm", "labels.key", "run_dir", "initial_weights"}


_NULLS = {"baseline": None, "null-1": "1", "null-2": "2"}


def test_a_frozen_encoder_stays_so_in_every_arm() -> None:
    arms = ("baseline", "rotation-decoder")
    runs = _plan(_grid(arms=arms, folds=(0,), seeds=(0,), labels=[ALL], finetuning="frozen"))
    tuned = [parse(run.arguments).model.init_args.pretrained for run in runs if run.labels]
    assert [(each.frozen_fraction, each.unfreezing_fraction) for each in tuned] == [(1, 0)] * len(arms)


def test_a_decoder_is_handed_over_by_arms_that_say_so_and_nothing_else_changes() -> None:
    arms = ("mae", "mae-decoder", "mae-decoder-2d")
    runs = {run.name: run for run in _plan(_grid(arms=arms))}
    plain, decoder, slices = (runs[f"{arm}/fold2/seed0/5"] for arm in arms)
    assert "model.pretrained.load" not in _options(plain)
    assert _options(decoder)["model.pretrained.load"] == _options(slices)["model.pretrained.load"] == "all"
    assert parse(decoder.arguments).model.init_args.pretrained.load == "all"
    differing = {key for key, value in _options(plain).items() if _options(decoder)[key] != value}
    assert differing == {"labels.arm", "labels.key", "run_dir", "model.pretrained.checkpoint"}
    configs = [value for value in plain.arguments if value.endswith(".yaml")]
    assert [value for value in decoder.arguments if value.endswith(".yaml")] == configs
    pretraining = [runs[f"{arm}/fold2/pretrain"].arguments for arm in arms[:2]]
    assert [value for value in pretraining[0] if value.endswith(".yaml")] == [
        value for value in pretraining[1] if value.endswith(".yaml")
    ]


def test_groups_are_expanded_once_also_on_slices() -> None:
    experiment = read_experiment("fig3")
    paper, modern = experiment.groups["paper"], experiment.groups["modern"]
    assert experiment.default_arms == paper == ["baseline", "rotation", "jigsaw", "rpl", "exemplar", "cpc"]
    assert expand_groups(experiment, ["@modern"]) == modern
    assert expand_groups(experiment, ["baseline", "@modern"]) == modern
    assert sorted(expand_groups(experiment, ["@paper", "rotation", "null"])) == sorted([*paper, "null"])
    assert expand_groups(experiment, ["@modern-2d", "null"]) == [*(f"{arm}-2d" for arm in modern), "null"]
    assert set(expand_groups(experiment, ["@all"])) == {*experiment.arms, *paper, *modern}
    assert expand_groups(experiment, ["@all", "@paper"]) == expand_groups(experiment, ["@all"])
    with pytest.raises(UserError, match="unknown group of arms @moderm: choose from @all, @modern, @paper"):
        expand_groups(experiment, ["@moderm"])


@pytest.mark.slow
def test_arms_whose_names_differ_by_a_dash_have_jobs_of_their_own(tmp_path: Path) -> None:
    own = [tmp_path / f"{name}.yaml" for name in ("rotation_2d", "my-idea", "my_idea")]
    for file in own:
        file.write_text("model: {class_path: Rotation}\n")
    grid = grid_of("rotation-2d", *map(str, own))
    write_plan(tmp_path / "workflow.json", _plan(grid))
    workflow = [*command(tmp_path, Local(1)), "--dry-run"]
    shown = subprocess.run(workflow, env=environment(tmp_path), capture_output=True, text=True, check=True).stdout
    assert {f"rule {arm}_fold0:" for arm in grid.arms} < set(shown.splitlines())


@pytest.mark.parametrize("figure", known_names("experiments"))
def test_every_figure_knows_every_task_and_its_groups_hold_nothing_else(figure: str) -> None:
    experiment = read_experiment(figure)
    assert {Path(file).stem for file in experiment.arms.values() if file is not None} == set(known_names("pretext"))
    _grid(figure=figure, arms=tuple(expand_groups(experiment, ["@all"])))  # refuses what it does not know


@pytest.mark.parametrize("arm", ["null-0", "null-01", "null-external", "null-1-external", "null-x"])
def test_other_names_of_null_arms_are_refused(arm: str) -> None:
    with pytest.raises(UserError, match=f"unknown arm {arm}"):
        _grid(arms=("baseline", arm))


def test_null_is_short_for_a_name_that_pandas_does_not_read_as_missing() -> None:
    assert [Arm.parse(name).name for name in ("null", "null-2d", "null-2")] == ["null-1", "null-1-2d", "null-2"]


def test_probes_are_an_option_of_pretraining_on_labelled_data_that_makes_no_run_stale() -> None:
    grid = _grid(arms=("rotation", "rotation-external"))
    plain, probed = (_plan(grid, Path("/stores/pool"), probes=probes) for probes in (False, True))
    assert [run.key for run in plain] == [run.key for run in probed]
    assert {run.name for run in probed if "probes" in _options(run)} == {f"rotation/fold{k}/pretrain" for k in (0, 2)}
    assert parse(probed[0].arguments).probes is True
