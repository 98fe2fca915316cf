"""Failures as answers: every exception becomes problem+json (RFC 9457) in the reader's language."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from appliance.plugin_api.errors import INTERNAL, TYPE_URI_PREFIX, ProntuarioError, define
from appliance.plugin_api.http import Reply
from appliance.telemetry.logs import get_logger

PROBLEM_JSON: Final = "application/problem+json"
SERVER_ERROR: Final = 500

ErrorRenderer = Callable[[ProntuarioError, str], Reply]
"""Turns an error into a reply, given the language ``"pt"`` or ``"en"``."""

_log = get_logger("api")

ROUTE_UNKNOWN = define(
    "route.unknown",
    404,
    pt=("Este endereço não existe.", "Confira o endereço; a lista completa está em /docs."),
    en=("This address does not exist.", "Check the address; the full list is at /docs."),
)
METHOD_NOT_ALLOWED = define(
    "method.not_allowed",
    405,
    pt=("Este endereço não aceita {method}.", "Use um destes métodos: {allowed}."),
    en=("This address does not take {method}.", "Use one of these methods: {allowed}."),
)
PATH_MALFORMED = define(
    "path.malformed",
    400,
    pt=("O endereço contém caracteres inválidos.", "Corrija o endereço."),
    en=("The address has invalid characters.", "Correct the address."),
)
BODY_MALFORMED = define(
    "body.malformed",
    400,
    pt=("O corpo do pedido não é JSON válido.", "Corrija o JSON e envie de novo."),
    en=("The body is not valid JSON.", "Correct the JSON and send again."),
)
BODY_TYPE = define(
    "body.type",
    415,
    pt=("O tipo de conteúdo não é aceito aqui.", "Envie com Content-Type: {expected}."),
    en=("This content type is not accepted here.", "Send with Content-Type: {expected}."),
)
BODY_TOO_LARGE = define(
    "body.too_large",
    413,
    pt=("O envio passa do limite de {limit_bytes} bytes.", "Envie em partes menores."),
    en=("The upload exceeds the limit of {limit_bytes} bytes.", "Send smaller parts."),
)
BODY_STALLED = define(
    "body.stalled",
    408,
    pt=("O envio parou antes do fim.", "Confira a rede e envie de novo."),
    en=("The upload stopped before its end.", "Check the network and send again."),
)
BODY_INTERRUPTED = define(
    "body.interrupted",
    400,
    pt=("A conexão caiu durante o envio.", "Envie de novo."),
    en=("The connection broke during the upload.", "Send again."),
)
IDEMPOTENCY_KEY = define(
    "idempotency.key",
    422,
    pt=("A Idempotency-Key não é válida.", "Use de 1 a 128 caracteres ASCII visíveis."),
    en=("The Idempotency-Key is not valid.", "Use 1 to 128 visible ASCII characters."),
)
AUDIT_UNAVAILABLE = define(
    "audit.unavailable",
    503,
    pt=(
        "O registro de acesso não pôde ser gravado, por isso nada foi feito.",
        "Tente de novo; se repetir, chame a TI.",
    ),
    en=("The access could not be recorded, so nothing was done.", "Try again; if it repeats, call IT."),
)


def problem(error: ProntuarioError, language: str) -> Reply:
    """The default rendering: problem+json.

    Members: ``type, title, status, code, detail, next_step`` and, where they apply, ``field, instance, retry_after,
    details``. ``instance`` is the incident code of an unexpected failure.
    """
    kind = error.kind
    members: dict[str, Any] = {
        "type": TYPE_URI_PREFIX + kind.code,
        "title": HTTPStatus(kind.status).phrase,
        "status": kind.status,
        "code": kind.code,
        "detail": error.sentence(language),
        "next_step": error.next_step(language),
    }
    details = {name: value for name, value in error.details.items() if _is_plain(value)}
    incident = details.pop("incident", None)
    if error.field is not None:
        members["field"] = error.field
    if incident is not None:
        members["instance"] = f"urn:prontuario:incident:{incident}"
    if error.retry_after is not None:
        members["retry_after"] = error.retry_after
    if details:
        members["details"] = details
    headers = {"content-language": "pt-BR" if language == "pt" else "en"}
    return Reply(kind.status, members, headers, PROBLEM_JSON)


def as_answer(error: Exception, route: str) -> ProntuarioError:
    """``error`` if it is one of ours; else ``internal`` with a new incident code.

    An unexpected exception is logged by type and place only: its message may quote the data that broke it.
    """
    if isinstance(error, ProntuarioError):
        return error
    incident = secrets.token_hex(4)
    _log.error("request failed unexpectedly", incident=incident, route=route, exc_info=error)
    return INTERNAL(incident=incident)


class ErrorPages:
    """Chooses the renderer by the longest matching path prefix (FHIR and OpenAI clients expect their own shapes)."""

    def __init__(self, renderers: Mapping[str, ErrorRenderer]) -> None:
        self._by_prefix: Sequence[tuple[str, ErrorRenderer]] = sorted(
            renderers.items(), key=lambda pair: len(pair[0]), reverse=True
        )

    def render(self, error: ProntuarioError, path: str, language: str) -> Reply:
        """The reply for ``error`` on ``path``, with the headers that its status demands."""
        renderer = next((made for prefix, made in self._by_prefix if path.startswith(prefix)), problem)
        reply = renderer(error, language)
        extra = _demanded_headers(error)
        if not extra:
            return reply
        return Reply(reply.status, reply.body, {**reply.headers, **extra}, reply.content_type)


def _demanded_headers(error: ProntuarioError) -> dict[str, str]:
    headers: dict[str, str] = {}
    status = error.kind.status
    if status == HTTPStatus.UNAUTHORIZED:
        reason = "" if error.kind.code == "auth.required" else ', error="invalid_token"'
        headers["www-authenticate"] = f'Bearer realm="prontuario"{reason}'
    if status == HTTPStatus.METHOD_NOT_ALLOWED and "allowed" in error.details:
        headers["allow"] = str(error.details["allowed"])
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    return headers


def _is_plain(value: object) -> bool:
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
