"""A window that is closed over a set-up: it does what Ctrl-C does, so that what stands open is closed again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def hangup_interrupts() -> Iterator[None]:
    """While this lasts, a terminal or a line that goes away raises KeyboardInterrupt, once, instead of a sudden end.

    The packet filter must not stay open for a guest that never comes. What the caller ignores (nohup) stays ignored.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # The kernel and sudo may both tell: the second one must not cut the tidying up short.
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
