"""The tutorials, as they stand: their files are written, their code and their commands run, on presets of a tiny size."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tiny_runs import exit_status

from sslmed.experiments import settings

DOCS = Path(__file__).parents[2] / "docs"
HERE = Path(__file__).parent
ARMS = {"fig2": ["baseline"], "fig3": ["baseline", "rotation"], "fig4": ["baseline"]}
pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a reader, for whom `quick`, `sound` and `paper` are as small as it gets."""
    configs = tmp_path / "package" / "configs"
    shutil.copytree(settings.config_root(), configs)
    for figure, arms in ARMS.items():
        for preset in (configs / "presets" / figure).iterdir():
            shutil.rmtree(preset)
            shutil.copytree(HERE / ("tiny-fundus" if figure == "fig4" else "tiny"), preset)
            with (preset / "preset.yaml").open("a") as file:
                file.write("fractions: [1.0]\n")
        experiment = configs / "experiments" / f"{figure}.yaml"
        groups = {"groups": {"paper": arms}}
        experiment.write_text(yaml.safe_dump(yaml.safe_load(experiment.read_text()) | groups))
    monkeypatch.setattr(settings, "PACKAGE", configs.parent)
    monkeypatch.syspath_prepend(tmp_path / "work" / "ideas")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Language and text of each block of a page, but not of its installation."""
    text = re.sub(r"## Install\n.*?\n## ", "## ", (DOCS / page).read_text(), flags=re.DOTALL)
    yield from re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def follow(page: str, statuses: dict[str, int] | None = None) -> None:
    """Do what a page says. A block whose first line is a comment with a path is that file.

    Args:
        page: The page, in `docs/`.
        statuses: Command -> its exit status, if that is not 0.
    """
    names: dict[str, object] = {}
    for language, text in blocks(page):
        if path := re.match(r"# (\S+/\S+\.(py|yaml))\n", text):
            Path(path[1]).parent.mkdir(exist_ok=True)
            Path(path[1]).write_text(text)
        elif language == "python":
            exec(compile(text, page, "exec"), names)
        elif not language:
            for line in text.splitlines():
                program, *arguments = shlex.split(line, comments=True)
                status = exit_status(*arguments) if program == "sslmed" else subprocess.run([program, *arguments]).returncode
                assert status == (statuses or {}).get(line, 0), line


def test_reproducing_the_paper(
    folder: Path, decathlon_dataset: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    brats = {"modalities": ("FLAIR", "T1w", "t1gd", "T2w"), "labels": ("background", "edema", "non-enhancing tumor", "enhancing tumour")}
    (folder / "data").mkdir()
    for name, kind in (("Task07_Pancreas", {"labels": ("background", "pancreas", "cancer")}), ("Task01_BrainTumour", brats)):
        decathlon_dataset(name, labelled=12, unlabelled=2, shape=(16, 16, 16), **kind).rename(folder / "data" / name)
    # Scores of so small a preset are not those of quick.
    follow("tutorials/reproduce.md", {"sslmed reproduce fig3 --check": 1})
    assert "check: 0 of 2 scores are within 0.054" in capsys.readouterr().out
    assert "Dashed: Taleb et al. 2020" in Path("results/fig3/pancreas-sound/report.html").read_text()
    for figure in ("fig2", "fig4"):
        assert Path(f"results/{figure}/phantom-quick/report.html").is_file()
