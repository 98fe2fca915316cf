"""A clinician's phone, over the public HTTPS API only: what it does here, an iPhone does too.

Every mutating call carries an ``Idempotency-Key`` and is repeated after a broken connection, a 429 or a 503; a repeat
gets the first answer back. A phone that knows both nodes of a pair asks the other one then.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import httpx

from appliance.daemon.demo.alive import socket_options

FHIR: Final = "/fhir/R4"
FHIR_JSON: Final = {"Content-Type": "application/fhir+json"}
CHUNK_BYTES: Final = 64 * 1024
RETRY_PAUSE_S: Final = 0.3
TRY_FOR_S: Final = 60.0
"""How long a call is repeated while the node is away (a restart, a failover)."""
TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
NOT_CONFIGURED: Final = "not_configured"
"""How the code of a 503 ends that only a person can mend: the ability has no model, and repeating brings none."""
ANSWER_S: Final = 30.0
CONNECT_S: Final = 1.0
LONGEST_CONNECT_S: Final = 16.0
"""A lost first packet is sent again only after a second, and then after two: a new attempt is quicker. A node that is merely
slow gets twice the time at each attempt."""


class RefusedError(Exception):
    """The appliance refused, and repeating would not help. ``problem`` is its problem+json."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')} {problem.get('next_step', '')}")
        self.status = status
        self.problem = problem


class Phone:
    """One enrolled device of one person. ``client`` is what ``prontuario client enrol`` writes."""

    def __init__(self, client: Mapping[str, str], addresses: Sequence[str] = ()) -> None:
        """``addresses``: base URLs, tried in turn; none: the one in ``client``."""
        context = ssl.create_default_context(cafile=client["ca"])
        context.load_cert_chain(client["cert"], client["key"])
        self._addresses = [address.rstrip("/") for address in addresses] or [client["api"]]
        self._http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=context, socket_options=socket_options()),
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            headers={"Authorization": f"Bearer {client['token']}", "Accept-Language": "pt-BR"},
        )

    @property
    def address(self) -> str:
        """The base URL that is asked next."""
        return self._addresses[0]

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: str) -> Any:
        """The JSON of a resource."""
        return (await self._call("GET", path, params=query)).json()

    async def content(self, path: str, **query: str) -> bytes:
        """The bytes of what is no JSON: a sound, a picture."""
        return (await self._call("GET", path, params=query)).content

    async def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Send JSON once and for all: the key makes repeats harmless."""
        content = b"" if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        return (await self._call("POST", path, content=content, headers={**kind, **(headers or {})})).json()

    async def hand_in(self, path: str, content: bytes, **query: str) -> Any:
        """Send a whole file once and for all."""
        kind = {"Content-Type": "application/octet-stream"}
        return (await self._call("POST", path, params=query, content=content, headers=kind)).json()

    async def create(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """Create a FHIR resource; the stored resource with its id."""
        stored: dict[str, Any] = await self.post(f"{FHIR}/{resource['resourceType']}", resource, FHIR_JSON)
        return stored

    async def transaction(self, bundle: Mapping[str, Any]) -> dict[str, Any]:
        """A FHIR transaction, all or nothing."""
        answer: dict[str, Any] = await self.post(FHIR, bundle, FHIR_JSON)
        return answer

    async def send_chunk(self, dictation: str, sequence: int, chunk: bytes) -> None:
        """Upload one numbered chunk; a repeat is harmless."""
        headers = {"X-Chunk-SHA256": hashlib.sha256(chunk).hexdigest(), "Content-Type": "application/octet-stream"}
        await self._call("PUT", f"/api/dictations/{dictation}/chunks/{sequence}", content=chunk, headers=headers)

    async def events(self, dictation: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """(event, data) of a dictation's progress, until the node closes the stream or falls silent."""
        async with self._http.stream("GET", f"{self.address}/api/dictations/{dictation}/events") as answer:
            answer.raise_for_status()
            event = ""
            async for line in answer.aiter_lines():
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    yield event, json.loads(line[5:])

    async def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4()), **(request.pop("headers", None) or {})}
        give_up, connect_s = time.monotonic() + TRY_FOR_S, CONNECT_S
        while True:
            limit = httpx.Timeout(ANSWER_S, connect=connect_s)
            try:
                answer = await self._http.request(
                    method, self.address + path, headers=headers, timeout=limit, **request
                )
            except httpx.TransportError as error:
                if time.monotonic() > give_up:
                    raise
                if isinstance(error, httpx.TimeoutException):
                    connect_s = min(connect_s * 2, LONGEST_CONNECT_S)
            else:
                if answer.status_code < 400:  # noqa: PLR2004  HTTP's own border
                    return answer
                problem = _problem(answer)
                final = answer.status_code not in TRY_AGAIN or str(problem.get("code")).endswith(NOT_CONFIGURED)
                if final or time.monotonic() > give_up:
                    raise RefusedError(answer.status_code, problem)
            self._addresses.append(self._addresses.pop(0))
            await asyncio.sleep(RETRY_PAUSE_S)


def chunks(audio: bytes, size: int = CHUNK_BYTES) -> list[bytes]:
    """A recording in numbered pieces."""
    return [audio[start : start + size] for start in range(0, len(audio), size)]


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    return problem if isinstance(problem, dict) else {}
