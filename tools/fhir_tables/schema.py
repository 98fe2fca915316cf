"""The official JSON schema, cut down to what the served types need."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PREFIX = "#/definitions/"
XSD_ANY_TEXT = "^[ \\r\\n\\t\\S]+$"
"""In XML Schema, where this comes from, a no-break space is a \\S; in most regex engines it is not, and a text pasted
from a word processor would be refused."""
ANY_TEXT = "^[^\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f]+$"


def pruned_schema(schema: dict[str, Any], served: Iterable[str]) -> dict[str, Any]:
    """Definitions reachable from ``served``, without descriptions.

    An element with properties must be an object: the official schema forgets to say so, and lets ``"name": ["x"]`` pass.
    ``ResourceList`` (contained resources, Bundle entries) becomes "an object with a resourceType": the validator walks
    into those itself, which is faster than a choice of 148 and says where the fault lies.
    """
    definitions = schema["definitions"]
    definitions["ResourceList"] = {
        "type": "object",
        "properties": {"resourceType": {"type": "string"}},
        "required": ["resourceType"],
    }
    kept: dict[str, Any] = {}
    waiting = list(served)
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept[name] = _bare(definitions[name])
            if "properties" in kept[name]:
                kept[name]["type"] = "object"
            waiting += _references(kept[name])
    return {"$schema": schema["$schema"], "definitions": kept}


def _bare(node: Any) -> Any:
    if node == XSD_ANY_TEXT:
        return ANY_TEXT
    if isinstance(node, dict):
        return {
            key: _bare(value) for key, value in node.items() if not (key == "description" and isinstance(value, str))
        }
    return [_bare(value) for value in node] if isinstance(node, list) else node


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"].removeprefix(PREFIX)] if isinstance(node.get("$ref"), str) else []
        return own + [name for value in node.values() for name in _references(value)]
    return [name for value in node for name in _references(value)] if isinstance(node, list) else []
