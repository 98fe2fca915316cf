"""Which schemas are refused before they become a grammar."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.medgemma_chat.schema import MAX_DEPTH, SchemaError, check_schema


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


ACCEPTED: list[dict[str, Any]] = [
    {},
    {"type": "object"},
    {"$defs": {"word": {"type": "string"}}, "type": "array", "items": {"$ref": "#/$defs/word"}},
    {
        "$defs": {"a/b": {"type": "null"}, "c~d": {"type": "null"}},
        "anyOf": [{"$ref": "#/$defs/a~1b"}, {"$ref": "#/$defs/c~0d"}],
    },
    {"anyOf": [{"type": "null"}, {"$ref": "#/anyOf/0"}]},
    {
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "string"}},
        "items": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}],
    },
    nested(MAX_DEPTH - 2),
]
REFUSED: dict[str, dict[str, Any]] = {
    "larger": {"enum": ["x" * 100] * 1000},
    "deeper": nested(MAX_DEPTH + 1),
    "refers to itself": {
        "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
        "$ref": "#/$defs/tree",
    },
    "itself": {"properties": {"child": {"$ref": "#"}}},
    "another document": {"$ref": "https://example.org/schema.json"},
    "does not exist": {"$ref": "#/$defs/nowhere"},
    "not exist": {"anyOf": [{"type": "null"}], "items": {"$ref": "#/anyOf/7"}},
}


@pytest.mark.parametrize("schema", ACCEPTED)
def test_ordinary_schemas_pass(schema: dict[str, Any]) -> None:
    check_schema(schema)


@pytest.mark.parametrize("reason", sorted(REFUSED))
def test_costly_or_endless_schemas_are_refused(reason: str) -> None:
    with pytest.raises(SchemaError, match=reason) as caught:
        check_schema(REFUSED[reason])
    assert caught.value.code == "chat.schema"


def test_a_circle_of_references_is_found() -> None:
    circle = {"$defs": {name: {"$ref": f"#/$defs/{other}"} for name, other in ("ab", "bc", "ca")}, "$ref": "#/$defs/a"}
    with pytest.raises(SchemaError, match="itself"):
        check_schema(circle)


def test_thousands_of_levels_do_no_harm() -> None:
    with pytest.raises(SchemaError, match="deeper"):
        check_schema(nested(900))
