import pytest
import yaml
from commands import exit_status

from sslmed.core.errors import UserError
from sslmed.core.yaml_files import read_yaml


@pytest.mark.parametrize("text", ["", "a", "a: 1\nb: 2", "a: &x {b: 1}\nc: *x\nd: {<<: *x, b: 2}", "[{a: 1}, {a: 1}]"])
def test_a_file_without_doubled_keys_is_read(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    assert read_yaml(tmp_path / "a.yaml") == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", r"not valid YAML \(.*\)"),
        ("a: 1\nb: 2\na: 3\n", "gives a twice, on the lines 1 and 3; keep one"),
        ("top:\n- a: 1\n  c: 1\n  'a': 1\n", "gives a twice, on the lines 2 and 4; keep one"),
    ],
)
def test_other_text_and_doubled_keys_are_refused(tmp_path, text, reason):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(UserError, match=f"a.yaml: {reason}"):
        read_yaml(tmp_path / "a.yaml")


@pytest.mark.parametrize("command", [["fit", "-c"], ["reproduce"]])
def test_commands_refuse_it(tmp_path, capsys, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("data:\n  updates: 1\n  updates: 100\n")
    assert exit_status(*command, tmp_path / "a.yaml") == 2
    assert "a.yaml: gives updates twice, on the lines 2 and 3; keep one" in capsys.readouterr().err
