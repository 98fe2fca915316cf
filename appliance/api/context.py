"""The request that a handler sees (``plugin_api.http.Request``), made from an ASGI scope; parts are read when asked for."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import parse_qsl

from appliance.api.body import RequestBody, decode_json
from appliance.api.connection import PEER_CERTIFICATE
from appliance.api.errors import BODY_TYPE
from appliance.plugin_api.errors import INVALID, ProntuarioError
from appliance.plugin_api.http import Principal, Reply, Route, WebSocketRoute
from appliance.plugin_api.storage import Transaction
from appliance.security.errors import AUTH_REQUIRED

T = TypeVar("T")
Scope = Mapping[str, Any]
MAX_QUERY_FIELDS: Final = 500


class Committer(Protocol):
    """Runs a change durably on behalf of a request (the door)."""

    async def commit(self, request: ApiRequest, change: Callable[[Transaction], Reply]) -> Reply: ...


class Visit:
    """What HTTP requests and WebSocket sessions have in common: where, who, about whom."""

    __slots__ = (
        "_headers",
        "_query",
        "about_patients",
        "about_resource",
        "caller",
        "parameters",
        "refusal",
        "route",
        "scope",
    )

    def __init__(self, scope: Scope, route: Route | WebSocketRoute, parameters: Mapping[str, str]) -> None:
        self.scope = scope
        self.route = route
        self.parameters = parameters
        self.caller: Principal | None = None
        self.refusal: ProntuarioError | None = None
        self.about_patients: tuple[str, ...] = ()
        self.about_resource: str | None = None
        self._headers: dict[str, str] | None = None
        self._query: list[tuple[str, str]] | None = None

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @property
    def headers(self) -> Mapping[str, str]:
        if self._headers is None:
            headers: dict[str, str] = {}
            for raw_name, raw_value in self.scope["headers"]:
                name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            self._headers = headers
        return self._headers

    @property
    def query_items(self) -> list[tuple[str, str]]:
        if self._query is None:
            raw = self.scope["query_string"].decode("latin-1")
            try:
                self._query = parse_qsl(raw, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS) if raw else []
            except ValueError:
                raise INVALID(field="query", name="query", reason="too many parameters") from None
        return self._query

    @property
    def query(self) -> Mapping[str, str]:
        first: dict[str, str] = {}
        for name, value in self.query_items:
            first.setdefault(name, value)
        return first

    @property
    def principal(self) -> Principal:
        if self.caller is None:
            raise self.refusal or AUTH_REQUIRED()
        return self.caller

    @property
    def device_certificate(self) -> bytes | None:
        certificate: bytes | None = self.scope["state"].get(PEER_CERTIFICATE)
        return certificate

    @property
    def language(self) -> str:
        return language_of(self.scope)

    def about(self, *, patient: str | Collection[str] | None = None, resource: str | None = None) -> None:
        """See ``plugin_api.http.Request.about``."""
        if patient:
            named = (patient,) if isinstance(patient, str) else patient
            self.about_patients = tuple(dict.fromkeys((*self.about_patients, *named)))
        self.about_resource = resource or self.about_resource


class ApiRequest(Visit):
    """An HTTP request. ``recorded`` turns true once its audit event is durable."""

    __slots__ = ("_body", "_committer", "_digest", "_limit", "_raw", "_timeout", "commits", "recorded")

    route: Route

    def __init__(
        self,
        scope: Scope,
        route: Route,
        parameters: Mapping[str, str],
        committer: Committer,
        body: RequestBody | None = None,
        *,
        limit_bytes: int = 0,
        timeout_s: float = 0.0,
    ) -> None:
        super().__init__(scope, route, parameters)
        self.recorded = False
        self.commits = 0
        self._committer = committer
        self._body = body
        self._limit = route.max_body_bytes or limit_bytes
        self._timeout = route.body_timeout_s or timeout_s
        self._raw: bytes | None = None
        self._digest: Any = None

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    def about(self, *, patient: str | Collection[str] | None = None, resource: str | None = None) -> None:
        """See ``plugin_api.http.Request.about``; what is named after a commit is not in its event, and gets one of its own."""
        before = self.about_patients, self.about_resource
        super().about(patient=patient, resource=resource)
        if (self.about_patients, self.about_resource) != before:
            self.recorded = False

    @property
    def digest(self) -> str:
        """SHA-256 of the body as far as it was read."""
        return "" if self._digest is None else str(self._digest.hexdigest())

    async def body(self, shape: type[T]) -> T:
        """See ``plugin_api.http.Request.body``."""
        declared = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if declared not in {"application/json", "application/fhir+json", ""} and not declared.endswith("+json"):
            raise BODY_TYPE(expected="application/json")
        return decode_json(await self.raw_body(), shape)

    async def raw_body(self) -> bytes:
        """See ``plugin_api.http.Request.raw_body``."""
        if self._raw is None:
            self._raw = b"".join([part async for part in self.stream_body()])
        return self._raw

    async def stream_body(self) -> AsyncIterator[bytes]:
        """See ``plugin_api.http.Request.stream_body``."""
        if self._body is None:
            return
        digest = hashlib.sha256() if "idempotency-key" in self.headers else None
        self._digest = digest
        async for part in self._body.chunks(self._limit, self._timeout):
            if digest is not None:
                digest.update(part)
            yield part

    async def commit(self, change: Callable[[Transaction], Reply]) -> Reply:
        """See ``plugin_api.http.Request.commit``."""
        return await self._committer.commit(self, change)


def header(scope: Scope, name: bytes) -> bytes | None:
    """The last value of a header, without building the whole table (names arrive in lower case)."""
    found: bytes | None = None
    for key, value in scope["headers"]:
        if key == name:
            found = value
    return found


def language_of(scope: Scope) -> str:
    """``"pt"`` or ``"en"`` by Accept-Language (RFC 9110 §12.5.4); Portuguese unless English is preferred."""
    value = header(scope, b"accept-language")
    if not value:
        return "pt"
    best, language = 0.0, "pt"
    for item in value.decode("latin-1").split(","):
        tag, _, quality = item.strip().partition(";q=")
        primary = tag.partition("-")[0].lower()
        weight = _quality(quality)
        if primary in {"pt", "en"} and weight > best:
            best, language = weight, primary
    return language


def _quality(text: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0
