"""Words that a recogniser should expect, as people write them down: one a line, in a file beside a model's weights.

The names of drugs, wards, people and devices that a hospital uses and that no model was trained on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

VOCABULARY_FILE: Final = "vocabulary.txt"
MOST_TERMS: Final = 200
LONGEST_TERM: Final = 60
_COMMENT: Final = "#"
_MOST_BYTES: Final = 64 << 10


def parse_vocabulary(text: str) -> tuple[str, ...]:
    """The terms of ``text``, each once, in order; empty lines and those that begin with ``#`` are left out.

    Raises:
        ValueError: with the line, when a term is longer than ``LONGEST_TERM``, holds what can't be printed, or is one too many.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        term = " ".join(line.split())
        if not term or term.startswith(_COMMENT):
            continue
        if len(term) > LONGEST_TERM:
            raise ValueError(f"line {number}: more than {LONGEST_TERM} characters")
        if not term.isprintable():
            raise ValueError(f"line {number}: a character that can't be printed")
        found.setdefault(term.casefold(), term)
        if len(found) > MOST_TERMS:
            raise ValueError(f"line {number}: more than {MOST_TERMS} terms")
    return tuple(found.values())


def read_vocabulary(folder: Path) -> tuple[str, ...]:
    """The terms of a model's folder; none where it has no such file. Blocks.

    Raises:
        ValueError: as ``parse_vocabulary``; also when the file is no UTF-8 text or larger than 64 KiB.
    """
    path = folder / VOCABULARY_FILE
    if not path.is_file():
        return ()
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"larger than {_MOST_BYTES} bytes")
    return parse_vocabulary(content.decode())
