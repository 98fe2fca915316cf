"""A phone of the soak: the reference phone, which writes every answer, break and refusal into the books and asks for streams.

The reference phone repeats what broke, as an app must; here each such break is an error of its own, however well it ended.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import httpx
from websockets.exceptions import ConnectionClosed, WebSocketException

from appliance.daemon.demo.phone import FHIR, FHIR_JSON, RefusedError
from bench.soak_books import TOO_MANY, Books
from tests.fakes.phone import UNAUTHENTICATED, ReferencePhone, RevokedError, SilentError, StrangerError, bearer

REFRESH = "/api/token/refresh"
MOST_WORDS = 100
PATIENCE_S, LONG_PATIENCE_S = 60.0, 300.0
ATTEMPT_S = 30.0
"""Also for a connection: one that comes late is in the percentiles and no error."""
BROKEN_PING = 1011
"""With this code our own end of a WebSocket gives up: its ping was not answered (``websockets``)."""

_SERVICE = (RefusedError, SilentError, StrangerError, RevokedError)
_LINE = (httpx.HTTPError, OSError, WebSocketException, TimeoutError)
_ANSWER = (LookupError, ValueError, TypeError)
FAILED: Final = (*_SERVICE, *_LINE, *_ANSWER)
"""What one call may end in without ending an hour's run: a refusal, a broken line, an answer that is not what was promised."""


class SoakPhone(ReferencePhone):
    """One enrolled device, and the books that it shares with all others."""

    def __init__(self, client: Mapping[str, str], books: Books, *, seed: int, patient: bool = False) -> None:
        """``patient``: wait ten times longer, beside other work."""
        attempt_s, patience_s = (LONG_PATIENCE_S, 2 * LONG_PATIENCE_S) if patient else (ATTEMPT_S, PATIENCE_S)
        super().__init__(client, attempt_s=attempt_s, patience_s=patience_s, seed=seed)
        self._http.timeout = httpx.Timeout(attempt_s)
        self.user = client["user"]
        self._books = books

    async def attempt(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send once and write down what came of it."""
        where = place(method, path)
        try:
            answer = await super().attempt(method, path, **request)
        except httpx.TransportError as error:
            broke(self._books, where, error)
            raise
        self._write_down(where, answer)
        return answer

    async def put(self, path: str, resource: Mapping[str, Any], version: str) -> dict[str, Any]:
        """Update a FHIR resource that was seen in ``version``."""
        headers = {**FHIR_JSON, "If-Match": f'W/"{version}"'}
        answer = await self._call("PUT", path, content=json.dumps(resource).encode(), headers=headers)
        stored: dict[str, Any] = answer.json()
        return stored

    async def asked(self, patient: str, question: str, most_tokens: int) -> AsyncGenerator[tuple[str, Any], None]:
        """Ask about a patient; the stream's events until ``end``.

        Raises:
            RefusedError: 429 with ``retry_after`` in its problem, and every other refusal.
        """
        path = f"/api/patients/{patient}/chat"
        body = {"messages": [{"role": "user", "content": question}], "stream": True, "max_tokens": most_tokens}
        async with self._http.stream("POST", path, json=body, headers=bearer(self.token)) as answer:
            if answer.is_error:
                await answer.aread()
            self._write_down(place("POST", path), answer)
            if answer.is_error:
                raise RefusedError(answer.status_code, {**problem_of(answer), "retry_after": wish(answer)})
            event = ""
            async for line in answer.aiter_lines():
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    yield event, json.loads(line[5:])

    async def _one_stream(self, path: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        where = place("GET", path)
        try:
            async for event in super()._one_stream(path):
                yield event
        except httpx.TransportError as error:
            broke(self._books, where, error)
            raise
        except httpx.HTTPStatusError as error:
            self._write_down(where, error.response)
            raise

    def _write_down(self, where: str, answer: httpx.Response) -> None:
        self._books.heard()
        if not answer.is_error:
            return
        if answer.status_code == UNAUTHENTICATED and where != place("POST", REFRESH):
            self._books.renewed += 1
            return
        code = str(problem_of(answer).get("code", ""))
        self._books.refused(where, answer.status_code, code, retry_after="retry-after" in answer.headers)


def place(method: str, path: str) -> str:
    """A call without the ids in it: ``GET /fhir/R4/Observation``."""
    parts = path.removeprefix("/").split("/")
    known = 3 if path.startswith(FHIR) else 2
    return f"{method} /{'/'.join(parts[:known])}"


def broke(books: Books, where: str, error: Exception) -> None:
    """A connection broke, or the phone had waited for long enough: into the books, in a few words."""
    what = f"{where}: {type(error).__name__} {error}"[:MOST_WORDS].rstrip()
    if gave_up(error):
        books.timed_out[what] += 1
    else:
        books.cut(what)


def gave_up(error: Exception) -> bool:
    """Whether it was the phone that would not wait any longer, and nobody cut its line."""
    if isinstance(error, ConnectionClosed):
        return error.rcvd is None and error.sent is not None and error.sent.code == BROKEN_PING
    return isinstance(error, httpx.TimeoutException | SilentError)


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """The problem+json of a refusal, empty where there is none."""
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def wish(answer: httpx.Response) -> float:
    """Seconds that a 429 asks to wait, 0 of any other answer."""
    return float(answer.headers.get("retry-after", "0")) if answer.status_code == TOO_MANY else 0.0
