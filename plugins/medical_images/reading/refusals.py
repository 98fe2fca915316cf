"""Why a file is refused: codes that cross the process border. ``plugins.medical_images.errors`` has the sentences."""

from __future__ import annotations

from typing import Final

UNSUPPORTED: Final = "image.unsupported"
DAMAGED: Final = "image.damaged"
TOO_LARGE: Final = "image.too_large"
NO_PIXELS: Final = "image.no_pixels"
WRONG_PATIENT: Final = "image.wrong_patient"
NO_SUCH_FRAME: Final = "image.frame"


class RefusedError(Exception):
    """The file can't be read, or must not be. ``details`` fill the sentence; they hold nothing of a person."""

    def __init__(self, code: str, **details: str) -> None:
        self.code = code
        self.details = details
        super().__init__(code)


def unsupported(what: str) -> RefusedError:
    """A kind of file or coding that nothing here reads."""
    return RefusedError(UNSUPPORTED, what=what)


def damaged(what: str) -> RefusedError:
    """It says that it is something that it is not, or it ends too early."""
    return RefusedError(DAMAGED, what=what)


def too_large(what: str, limit: str) -> RefusedError:
    """More than the node's limits; refused before anything of that size is made."""
    return RefusedError(TOO_LARGE, what=what, limit=limit)
