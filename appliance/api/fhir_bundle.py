"""Bundles that come as one request: answers of their entries, and a batch taken apart."""

from __future__ import annotations

from typing import Any, Final

from appliance.records.bundles import Outcome
from appliance.records.issues import single

MAX_BATCH: Final = 200
"""Entries of a batch: each is a durable write of its own."""


def outcome_entry(base: str, one: Outcome, *, full: bool) -> dict[str, Any]:
    """An entry of a ``transaction-response`` or ``batch-response`` (FHIR R4 §3.1.0.11.3)."""
    response: dict[str, Any] = {"status": one.status, "etag": f'W/"{one.version}"', "lastModified": one.last_updated}
    entry: dict[str, Any] = {"response": response}
    if one.resource is not None:
        entry["fullUrl"] = f"{base}/{one.type}/{one.id}"
        response["location"] = f"{base}/{one.type}/{one.id}/_history/{one.version}"
        if full:
            entry["resource"] = one.resource
    return entry


def batch_requests(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """A batch as transactions of one entry each.

    Raises:
        ProntuarioError: ``fhir.invalid`` 422: not a batch, or too long.
    """
    entries = bundle.get("entry", [])
    if bundle.get("resourceType") != "Bundle" or not isinstance(entries, list):
        raise single("Bundle", "structure", ("Esperava-se um Bundle.", "Expected a Bundle."))
    if len(entries) > MAX_BATCH:
        text = (f"No máximo {MAX_BATCH} entradas.", f"At most {MAX_BATCH} entries.")
        raise single("Bundle.entry", "too-costly", text)
    return [{"resourceType": "Bundle", "type": "transaction", "entry": [entry]} for entry in entries]
