"""Progress off a terminal: plain lines, also while a step takes long."""

import pytest

from sslmed.core import progress


def test_a_long_step_is_told_every_half_minute(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.progress("training", 3, unit="runs") as advance:
        for now[0] in range(1, 100):
            advance(0, f"second {now[0]}")
        for _ in range(3):
            advance()
    assert capsys.readouterr().err.splitlines() == [
        "training: 0 of 3 runs; second 30",
        "training: 0 of 3 runs; second 60",
        "training: 0 of 3 runs; second 90",
        "training: 1 of 3 runs",
        "training: 3 of 3 runs",
    ]
