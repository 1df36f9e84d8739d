"""Ctrl-C and SIGTERM, asked for between two steps: weights are never left half moved."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether somebody wants training to stop."""

    asked = False


@contextmanager
def listen_for_stop() -> Iterator[Stop]:
    """A signal sets `asked`; a second one raises KeyboardInterrupt at once. Only the main thread may listen."""
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
