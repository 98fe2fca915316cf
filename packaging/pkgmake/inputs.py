"""``inputs.toml``: the files that don't come from the lock, each with its SHA-256 (``inputs.example.toml`` shows one)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pkgmake.digests import sha256_of
from pkgmake.errors import BuildError

PYTHON: Final = "python"
PROGRAMS: Final = ("etcd", "litestream")
_REQUIRED: Final = ("version", "file", "sha256", "licence", "home")
_OPTIONAL: Final = ("member", "licence_member")
_NEXT: Final = "Get it where packaging/README.md says, and name it in the inputs file with its SHA-256."


@dataclass(frozen=True, slots=True)
class Input:
    """One file. ``member`` is the program's path in it, ``licence`` an SPDX expression, ``licence_member`` its text's path."""

    name: str
    version: str
    file: Path
    sha256: str
    licence: str
    home: str
    member: str = ""
    licence_member: str = ""


def read_inputs(path: Path) -> dict[str, Input]:
    """The inputs by name, each proven by its SHA-256. File names are relative to the inputs file.

    Raises:
        BuildError: the inputs file is missing or wrong, or a file is missing or not the one that was named.
    """
    if not path.is_file():
        raise BuildError(
            f"There is no inputs file {path}.", "Copy packaging/inputs.example.toml there and name your files in it."
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BuildError(f"{path.name} is not TOML ({error}).", "Correct it.") from error
    if unknown := set(table) - {PYTHON, *PROGRAMS}:
        raise BuildError(f"{path.name}: unknown input {', '.join(sorted(unknown))}.", "Correct it.")
    for name in (PYTHON, "etcd"):  # litestream otherwise comes out of its wheel in the lock
        if name not in table:
            raise BuildError(f"{path.name} does not name {name}.", _NEXT)
    return {name: _input(name, entry, path) for name, entry in sorted(table.items())}


def _input(name: str, entry: Mapping[str, Any], path: Path) -> Input:
    missing = [key for key in _REQUIRED if not isinstance(entry.get(key), str)]
    unknown = sorted(set(entry) - {*_REQUIRED, *_OPTIONAL})
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has unknown {', '.join(unknown)}"
        raise BuildError(f"{path.name}: [{name}] {what}.", _NEXT)
    file = path.parent / entry["file"]
    if not file.is_file():
        raise BuildError(f"The input {name} is missing: there is no {entry['file']} beside {path.name}.", _NEXT)
    found = sha256_of(file)
    if found != entry["sha256"]:
        raise BuildError(
            f"{entry['file']} is not the file that {path.name} names: its SHA-256 is {found}.",
            "Get it again, or have somebody review the new one and its hash.",
        )
    texts = {key: str(entry.get(key, "")) for key in (*_REQUIRED[:1], *_REQUIRED[2:], *_OPTIONAL)}
    return Input(name=name, file=file, **texts)
