import pytest

from sslmed import cli
from sslmed.core.doubled_keys import refuse_doubled_keys
from sslmed.core.errors import UserError


@pytest.mark.parametrize(
    "text", ["", "a", "a: [", "a: 1\nb: 2", "a: &x {b: 1}\nc: *x\nd: {<<: *x, b: 2}", "[{a: 1}, {a: 1}]"]
)
def test_a_file_without_doubled_keys_passes(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    refuse_doubled_keys(tmp_path / "a.yaml")


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "top:\n- a: 1\n  c: 1\n  'a': 1\n"])
def test_a_doubled_key_is_refused_with_its_lines(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=r"a.yaml: gives a twice, on the lines \d and \d; keep one"):
        refuse_doubled_keys(tmp_path / "a.yaml")


@pytest.mark.parametrize("command", [["fit", "-c"], ["reproduce"]])
def test_commands_refuse_it(tmp_path, capsys, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("data:\n  updates: 1\n  updates: 100\n")
    with pytest.raises(SystemExit) as end:
        cli.main([*command, str(tmp_path / "a.yaml")])
    assert end.value.code == 2
    assert "a.yaml: gives updates twice, on the lines 2 and 3; keep one" in capsys.readouterr().err
