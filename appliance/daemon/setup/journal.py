"""What a set-up has been told and has done, so that an interrupted one goes on. It holds no secret."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from appliance.daemon.setup.answers import Answers
from appliance.daemon.setup.errors import BUSY
from appliance.security.files import make_private_folder, remove_half_written, write_file

FOLDER: Final = "setup"
FILE: Final = "progress.json"


class Progress(msgspec.Struct, frozen=True):
    """``done`` names finished steps in their order."""

    answers: Answers
    done: tuple[str, ...] = ()
    format: int = 1


class Journal:
    """``<home>/setup/progress.json``, replaced whole at every step."""

    def __init__(self, home: Path) -> None:
        self._folder = home / FOLDER
        self._file = self._folder / FILE

    def read(self) -> Progress | None:
        """What an earlier run left; None when there was none, or it left nothing that can be read."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Progress)
        except (OSError, msgspec.DecodeError):
            return None  # every step looks at what exists as well: nothing is made twice without it

    def write(self, progress: Progress) -> None:
        """Keep it; it survives power loss. Raises ``OSError``."""
        write_file(self._file, msgspec.json.format(msgspec.json.encode(progress)) + b"\n")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only one set-up of a home at a time; the kernel lets go when it dies.

        Raises:
            ProntuarioError: ``setup.busy`` 409.
            OSError: the folder can't be made.
        """
        make_private_folder(self._folder.parent)
        make_private_folder(self._folder)
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BUSY(home=str(self._folder.parent)) from None
            remove_half_written(self._folder)
            yield
        finally:
            os.close(descriptor)
