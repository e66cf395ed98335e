"""What a user is told where an extra is missing."""

import importlib.util

import pytest
from commands import exit_status

from sslmed.core.errors import UserError
from sslmed.core.extras import require


def test_a_missing_extra_is_named_and_one_that_is_there_is_not() -> None:
    require("json", extra="any", why="it")
    with pytest.raises(UserError, match=r'^it needs the package absent_one, .*: pip install "sslmed\[any\]"$'):
        require("absent_one", extra="any", why="it")


@pytest.mark.parametrize(
    ("command", "extra"),
    [("reproduce fig3 --executor slurm", "slurm"), ("report . --wandb", "wandb-workspaces")],
)
def test_commands_need_their_extras(command, extra, monkeypatch, tmp_path, capsys) -> None:
    found = importlib.util.find_spec
    absent = {"snakemake_executor_plugin_slurm", "wandb_workspaces"}
    monkeypatch.setattr("sslmed.core.extras.find_spec", lambda name: None if name in absent else found(name))
    monkeypatch.chdir(tmp_path)
    assert exit_status(*command.split()) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.endswith(f'pip install "sslmed[{extra}]"')
    assert not list(tmp_path.iterdir())
