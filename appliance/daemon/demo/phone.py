"""A clinician's phone, over the public HTTPS API only: what it does here, an iPhone does too.

Every mutating call carries an ``Idempotency-Key`` and is repeated after a broken connection, a 429 or a 503; a repeat
gets the first answer back.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx

FHIR: Final = "/fhir/R4"
FHIR_JSON: Final = {"Content-Type": "application/fhir+json"}
CHUNK_BYTES: Final = 64 * 1024
RETRY_PAUSE_S: Final = 0.3
TRY_FOR_S: Final = 60.0
"""How long a call is repeated while the node is away (a restart, a failover)."""
TRY_AGAIN: Final = frozenset({429, 502, 503, 504})


class RefusedError(Exception):
    """The appliance refused, and repeating would not help. ``problem`` is its problem+json."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')} {problem.get('next_step', '')}")
        self.status = status
        self.problem = problem


class Phone:
    """One enrolled device of one person. ``client`` is what ``prontuario client enrol`` writes."""

    def __init__(self, client: Mapping[str, str]) -> None:
        context = ssl.create_default_context(cafile=client["ca"])
        context.load_cert_chain(client["cert"], client["key"])
        self._http = httpx.AsyncClient(
            base_url=client["api"],
            verify=context,
            timeout=30.0,
            headers={"Authorization": f"Bearer {client['token']}", "Accept-Language": "pt-BR"},
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: str) -> Any:
        """The JSON of a resource."""
        return (await self._call("GET", path, params=query)).json()

    async def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Send JSON once and for all: the key makes repeats harmless."""
        content = b"" if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        return (await self._call("POST", path, content=content, headers={**kind, **(headers or {})})).json()

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
        """(event, data) of a dictation's progress, until the node closes the stream."""
        async with self._http.stream("GET", f"/api/dictations/{dictation}/events", timeout=None) as answer:
            answer.raise_for_status()
            event = ""
            async for line in answer.aiter_lines():
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    yield event, json.loads(line[5:])

    async def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4()), **(request.pop("headers", None) or {})}
        give_up = time.monotonic() + TRY_FOR_S
        while True:
            try:
                answer = await self._http.request(method, path, headers=headers, **request)
            except httpx.TransportError:
                if time.monotonic() > give_up:
                    raise
            else:
                if answer.status_code < 400:  # noqa: PLR2004  HTTP's own border
                    return answer
                if answer.status_code not in TRY_AGAIN or time.monotonic() > give_up:
                    raise RefusedError(answer.status_code, _problem(answer))
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
