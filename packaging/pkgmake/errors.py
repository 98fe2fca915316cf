"""Why a package is not built, and what to do next."""

from __future__ import annotations


class BuildError(Exception):
    """The package can't be built. The sentence ends with the next step."""

    def __init__(self, sentence: str, step: str) -> None:
        super().__init__(f"{sentence} {step}")
        self.step = step
