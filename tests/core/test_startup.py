"""Importing the training stack quickly leaves nothing behind that would surprise."""

import subprocess
import sys

import pytest

PROGRAM = """
import gc
from sslmed.core.startup import importing
with importing():
    import sslmed.training.lightning_cli
assert gc.isenabled()
frozen = gc.get_freeze_count()
assert frozen > 100_000
garbage = []
garbage.append(garbage)
with importing():
    pass
assert gc.get_freeze_count() == frozen
"""


@pytest.mark.slow
def test_garbage_is_collected_again_after_a_quick_start():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
