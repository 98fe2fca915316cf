"""Exit codes of the command line; ``prontuario --help`` lists them."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

NEEDS_SUDO: Final = (
    "o nó só atende ao próprio usuário e a root: ponha sudo antes do comando. | "
    "The node answers only its own user and root: put sudo in front of the command."
)


class Exit(IntEnum):
    """What a shell script or launchd can tell apart."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 3
    ALREADY_RUNNING = 4
    UNHEALTHY = 5
    NOT_RUNNING = 6
    SETUP_ANSWERS = 20
    SETUP_ROOT = 21
    SETUP_DISK = 22
    SETUP_KEYS = 23
    SETUP_MAC = 24
    SETUP_PAIRING = 25
    SETUP_NOT_READY = 26
    SETUP_PACK = 27
    SETUP_BACKUP = 28
    SETUP_STOPPED = 29


class CommandFailedError(Exception):
    """A command can't go on: a sentence for the person and the exit code."""

    def __init__(self, sentence: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(sentence)
        self.code = code
