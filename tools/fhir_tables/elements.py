"""What the JSON schema cannot say, from the StructureDefinitions: required elements, choices, targets, bound codes.

The table has one entry for each type and backbone element::

    {"Observation": {"required": [["status"], ["code"]],          at least one name of each group
                     "choices": [["valueQuantity", …], …],        at most one name of each group
                     "children": {"component": {"of": "Observation.component"},
                                  "subject": {"of": "Reference", "targets": ["Patient", …]},
                                  "issued": {"date": "instant"},
                                  "priority": {"codes": "http://hl7.org/fhir/ValueSet/request-priority"}}}}
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PROFILE = "http://hl7.org/fhir/StructureDefinition/"
DATES = {"date", "dateTime", "instant"}
MAX_CODES = 200
Structures = dict[str, dict[str, Any]]


def element_tables(structures: Structures, value_sets: dict[str, list[str]], served: Iterable[str]) -> dict[str, Any]:
    """``{"types": {name: entry}, "codes": {value set URL: [code, …]}}`` for all that ``served`` reaches."""
    types: dict[str, Any] = {}
    codes: dict[str, list[str]] = {}
    waiting = list(served)
    while waiting:
        name = waiting.pop()
        if name in types or name not in structures or structures[name]["kind"] == "primitive-type":
            continue
        for path, entry in _entries(structures[name], value_sets, codes).items():
            types[path] = entry
            waiting += [child["of"] for child in entry["children"].values() if "of" in child]
    return {"types": types, "codes": codes}


def _entries(
    structure: dict[str, Any], value_sets: dict[str, list[str]], codes: dict[str, list[str]]
) -> dict[str, Any]:
    elements = structure["snapshot"]["element"]
    entries: dict[str, Any] = {}
    for element in elements[1:]:
        parent, _, name = element["path"].rpartition(".")
        entry = entries.setdefault(parent, {"required": [], "choices": [], "children": {}})
        if element["max"] == "0":
            continue
        options = _options(element, name)
        names = [option for option, _ in options]
        if element["min"] > 0:
            entry["required"].append(names)
        if name.endswith("[x]"):
            entry["choices"].append(names)
        for option, kind in options:
            child = _child(element, kind, value_sets, codes)
            if child:
                entry["children"][option] = child
    if not entries:
        entries[structure["id"]] = {"required": [], "choices": [], "children": {}}
    return entries


def _options(element: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    """(JSON property, type) pairs: one for each type of a choice."""
    types = element.get("type", [{}])
    if not name.endswith("[x]"):
        return [(name, types[0])]
    return [(name[:-3] + kind["code"][0].upper() + kind["code"][1:], kind) for kind in types]


def _child(
    element: dict[str, Any], kind: dict[str, Any], value_sets: dict[str, list[str]], codes: dict[str, list[str]]
) -> dict[str, Any]:
    code = kind.get("code", "")
    if "contentReference" in element:
        return {"of": element["contentReference"].removeprefix("#")}
    if code in {"BackboneElement", "Element"}:
        return {"of": element["path"]}
    if code == "Reference":
        targets = [target.removeprefix(PROFILE) for target in kind.get("targetProfile", [])]
        return {"of": "Reference"} | ({"targets": targets} if targets and "Resource" not in targets else {})
    if code == "code":
        return _bound(element, value_sets, codes)
    plain = {"Resource": {"resource": True}, **{date: {"date": date} for date in DATES}}
    return plain.get(code, {"of": code} if code[:1].isupper() else {})


def _bound(element: dict[str, Any], value_sets: dict[str, list[str]], codes: dict[str, list[str]]) -> dict[str, Any]:
    binding = element.get("binding", {})
    url = binding.get("valueSet", "").partition("|")[0]
    listed = value_sets.get(url, [])
    if binding.get("strength") != "required" or not 0 < len(listed) <= MAX_CODES:
        return {}
    codes[url] = sorted(set(listed))
    return {"codes": url}
