"""Turns the signals that end a process into an exception, so that every command cleans up and says what to do."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Reports that the process was told to end.

    It is no `KeyboardInterrupt`: Lightning turns that one into exit status 1, and SIGTERM into 0.

    Args:
        number: Number of the signal.

    Attributes:
        status: Exit status that shells and schedulers expect: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    """

    def __init__(self, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__(f"interrupted by {'Ctrl-C' if number == signal.SIGINT else name}")
        self.status = 128 + number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` in the main thread when a signal arrives. An ignored signal, as by nohup, stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if os.getpid() != owner:  # a forked child: its parent cleans up
            os._exit(128 + number)
        raise Interrupted(number)

    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number, handler in earlier.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, interrupt)
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
