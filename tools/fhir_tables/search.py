"""Search parameters of the served types, from the official SearchParameters.

FHIRPath is cut down to what they need: dotted paths, unions, ``as`` and ``where(resolve() is X)``. An expression
beyond that is left out, and with it the parameter: what is in the table is what is served.

``{"Observation": {"code": {"kind": "token", "paths": [{"steps": ["code"]}]}, …}}``; a path may carry ``"as"`` (the type
that a choice must have), ``"target"`` (a reference's type) or ``"where"`` (``[element, value]``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from served import PARAMETERS

KINDS = {"token", "string", "date", "reference"}
_PLAIN = re.compile(r"[A-Z][A-Za-z]*((\.[a-z][A-Za-z]*)+)")
_AS = re.compile(r"\(([A-Z][A-Za-z.]*) as ([A-Za-z]+)\)|([A-Z][A-Za-z.]*)\.as\(([A-Za-z]+)\)")
_RESOLVE = re.compile(r"(.+)\.where\(resolve\(\) is ([A-Za-z]+)\)")
_WHERE = re.compile(r"(.+)\.where\(([a-z]+)='([^']+)'\)")
_EXISTS = re.compile(r"(.+)\.exists\(\) and .*")


def search_tables(parameters: list[dict[str, Any]], served: Iterable[str]) -> dict[str, Any]:
    """``{type: {code: {"kind", "paths", "targets"?, "definition"}}}``."""
    tables: dict[str, dict[str, Any]] = {name: {} for name in served}
    for parameter in sorted(parameters, key=lambda item: item["id"]):
        if parameter["code"] not in PARAMETERS or parameter["type"] not in KINDS or "expression" not in parameter:
            continue
        for name in parameter["base"]:
            if name not in tables:
                continue
            paths = _paths(parameter["expression"], name)
            if paths:
                entry = {"kind": parameter["type"], "paths": paths, "definition": parameter["url"]}
                if "target" in parameter:
                    entry["targets"] = sorted(set(parameter["target"]))
                tables[name][parameter["code"]] = entry
    return tables


def _paths(expression: str, base: str) -> list[dict[str, Any]]:
    paths: list[dict[str, Any]] = []
    for part in _union(expression):
        if re.match(rf"\(?{base}\.", part):
            path = _path(part)
            if path is None:
                return []
            paths.append(path)
    return paths


def _union(expression: str) -> list[str]:
    return [part.strip() for part in expression.split("|")]


def _path(text: str) -> dict[str, Any] | None:
    extra: dict[str, Any] = {}
    if match := _EXISTS.fullmatch(text.strip("()")):
        return _path(match[1]) if match[1].count(".") == 1 else None
    if match := _RESOLVE.fullmatch(text):
        text, extra = match[1], {"target": match[2]}
    elif match := _WHERE.fullmatch(text):
        text, extra = match[1], {"where": [match[2], match[3]]}
    if match := _AS.fullmatch(text):
        text, kind = match[1] or match[3], match[2] or match[4]
        extra["as"] = kind
    if not _PLAIN.fullmatch(text):
        return None
    return {"steps": text.split(".")[1:], **extra}
