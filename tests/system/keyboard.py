"""A person at a keyboard: a command in a terminal of its own, what its screen says, and what is typed."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

PATIENCE_S: Final = 240.0
_ROWS_COLUMNS: Final = struct.pack("HHHH", 60, 240, 0, 0)


class Keyboard:
    """``argv`` in a pseudo-terminal; a context manager that ends it. ``options`` as of ``subprocess.Popen``."""

    def __init__(self, argv: Sequence[str], **options: Any) -> None:
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, _ROWS_COLUMNS)
        self._process = subprocess.Popen(
            list(argv), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, **options
        )
        os.close(theirs)
        self.screen = ""
        self._read_to = 0
        self._ended = False
        self._more = threading.Condition()
        # Somebody always looks: a terminal that nobody reads holds the command up.
        self._looking = threading.Thread(target=self._look, daemon=True)
        self._looking.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._looking.join(PATIENCE_S)
        os.close(self._own)

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until the screen shows ``pattern`` after what was waited for before."""
        wanted = re.compile(pattern)
        with self._more:
            self._more.wait_for(lambda: self._ended or wanted.search(self.screen, self._read_to), PATIENCE_S)
            found = wanted.search(self.screen, self._read_to)
            assert found, f"{pattern!r} was never shown:\n{self.screen[-3000:]}"
            self._read_to = found.end()
            return found

    def answer(self, question: str, text: str = "") -> None:
        """Type ``text`` and Enter once ``question`` stands there."""
        self.until(re.escape(question))
        os.write(self._own, f"{text}\n".encode())

    def end(self) -> int:
        """The exit status, once the command has ended by itself."""
        return self._process.wait(PATIENCE_S)

    def _look(self) -> None:
        letters = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                read = os.read(self._own, 65536)
            except OSError:  # Linux tells the end of the other side so
                read = b""
            with self._more:
                self.screen += letters.decode(read).replace("\r\n", "\n")
                self._ended = not read
                self._more.notify_all()
            if not read:
                return
