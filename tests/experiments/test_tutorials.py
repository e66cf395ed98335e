"""The tutorials, as they stand: files are written, code and commands run; presets are as small as it gets."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
import yaml
from commands import exit_status
from slurm_on_loopback import absent_programs, slurm_on_loopback

from sslmed.experiments import configs as shipped

DOCS = Path(__file__).parents[2] / "docs"
HERE = Path(__file__).parent
ARMS = {"fig2": ["baseline"], "fig3": ["baseline", "rotation"], "fig4": ["baseline"]}
CT = {"labels": ("background", "pancreas", "cancer")}
MRI = {
    "modalities": ("FLAIR", "T1w", "t1gd", "T2w"),
    "labels": ("background", "edema", "non-enhancing tumor", "enhancing tumour"),
}
CLUSTER = {
    "jobs: 32": "slurm-init-seconds-before-status-checks: 1\njobs: 2",
    "slurm_partition: gpu": "slurm_partition: main",
    "mem_mb: 16000": "mem_mb: 3000",
    "cpus_per_task: 4": "cpus_per_task: 1",
}
"""What differs between a cluster and this machine: setting on the page -> here."""

NOTHING: Mapping[str, str] = MappingProxyType({})
pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a reader, for whom `quick`, `sound` and `paper` are as small as it gets."""
    configs = tmp_path / "package" / "configs"
    shutil.copytree(shipped.config_root(), configs)
    for figure, arms in ARMS.items():
        for preset in (configs / "presets" / figure).iterdir():
            shutil.rmtree(preset)
            shutil.copytree(HERE / ("tiny-fundus" if figure == "fig4" else "tiny"), preset)
            with (preset / "preset.yaml").open("a") as file:
                file.write("fractions: [1.0]\n")
        experiment = configs / "experiments" / f"{figure}.yaml"
        experiment.write_text(yaml.safe_dump(yaml.safe_load(experiment.read_text()) | {"groups": {"paper": arms}}))
    monkeypatch.setattr(shipped, "PACKAGE", configs.parent)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.syspath_prepend(work / "ideas")
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def known(folder: Path, decathlon_dataset: Callable[..., Path]) -> None:
    """Small datasets in the place of the real ones."""
    (folder / "data").mkdir()
    for name, kind in (("Task07_Pancreas", CT), ("Task01_BrainTumour", MRI)):
        written = decathlon_dataset(name, labelled=12, unlabelled=2, shape=(16, 16, 16), **kind)
        written.rename(folder / "data" / name)


def blocks(page: str, changes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Language and text of each block of a page, but not of its installation."""
    text = re.sub(r"## Install\n.*?\n## ", "## ", (DOCS / page).read_text(), flags=re.DOTALL)
    for here, there in changes.items():
        assert here in text
        text = text.replace(here, there)
    yield from re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def follow(page: str, changes: Mapping[str, str] = NOTHING, *, fails: str = "") -> None:
    """Do what a page says. A block whose first line is a comment with a path is that file.

    Args:
        page: The page, in `docs/`.
        changes: Text on the page -> what it is here.
        fails: A command that ends with status 1.
    """
    names: dict[str, object] = {}
    for language, text in blocks(page, changes):
        if path := re.match(r"# (\S+/\S+\.(py|yaml))\n", text):
            Path(path[1]).parent.mkdir(exist_ok=True)
            Path(path[1]).write_text(text)
        elif language == "python":
            exec(compile(text, page, "exec"), names)
        elif language == "bash":
            for line in text.replace("\\\n", "").splitlines():
                assert status_of(line) == (line == fails), line


def status_of(line: str) -> int:
    """Run a line of a shell; our command in this process."""
    program, *arguments = shlex.split(line, comments=True)
    return exit_status(*arguments) if program == "sslmed" else subprocess.run(line, shell=True, check=False).returncode


def test_reproducing_the_paper(known: None, capsys: pytest.CaptureFixture[str]) -> None:
    # The scores of so small a preset are not those of quick.
    follow("tutorials/reproduce.md", fails="sslmed reproduce fig3 --check")
    assert "check: 0 of 2 scores are within 0.056" in capsys.readouterr().out
    assert "Dashed: Taleb et al. 2020" in Path("results/fig3/pancreas-sound/report.html").read_text()
    for figure in ("fig2", "fig4"):
        assert Path(f"results/{figure}/phantom-quick/report.html").is_file()


def test_a_method_of_ones_own() -> None:
    follow("tutorials/method.md")
    report = Path("results/fig3/phantom-quick/report.html").read_text()
    assert re.search(r"phantom_\d+: \d\.\d\d times, answered \d\.\d\d", report)
    task = yaml.safe_load(Path("runs/fig3/phantom-quick/zoom/fold0/pretrain/config.yaml").read_text())["model"]
    assert (task["class_path"], task["init_args"]["largest"]) == ("zoom.Zoom", 1.5)
    (run,) = Path("runs/fig3/phantom-quick-strided/baseline").glob("**/config.yaml")
    network = yaml.safe_load(run.read_text())["model"]["init_args"]
    assert network["encoder"]["class_path"] == "strided.Strided"


@pytest.mark.skipif(bool(absent_programs()), reason=f"needs SLURM and munge: no {', '.join(absent_programs())}")
def test_a_cluster(known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slurm").mkdir()
    with slurm_on_loopback(tmp_path / "slurm") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        follow("cluster.md", CLUSTER)
    runs = Path("runs/fig3/pancreas-paper")
    assert len(list(runs.glob("**/results.json"))) == 3
    assert "SLURM run ID" in (runs / "workflow.log").read_text()
    assert "Dashed: Taleb et al. 2020" in Path("results/fig3/pancreas-paper/report.html").read_text()
