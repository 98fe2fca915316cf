"""What FHIR requests and replies have in common: addresses, versions in headers, preferences (FHIR R4 §3.1.0)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from appliance.api.errors import BODY_MALFORMED, BODY_TYPE
from appliance.api.fhir_outcome import FHIR_JSON
from appliance.plugin_api.errors import FORBIDDEN
from appliance.plugin_api.http import Reply, Request
from appliance.records import json_text, tables
from appliance.records.errors import TYPE_UNKNOWN
from appliance.records.repository import parse_version
from appliance.records.stored import StoredVersion

BASE: Final = "/fhir/R4"
NOT_MODIFIED: Final = 304
_HOST: Final = re.compile(r"[A-Za-z0-9.\-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_JSON_TYPES: Final = frozenset({"application/fhir+json", "application/json", ""})


def base_url(request: Request) -> str:
    """``https://host:port/fhir/R4`` as the client addressed us."""
    host = request.headers.get("host", "")
    return f"https://{host}{BASE}" if _HOST.fullmatch(host) else BASE


def resource_type(request: Request, action: str) -> str:
    """The type in the path. Patient has routes of its own; ``action`` is ``read`` or ``write``.

    Raises:
        ProntuarioError: ``fhir.type_unknown`` 404, ``forbidden`` 403.
    """
    kind = request.parameters.get("type", "Patient")
    require_type(request, kind, action)
    return kind


def require_type(request: Request, kind: str, action: str) -> None:
    """Whether the caller may ``action`` resources of this type here. Raises as ``resource_type``."""
    tables.require_served(kind)
    if kind in tables.NOT_WRITABLE:
        raise TYPE_UNKNOWN(type=kind)
    if not request.principal.may(f"patient.{action}" if kind == "Patient" else f"record.{action}"):
        raise FORBIDDEN()


def about(request: Request, stored: StoredVersion) -> None:
    """Tell the audit whose resource this is."""
    patient = f"Patient/{stored.patient}" if stored.patient else None
    request.about(patient=patient, resource=f"{stored.type}/{stored.id}")


def resource_reply(request: Request, stored: StoredVersion) -> Reply:
    """The resource as it lies in the store, or 304 when the client has this version."""
    headers = version_headers(stored.version, stored.last_updated)
    known = request.headers.get("if-none-match")
    if known is not None and stored.version in {parse_version(one) for one in known.split(",")}:
        return Reply(NOT_MODIFIED, None, headers, FHIR_JSON)
    return Reply(200, stored.body, headers, FHIR_JSON)


def version_headers(version: int, last_updated: str) -> dict[str, str]:
    """ETag and Last-Modified (FHIR R4 §3.1.0.1.3)."""
    return {"etag": f'W/"{version}"', "last-modified": http_date(last_updated)}


@lru_cache(4096)
def http_date(last_updated: str) -> str:
    """A FHIR instant as an HTTP date (RFC 9110 §5.6.7)."""
    return format_datetime(datetime.fromisoformat(last_updated).astimezone(UTC), usegmt=True)


def preferences(request: Request) -> Mapping[str, str]:
    """The Prefer header (RFC 7240): ``{"return": "minimal", "handling": "lenient"}``."""
    found = {}
    for item in request.headers.get("prefer", "").replace(";", ",").split(","):
        name, _, value = item.strip().partition("=")
        found[name.lower()] = value.strip('"').lower()
    return found


async def json_body(request: Request) -> Any:
    """The JSON body, decimals to the digit.

    Raises:
        ProntuarioError: ``body.type`` 415, ``body.malformed`` 400.
    """
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared not in _JSON_TYPES:
        raise BODY_TYPE(expected=FHIR_JSON)
    try:
        return json_text.decode(await request.raw_body())
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BODY_MALFORMED() from error
