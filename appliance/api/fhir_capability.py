"""What this FHIR service can do, said from the same tables by which it does it (FHIR R4 CapabilityStatement)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from appliance.api.fhir_outcome import FHIR_JSON
from appliance.records import json_text, tables

PUBLISHED: Final = "2026-11-21"
RESULT_PARAMETERS: Final = {"_id": "token", "_lastUpdated": "date"}
INTERACTIONS: Final = (
    "read",
    "vread",
    "update",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)


@lru_cache(1)
def capability_statement() -> bytes:
    """The CapabilityStatement as JSON text."""
    return json_text.encode(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": PUBLISHED,
            "kind": "instance",
            "software": {"name": "Prontuário"},
            "implementation": {"description": "Prontuário"},
            "fhirVersion": tables.FHIR_VERSION,
            "format": [FHIR_JSON, "json"],
            "rest": [
                {
                    "mode": "server",
                    "security": {"cors": False, "description": "TLS 1.3, device certificate, bearer token (RFC 6750)"},
                    "resource": [_resource(kind) for kind in tables.client_types()],
                    "interaction": [{"code": "transaction"}, {"code": "batch"}],
                }
            ],
        }
    )


def _resource(kind: str) -> dict[str, Any]:
    parameters = {name: one.kind for name, one in tables.search_parameters()[kind].items()}
    described: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": False,
        "conditionalCreate": True,
        "conditionalRead": "not-match",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "enforced", "local"],
        "searchParam": [
            {"name": name, "type": kind_of} for name, kind_of in sorted((RESULT_PARAMETERS | parameters).items())
        ],
    }
    if kind == "Patient":
        definition = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
        described["operation"] = [{"name": "everything", "definition": definition}]
    return described
