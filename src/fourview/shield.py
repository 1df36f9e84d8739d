"""Ctrl-C and SIGTERM that never cut in two what must stay whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Shield:
    """Turns SIGINT and SIGTERM into KeyboardInterrupt, but never in the middle of what must be whole."""

    def __init__(self) -> None:
        self._depth = 0
        self._waiting = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._depth:
            self._waiting = True
        else:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """A signal that comes inside the block is answered at its end."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._waiting and not self._depth:
            self._waiting = False
            raise KeyboardInterrupt


@contextmanager
def listen_for_signals(shield: Shield) -> Iterator[None]:
    """SIGINT and SIGTERM go through the shield. Only the main thread may handle signals; elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, shield.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
