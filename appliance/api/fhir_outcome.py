"""Errors as FHIR clients expect them: OperationOutcome (FHIR R4 §3.1.0.1.5)."""

from __future__ import annotations

from typing import Any, Final

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.http import Reply
from appliance.records import json_text

FHIR_JSON: Final = "application/fhir+json"
CODE_SYSTEM: Final = "urn:prontuario:error"
_BY_STATUS: Final = {
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    408: "timeout",
    409: "conflict",
    410: "deleted",
    412: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "processing",
    429: "throttled",
    503: "transient",
    504: "timeout",
    507: "no-store",
}
_SERVER_ERROR: Final = 500


def outcome(error: ProntuarioError, language: str) -> dict[str, Any]:
    """The OperationOutcome: one issue for each listed fault, or one for the error itself.

    ``details.coding`` holds our stable code, ``details.text`` the sentence, ``diagnostics`` the next step.
    """
    listed = error.details.get("issues")
    if isinstance(listed, list) and listed:
        issues = [_listed(error, one, language) for one in listed]
    else:
        issues = [_issue(error, _code(error), error.sentence(language), language)]
        if error.field is not None and error.field[:1].isupper():
            issues[0]["expression"] = [error.field]
    return {"resourceType": "OperationOutcome", "issue": issues}


def render_error(error: ProntuarioError, language: str) -> Reply:
    """The reply for ``error`` on paths below ``/fhir/``."""
    headers = {"content-language": "pt-BR" if language == "pt" else "en"}
    return Reply(error.kind.status, json_text.encode(outcome(error, language)), headers, FHIR_JSON)


def _listed(error: ProntuarioError, listed: dict[str, Any], language: str) -> dict[str, Any]:
    text = listed["text_pt"] if language == "pt" else listed["text"]
    return {**_issue(error, listed["code"], text, language), "expression": [listed["expression"]]}


def _issue(error: ProntuarioError, code: str, text: str, language: str) -> dict[str, Any]:
    next_step = error.next_step(language)
    incident = error.details.get("incident")
    return {
        "severity": "fatal" if error.kind.status == _SERVER_ERROR else "error",
        "code": code,
        "details": {"coding": [{"system": CODE_SYSTEM, "code": error.kind.code}], "text": text},
        "diagnostics": f"{next_step} [{incident}]" if incident and str(incident) not in next_step else next_step,
    }


def _code(error: ProntuarioError) -> str:
    status = error.kind.status
    return _BY_STATUS.get(status, "exception" if status >= _SERVER_ERROR else "invalid")
