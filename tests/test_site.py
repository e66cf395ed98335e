"""The site builds without warnings, and its API pages have all public names."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sslmed import encoders, pretext

PROJECT = Path(__file__).parents[1]


@pytest.mark.slow
def test_site_builds_without_warnings_and_has_all_public_names(tmp_path):
    shutil.copytree(PROJECT / "docs", tmp_path / "docs")
    shutil.copy(PROJECT / "mkdocs.yml", tmp_path)
    (tmp_path / "sslmed").symlink_to(PROJECT / "sslmed")
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stderr

    for module in (pretext, encoders):
        page = (tmp_path / "site" / "api" / module.__name__.split(".")[1] / "index.html").read_text()
        for name in module.__all__:
            assert f'id="{module.__name__}.{name}"' in page
