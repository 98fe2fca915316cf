"""What a JSON schema must keep before it becomes a grammar: bounded size and depth, nothing recursive, nothing remote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from plugins.medgemma_chat.messages import BAD_SCHEMA

MAX_SCHEMA_BYTES: Final = 64 << 10
MAX_DEPTH: Final = 32
_POINTER_PREFIX: Final = "#"


class SchemaError(ValueError):
    """Why a schema is refused; the text is for people and names no patient data. ``code`` crosses the process border."""

    code: Final = BAD_SCHEMA


def check_schema(schema: Mapping[str, Any]) -> None:
    """Refuse a schema that could cost too much or never end.

    Raises:
        SchemaError: too large, too deep, a reference that is remote, dangling or recursive.
    """
    _check_depth(schema, 1)
    if len(msgspec.json.encode(schema)) > MAX_SCHEMA_BYTES:
        raise SchemaError(f"it is larger than {MAX_SCHEMA_BYTES} bytes")
    finished: set[str] = set()
    for reference in _references(schema):
        _follow(schema, reference, (), finished)


def _check_depth(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise SchemaError(f"it is nested deeper than {MAX_DEPTH} levels")
    for child in _children(value):
        _check_depth(child, depth + 1)


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and isinstance(reference := value.get("$ref"), str):
        yield reference
    for child in _children(value):
        yield from _references(child)


def _follow(schema: Mapping[str, Any], reference: str, path: tuple[str, ...], finished: set[str]) -> None:
    if reference in path:
        raise SchemaError("it refers to itself")
    if reference in finished:
        return
    for inner in _references(_resolve(schema, reference)):
        _follow(schema, inner, (*path, reference), finished)
    finished.add(reference)


def _resolve(schema: Mapping[str, Any], reference: str) -> Any:
    """What a JSON pointer (RFC 6901) names within the schema."""
    if not reference.startswith(_POINTER_PREFIX):
        raise SchemaError("it refers to another document")
    target: Any = schema
    for part in reference.removeprefix(_POINTER_PREFIX).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(target, Mapping) and key in target:
            target = target[key]
        elif isinstance(target, list) and key.isdecimal() and int(key) < len(target):
            target = target[int(key)]
        else:
            raise SchemaError("it refers to a part that does not exist")
    return target
