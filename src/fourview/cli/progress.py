"""Long work on a terminal: how far it is, and a way to stop it between two steps."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

_LINE_EVERY_S = 10.0  # where the output is no terminal

Show = Callable[[int, int, str | None], None]  # done, total, problem of the latest


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came; a second one ends the program at once.

    Asked for between two steps, because Python loses an interruption that comes while it frees an object.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shown_steps(what: str) -> Iterator[Show]:
    """Progress on stderr: a bar on a terminal, else a line now and then; problems as they come."""
    from rich.markup import escape
    from rich.progress import Progress

    from fourview.terminal import open_console

    console = open_console(stderr=True)
    started = last = time.perf_counter()
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def show(done: int, total: int, problem: str | None) -> None:
            nonlocal last
            if problem is not None:
                console.print(escape(problem), soft_wrap=True)
            bar.update(task, completed=done, total=total)
            now = time.perf_counter()
            if not console.is_terminal and (now - last > _LINE_EVERY_S or done == total):
                last = now
                console.print(f"{what}: {done} of {total}, {done / (now - started):.3g} per second", soft_wrap=True)

        yield show


@contextmanager
def shown_work() -> Iterator[Callable[[str, int, int], None]]:
    """What is told how far each kind of work is: what, done, total.

    Between two of its items Ctrl-C and SIGTERM end it (KeyboardInterrupt).
    """
    with asked_to_stop() as asked, ExitStack() as shown:
        shows: dict[str, Show] = {}

        def on_step(what: str, done: int, total: int) -> None:
            if what not in shows:
                shows[what] = shown.enter_context(shown_steps(what))
            shows[what](done, total, None)
            if asked():
                raise KeyboardInterrupt

        yield on_step
