"""What Snakemake is told about a cluster, against stand-ins for SLURM's commands."""

from pathlib import Path

import pytest
import yaml
from commands import TINY, reproduce

from sslmed.core.errors import UserError
from sslmed.experiments.configs import config_root
from sslmed.experiments.executors.slurm import slurm

COMMANDS = {
    "scontrol": "AccountingStorageType   = accounting_storage/none",
    "sinfo": "cpu* (null)\ngpu gpu:a100:4(S:0-1)",
    "sbatch": "",
    "squeue": "",
    "scancel": "",
}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch) -> Path:
    """A folder of commands that print, the only one on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, output in COMMANDS.items():
        _write(folder / name, output)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def _write(path: Path, output: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(0o755)


def _profile(folder: Path, **settings: object) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def _arguments(folder: Path, **resources: object) -> list[str]:
    return slurm(_profile(folder, jobs=3, **{"default-resources": resources}), None).arguments(Path("work"))


def test_a_job_asks_for_a_gpu_where_its_partition_has_any(commands: Path, tmp_path: Path) -> None:
    assert _arguments(tmp_path / "default")[-1] == "gpus=0"
    assert _arguments(tmp_path / "gpu", slurm_partition="gpu")[-1] == "gpus=1"


def test_the_queue_is_asked_where_there_is_no_accounting(commands: Path, tmp_path: Path) -> None:
    assert "squeue" in _arguments(tmp_path / "without")
    _write(commands / "scontrol", "AccountingStorageType   = (null)")
    assert "squeue" in _arguments(tmp_path / "unset")
    _write(commands / "scontrol", "AccountingStorageType   = accounting_storage/slurmdbd")
    assert "squeue" not in _arguments(tmp_path / "with")


def test_jobs_of_the_users_own_may_have_any_name(commands: Path, tmp_path: Path, capsys) -> None:
    _write(commands / "squeue", "17 my notebook\n18 sslmed-other-experiment")
    slurm(None, None).wait_for_others(tmp_path)
    assert not capsys.readouterr().err


def test_the_own_profile_is_one_and_the_command_line_comes_first(commands: Path) -> None:
    own = slurm(None, None)
    assert own.profile == config_root() / "cluster" / "slurm"
    assert own.jobs == yaml.safe_load((own.profile / "config.yaml").read_text())["jobs"]
    assert slurm(None, 7).jobs == 7


@pytest.mark.parametrize(
    ("settings", "words"),
    [({}, "jobs"), ({"jobs": 0}, "jobs"), ({"jobs": 1, "default-resources": ["runtime=1"]}, "default-resources")],
)
def test_an_unusable_profile_is_refused(commands: Path, tmp_path: Path, settings: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        slurm(_profile(tmp_path / "profile", **settings), None)


def test_without_profile_or_slurm_one_line_says_so(commands: Path, tmp_path: Path, capsys) -> None:
    for options, words in [
        (["--profile", tmp_path], "--executor slurm"),
        (["--executor", "slurm", "--profile", tmp_path], "no such file"),
    ]:
        assert reproduce(tmp_path, "fig3", *options) == 2
        assert words in capsys.readouterr().err
    (commands / "sbatch").unlink()
    assert reproduce(tmp_path, "fig3", "--executor", "slurm") == 2
    assert "sbatch cannot be found" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_said_and_a_dry_run_does_without(
    commands: Path, tmp_path: Path, capsys
) -> None:
    (commands / "sinfo").write_text("#!/bin/sh\necho 'sinfo: error: fetch_config' >&2\nexit 1\n")
    options = ["fig3", "--preset", TINY, "--executor", "slurm", "--arms", "baseline"]
    said = "needs a cluster that answers here, and sinfo failed (sinfo: error: fetch_config): work on a login node"
    assert reproduce(tmp_path, *options) == 2
    assert said in capsys.readouterr().err
    assert not [*tmp_path.glob("downloads/*")]
    for words in (said, "sinfo cannot be found"):
        assert reproduce(tmp_path, *options, "--dry-run") == 0
        told = capsys.readouterr()
        assert words in told.err
        assert "5 are to do" in told.out
        (commands / "sinfo").unlink(missing_ok=True)
