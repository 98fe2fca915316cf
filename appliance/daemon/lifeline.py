"""The child's side of the leash: when to stop, and how to say "I serve"."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping
from typing import Any


def stop_event(leash_fd: int | None) -> asyncio.Event:
    """An event set by SIGTERM, SIGINT, or EOF on the leash (the parent died). Call inside a running loop."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, event.set)
    if leash_fd is not None:
        os.set_blocking(leash_fd, False)

        def on_readable() -> None:
            with contextlib.suppress(BlockingIOError):
                if os.read(leash_fd, 1) == b"":
                    loop.remove_reader(leash_fd)
                    event.set()

        loop.add_reader(leash_fd, on_readable)
    return event


def announce(ready_fd: int | None, message: Mapping[str, Any]) -> None:
    """Write the ready line and close the pipe; without a pipe there is nobody to tell."""
    if ready_fd is None:
        return
    with contextlib.suppress(BrokenPipeError):
        os.write(ready_fd, json.dumps(dict(message)).encode() + b"\n")
    os.close(ready_fd)
