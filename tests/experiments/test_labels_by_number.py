"""`--labels` on a tiny dataset whose folds differ by a training case, and what a dry run says of it."""

import os
import shutil
import subprocess
from pathlib import Path

import commands
import pandas as pd
import pytest
from commands import TINY
from generated_tables import write_table

from sslmed.data.splits import split_cases


@pytest.fixture
def reproduce(tmp_path: Path):
    def run(data: Path, *options: str, figure: str = "fig3", preset: Path = TINY) -> int:
        command = ["--data", data, "--preset", preset, *options, "--arms", "baseline", "rotation"]
        return commands.reproduce(tmp_path, figure, *command)

    return run


@pytest.fixture
def volumes(decathlon_dataset) -> Path:
    return decathlon_dataset("Task01_Uneven", labelled=13, unlabelled=2)  # folds of 6, 7 and 7 training cases


@pytest.mark.usefixtures("in_one_process")
@pytest.mark.long
@pytest.mark.slow
def test_numbers_of_labels_are_cells_though_folds_differ_and_all_is_shared_with_fractions(
    reproduce, volumes: Path, tmp_path: Path, capsys
) -> None:
    assert reproduce(volumes, "--labels", "1", "2", "all", "--folds", "0", "1") == 0
    out = tmp_path / "out" / "fig3" / "Task01_Uneven-tiny"
    results, summary = pd.read_csv(out / "results.csv"), pd.read_csv(out / "summary.csv")
    cells = results.groupby("label_fraction")["n_labels"].unique().map(sorted).to_dict()
    assert cells == {0.153846: [1], 0.307692: [2], 1.0: [6, 7]}  # of 6.5 cases
    assert set(summary["n_runs"]) == {2}
    assert summary.groupby(["metric", "arm"])["n_labels"].unique().map(list).map(len).eq(3).all()
    svg, report = (out / "fig3.svg").read_text(), (out / "report.html").read_text()
    assert "Convergence with 2 labels" in svg
    assert "Convergence with 2 labels" in report
    runs = tmp_path / "runs" / "fig3" / "Task01_Uneven-tiny" / "rotation" / "fold1"
    assert {path.name for path in (runs / "seed0").iterdir()} == {"n1", "n2", "100"}
    capsys.readouterr()
    assert reproduce(volumes, "--fractions", "1", "--folds", "0", "1", "--dry-run") == 0
    assert "runs: 6, of which 6 are done" in capsys.readouterr().out


def test_photographs_need_a_label_of_each_class(reproduce, aptos_dataset, capsys) -> None:
    data = aptos_dataset(grades=(0, 1, 2, 3, 4) * 9)
    options = {"figure": "fig4", "preset": TINY.with_name("tiny-fundus")}
    assert reproduce(data, "--labels", "4", "--dry-run", **options) == 2
    assert "fold 0: 4 labels: each of the 5 classes needs one, so the least number is 5" in capsys.readouterr().err


@pytest.mark.slow
def test_labels_and_images_are_those_of_the_presets_own_folds(reproduce, tmp_path: Path, capsys) -> None:
    data, preset = tmp_path / "data", shutil.copytree(TINY.with_name("tiny-fundus"), tmp_path / "mine")
    write_table(data, 2, ["class"], cases=11, unlabelled=0)
    names = [f"images/case_{number:02}.png" for number in range(11)]
    patients = {name: f"p{min(number, 9) // 2}" for number, name in enumerate(names)}
    classes = dict.fromkeys(names[:9], "a") | {names[9]: "b"}  # the last image, of the same patient, has none
    rows = [f"{name},{classes.get(name, '')},{patients[name]}" for name in names]
    (data / "table.csv").write_text("\n".join(["image,class,patient", *rows]))

    def trains_on_both(seed: int) -> bool:
        split = split_cases(classes, fold=0, n_folds=3, split_seed=seed, groups=patients, classes=classes)
        return names[9] in split.train

    seeds = {trains_on_both(seed): seed for seed in range(9)}
    for both in (True, False):
        (preset / "run.yaml").write_text(f"data: {{init_args: {{split_seed: {seeds[both]}}}}}\n")
        options = ["--dry-run", "--labels"]
        assert reproduce(data, *options, "1", figure="classification", preset=preset) == (2 if both else 0)
        assert reproduce(data, *options, "2", figure="classification", preset=preset) == 0
        assert ("of a patient, or a copy, in the validation or test set" in capsys.readouterr().out) != both


@pytest.mark.slow
def test_a_dry_run_counts_folds_pool_and_labels_and_says_which_are_the_same(
    reproduce, volumes: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    preset = tmp_path / "gpu"
    preset.mkdir()
    text = (TINY / "preset.yaml").read_text().replace("device: core", "device: GPU")
    (preset / "preset.yaml").write_text(text.replace("finetune_seconds: 1,", "finetune_seconds: 100000,"))
    options = ["--folds", "0", "1", "--jobs", "2", "--dry-run"]
    assert reproduce(volumes, "--fractions", "0.05", "0.1", "1", *options, preset=preset) == 0
    output = capsys.readouterr().out
    assert "fold 0: 6 training, 2 validation, 5 test cases; pretraining sees 8 of 15 images " in output
    assert "fold 1: 7 training, 2 validation, 4 test cases; pretraining sees 9 of 15 images " in output
    assert "5 % = 1, 10 % = 1, 100 % = 7" in output
    assert "warning: in folds 0, 1, 5 % and 10 % are the same, n = 1\nto train each once: --fractions 0.1 1\n" in output
    assert "estimate: 6.9 days of training with a GPU for each job" in output  # 2 arms, 2 folds, 3 fractions, 2 jobs
    assert "here is none" in output
    assert reproduce(volumes, "--labels", "1", "6", "all", *options) == 0
    output = capsys.readouterr().out
    assert "labelled for training: 1 label, 6 labels, 100 % = 6" in output
    assert "warning: in fold 0, 6 labels and 100 % are the same, n = 6" in output
    assert "train each once" not in output  # in fold 1 they differ
    assert "fold 1, " not in output
    assert "here is none" not in output


@pytest.mark.slow
def test_the_command_by_hand_works_when_it_is_pasted(reproduce, volumes: Path, tmp_path: Path, capsys) -> None:
    options = ["--labels", "2", "--folds", "0"]
    assert reproduce(volumes, *options, "--dry-run") == 0
    _, pasted = capsys.readouterr().out.split("by hand, e.g.:\n")
    subprocess.run(["sh", "-e", "-c", pasted], cwd=tmp_path, env=os.environ, check=True)
    assert reproduce(volumes, *options, "--dry-run") == 0
    assert "runs: 3, of which 1 are done" in capsys.readouterr().out
