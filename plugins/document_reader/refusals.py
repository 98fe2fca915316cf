"""Inside the child: a refusal on its way out. Knows codes only, for the child has no sentences to tell."""

from __future__ import annotations


class RefusedError(Exception):
    """The document can't be read, for a reason that stands in ``errors.py``."""

    def __init__(self, code: str, **details: str | int) -> None:
        self.code, self.details = code, details
        super().__init__(code)


def too_large(what: str, found: int, limit: int) -> RefusedError:
    """``document.too_large``: ``what`` is a word that both languages share."""
    return RefusedError("document.too_large", what=what, found=found, limit=limit)
