"""Handlers that never make noise of their own: a log that can't be written is counted, told once, and shown by health.

The standard library's answer to a full disk is a traceback on stderr for every line, arguments included: noise, and a
place where a patient's data could come to light.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import logging.handlers
import sys
from pathlib import Path

import msgspec

from appliance.plugin_api.hooks import Health


class Losses(msgspec.Struct):
    """Since this process began: ``lines`` that could not be written when they were due, and why the last one could not.

    ``failing``: nothing has been written since.
    """

    lines: int = 0
    failing: bool = False
    reason: str = ""

    async def health(self) -> Health:
        """A check for the registry."""
        if self.failing:
            return Health(
                "degraded",
                f"the log can't be written ({self.reason}); {self.lines} lines are lost so far",
                "free disk space; care goes on without the log",
                message_pt=f"o registro de eventos (log) não pode ser gravado ({self.reason}); {self.lines} linhas perdidas",
                advice_pt="libere espaço em disco; o atendimento continua sem o log",
            )
        return Health(
            "ok",
            f"written; {self.lines} lines were lost since the start",
            message_pt=f"gravado; {self.lines} linhas perdidas desde o início",
        )


class LogFile(logging.handlers.RotatingFileHandler):
    """A file rotated by size. What it can't write is counted in ``losses``; the terminal hears of the first such line only."""

    def __init__(self, path: Path, *, max_bytes: int, keep: int, losses: Losses) -> None:
        super().__init__(path, maxBytes=max_bytes, backupCount=keep, encoding="utf-8")
        self._losses = losses
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, or count it. The handler's lock is held."""
        self._failed = False
        super().emit(record)
        if not self._failed and self._losses.failing:
            self._losses.failing = False
            _tell(f"the log is written again; {self._losses.lines} lines were lost")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the base class's name
        """Called by the base class where an exception is being handled."""
        del record
        self._failed = True
        self._losses.lines += 1
        error = sys.exception()
        self._losses.reason = _word(error)
        if not self._losses.failing:
            self._losses.failing = True
            _tell(f"the log can't be written ({self._losses.reason}); lines are dropped and counted")

    def close(self) -> None:
        """Close the file, also when its last bytes find no room."""
        with contextlib.suppress(OSError):
            super().close()


class Terminal(logging.StreamHandler):  # type: ignore[type-arg]  # generic only in the stubs of this Python
    """Lines for people. Where nobody can read them (a closed pipe, a full disk behind stderr) there is nobody to tell."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the base class's name
        """Drop the line."""


def _word(error: BaseException | None) -> str:
    """Why, without the message: that may quote data."""
    if isinstance(error, OSError) and error.errno is not None:
        return errno.errorcode.get(error.errno, "os")
    return type(error).__name__


def _tell(sentence: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"prontuario: {sentence}\n")
        sys.stderr.flush()
