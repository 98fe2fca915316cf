"""What may lie in a payload. Everything is looked at, and everything that is wrong is told at once."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from pkgmake.errors import BuildError
from pkgmake.macho import foreign, is_program, slices_of
from pkgmake.policy import Policy

WEIGHTS: Final = frozenset(
    {".safetensors", ".gguf", ".onnx", ".pt", ".ckpt", ".tflite", ".mlmodel", ".mlpackage", ".mlmodelc"}
)
"""Suffixes of model weights, as files or as folders."""
_FORBIDDEN_NAMES: Final = frozenset({"LaunchAgents", "LaunchDaemons", "__pycache__", ".git", ".DS_Store", "current"})
_FORBIDDEN_SUFFIXES: Final = frozenset({".pyc", ".pyo", ".pem", ".key", ".p12"})
_PUBLIC_ROOTS: Final = frozenset({"certifi/cacert.pem"})
_ARM64: Final = "arm64"
_TOLD: Final = 20


def audit(folder: Path, policy: Policy) -> list[str]:
    """Look through a version's folder; its Mach-O files, inside out: libraries, deepest first, then main programs.

    Raises:
        BuildError: what is wrong, the first twenty of it.
    """
    found = sorted(folder.rglob("*"))
    faults = [fault for path in found for fault in _faults(path, path.relative_to(folder), folder)]
    faults += _weights(folder, found, policy)
    if faults:
        more = f" (and {len(faults) - _TOLD} more)" if len(faults) > _TOLD else ""
        raise BuildError(
            f"The payload may not be shipped: {'; '.join(faults[:_TOLD])}{more}.", "Correct what goes into it."
        )
    return _programs(folder, found)


def _faults(path: Path, relative: Path, folder: Path) -> Iterator[str]:
    mode = path.lstat().st_mode
    if relative.name in _FORBIDDEN_NAMES or (
        relative.suffix in _FORBIDDEN_SUFFIXES and not relative.as_posix().endswith(tuple(_PUBLIC_ROOTS))
    ):
        yield f"{relative} has no business there"
    if mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH) and not stat.S_ISLNK(mode):
        yield f"{relative} has a set-id bit or may be written by everybody"
    if stat.S_ISLNK(mode):
        yield from _link_faults(path, relative, folder)
    elif stat.S_ISREG(mode):
        yield from _program_faults(path, relative)
    elif not stat.S_ISDIR(mode):
        yield f"{relative} is neither a file, a folder nor a link"


def _link_faults(path: Path, relative: Path, folder: Path) -> Iterator[str]:
    target = path.readlink()
    if target.is_absolute():
        yield f"{relative} is a link to an absolute path"
    elif not path.resolve().is_relative_to(folder.resolve()) or not path.exists():
        yield f"{relative} is a link to something outside or missing"


def _program_faults(path: Path, relative: Path) -> Iterator[str]:
    if (kind := foreign(path)) is not None:
        yield f"{relative} is {kind}"
    others = {part.cpu for part in slices_of(path)} - {_ARM64}
    if others:
        yield f"{relative} is made for {', '.join(sorted(others))}"


def _weights(folder: Path, found: list[Path], policy: Policy) -> Iterator[str]:
    held = dict.fromkeys(policy.weights, 0)
    for path in found:
        relative = path.relative_to(folder)
        if not WEIGHTS & {PurePosixPath(part).suffix for part in relative.parts}:
            continue
        allowed = next((place for place in held if f"/{place}/" in f"/{relative.as_posix()}"), None)
        if allowed is None:
            yield f"{relative} looks like model weights, which come in packs of their own"
        elif path.is_file():
            held[allowed] += path.stat().st_size
    for place, size in held.items():
        if size > policy.weights[place]:
            yield f"{place} holds {size} bytes of weights where {policy.weights[place]} are allowed"


def _programs(folder: Path, found: list[Path]) -> list[str]:
    machos = [path for path in found if path.is_file() and not path.is_symlink() and slices_of(path)]
    machos.sort(key=lambda path: (is_program(path), -len(path.parts), path.as_posix()))
    return [path.relative_to(folder).as_posix() for path in machos]
