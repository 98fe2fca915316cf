"""The hashed lock file: which version of what, and which files may stand for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pkgmake.errors import BuildError

_PIN: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of the lock: normalised name (PEP 503), version, and the SHA-256 of each file that may be used."""

    name: str
    version: str
    hashes: frozenset[str]


def normalised(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path, *, without: Iterable[str] = ()) -> list[Pin]:
    """The pins of a lock in the order of their names, less those in ``without``.

    Raises:
        BuildError: a line that is no pin, or a pin without a hash: such a build would not be repeatable.
    """
    left_out = {normalised(name) for name in without}
    pins = [_pin(line, path.name) for line in _logical_lines(path.read_text(encoding="utf-8"))]
    return sorted((pin for pin in pins if pin.name not in left_out), key=lambda pin: pin.name)


def _logical_lines(text: str) -> list[str]:
    joined = text.replace("\\\n", " ").splitlines()
    return [line for line in (raw.partition("#")[0].strip() for raw in joined) if line]


def _pin(line: str, file: str) -> Pin:
    found = _PIN.match(line)
    hashes = frozenset(_HASH.findall(line))
    if found is None or not hashes:
        raise BuildError(
            f"{file}: {line.split(maxsplit=1)[0]!r} is not pinned by version and hash.", "Run: python tools/lock.py"
        )
    return Pin(normalised(found[1]), found[2], hashes)
