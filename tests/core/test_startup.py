"""Importing the training stack quickly leaves nothing behind that would surprise."""

import subprocess
import sys

PROGRAM = """
import gc, sys
from sslmed.core.startup import importing
with importing():
    import sslmed.training.lightning_cli
assert "scipy.signal" not in sys.modules, "imported after all: is there anything left to gain?"
assert gc.isenabled()
frozen = gc.get_freeze_count()
assert frozen > 100_000
garbage = []
garbage.append(garbage)
with importing():
    pass
assert gc.get_freeze_count() == frozen

import numpy as np
from monai.transforms.signal.array import iirnotch
numerator, denominator = iirnotch(60.0, 30.0, 200.0)
assert "scipy.signal" in sys.modules
import scipy.signal
np.testing.assert_array_equal(numerator, scipy.signal.iirnotch(60.0, 30.0, 200.0)[0])
"""


def test_nothing_is_missing_after_a_quick_start():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
