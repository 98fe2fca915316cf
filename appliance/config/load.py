"""Reading ``prontuario.toml``: every mistake is told with its file, line and the nearest known key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from appliance.config.model import Config

S = TypeVar("S")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`(?: - at `\$(?P<path>[^`]*)`)?")
_PLACED = re.compile(r"(?P<reason>.*) \(at line (?P<line>\d+), column \d+\)", re.DOTALL)
_WRONG = re.compile(r"(?P<reason>.*?) - at `\$(?P<path>[^`]*)`")


class ConfigError(Exception):
    """``prontuario.toml`` can't be used; the text says where and what to write instead."""


def load_config(path: Path) -> Config:
    """The configuration in ``path``; the defaults when the file does not exist.

    Raises:
        ConfigError: with ``file:line``, the key, and the nearest known key.
    """
    if not path.exists():
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: this is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise ConfigError(f"{path}: this can't be read: {error.strerror}") from error
    return decode(_parse(path, text), Config, path=path, text=text)


def decode(data: Any, shape: type[S], *, path: Path, text: str = "", prefix: Sequence[str] = ()) -> S:
    """``data`` as ``shape``; ``prefix`` is the table's own path (a plugin's table is decoded by the plugin's schema).

    Raises:
        ConfigError: see ``load_config``.
    """
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), shape, path, text, prefix)) from error


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = _PLACED.fullmatch(str(error))
        line = int(said["line"]) if said else max(1, len(text.splitlines()))
        reason = said["reason"] if said else str(error).removesuffix(" (at end of document)")
        raise ConfigError(f"{path}:{line}: this is not valid TOML: {reason}") from error


def _explain(message: str, shape: type, path: Path, text: str, prefix: Sequence[str]) -> str:
    if found := _UNKNOWN.search(message):
        table = [*prefix, *_keys(found["path"])]
        key = found["key"]
        known = _known_keys(shape, table[len(prefix) :])
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(sorted(known))}"
        return f"{path}:{_line_of(text, [*table, key])}: unknown key {'.'.join([*table, key])!r}{hint}"
    if found := _WRONG.search(message):
        keys = [*prefix, *_keys(found["path"])]
        return f"{path}:{_line_of(text, keys)}: {'.'.join(keys)}: {found['reason']}"
    return f"{path}: {message}"


def _keys(path: str | None) -> list[str]:
    return [part for part in re.sub(r"\[[^\]]*\]", "", path or "").split(".") if part]


def _known_keys(shape: Any, table: Iterable[str]) -> list[str]:
    for key in table:
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
        shape = fields.get(key, shape)
    return [field.encode_name for field in msgspec.structs.fields(shape)]


def _line_of(text: str, keys: Sequence[str]) -> int:
    """The 1-based line where ``keys`` is written, best effort; 1 when it can't be found (inline tables)."""
    current: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if header := re.match(r"\[+\s*([^\]]+?)\s*\]+", stripped):
            current = _dotted(header[1])
            if current == list(keys):
                return number
        elif assignment := re.match(r"([^=#]+?)\s*=", stripped):
            full = current + _dotted(assignment[1])
            if full[: len(keys)] == list(keys) or full == list(keys)[: len(full)]:
                return number
    return 1


def _dotted(written: str) -> list[str]:
    return [part.strip().strip("\"'") for part in written.split(".")]
