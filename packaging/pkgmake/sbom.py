"""The bill of materials that auditors read: CycloneDX 1.6, JSON, the same bytes for the same parts.

Specification: cyclonedx.org/docs/1.6/json. The serial number is a UUID of the contents (RFC 9562, version 5), and there is no
time of making in it: both would differ from build to build.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from typing import Any, Final

from pkgmake.licences import Licensed

_SPDX: Final = re.compile(r"[A-Za-z0-9.+-]+(?: (?:AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_NAMESPACE: Final = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
"""RFC 9562's namespace for URLs."""


def bill(version: str, parts: Iterable[Licensed]) -> bytes:
    """The document for ``prontuario`` of this version made of ``parts``."""
    components = [_component(part) for part in sorted(parts, key=lambda one: one.name)]
    main = {"type": "application", "name": "prontuario", "version": version, "bom-ref": f"prontuario@{version}"}
    body = json.dumps([main, components], sort_keys=True)
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, body)}",
        "version": 1,
        "metadata": {"component": main},
        "components": components,
        "dependencies": [
            {"ref": main["bom-ref"], "dependsOn": [one["bom-ref"] for one in components]},
        ],
    }
    return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _component(part: Licensed) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": f"{part.name}@{part.version}",
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
        "hashes": [{"alg": "SHA-256", "content": part.sha256}],
        "licenses": [_licence(part.licence)],
    }
    if part.home:
        component["externalReferences"] = [{"type": "website", "url": part.home}]
    return component


def _licence(text: str) -> dict[str, Any]:
    """An expression where it is one; otherwise the author's words under ``name``."""
    if _SPDX.fullmatch(text.replace("(", "").replace(")", "")):
        return {"expression": text}
    return {"license": {"name": text}}
