"""The reference client: does over the public API what the iPhone app does when the service moves from one Mac to the other.

It resolves the address anew, trusts only the hospital's root, shows its device certificate, repeats a call with the same
Idempotency-Key and growing pauses until it is answered, respects Retry-After, renews its session by itself, and takes a
stream up again where it broke. Every answer is told to ``heard``: benches and chaos runs keep their books with it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from appliance.daemon.demo.phone import Phone, RefusedError
from tests.fakes.phone_line import CONNECT_S, Line, is_stranger

TRY_AGAIN = frozenset({408, 425, 429, 502, 503, 504})
UNAUTHENTICATED = 401
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
PATIENCE_S = 60.0


class StrangerError(Exception):
    """What answered is not this hospital's appliance; nothing was sent to it."""


class SilentError(Exception):
    """No answer within the phone's patience. The call keeps its key: whether it took effect is not known."""


class RevokedError(Exception):
    """The service has ended this session while a stream was open."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One answered call. Times in seconds of the monotonic clock; ``tries`` counts the sendings."""

    method: str
    path: str
    key: str
    status: int
    replayed: bool
    began: float
    ended: float
    tries: int
    headers: Mapping[str, str]


class Pauses:
    """Growing pauses with full jitter, so that two hundred phones do not come back in step; never below Retry-After."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ceiling = FIRST_PAUSE_S

    def next(self, at_least: float = 0.0) -> float:
        """Seconds to wait now."""
        pause = self._rng.uniform(self._ceiling / 2, self._ceiling)
        self._ceiling = min(self._ceiling * 2, LONGEST_PAUSE_S)
        return max(pause, at_least)


class ReferencePhone(Phone):
    """One enrolled device of one person. ``client`` is what ``prontuario client enrol`` writes.

    ``addresses`` replaces the client file's one (a pair without a virtual IP); ``password`` lets it sign in again when its
    refresh token is refused; ``attempt_s`` is how long one sending may stay without an answer.
    """

    def __init__(
        self,
        client: Mapping[str, str],
        *,
        addresses: Sequence[str] = (),
        password: str | None = None,
        http2: bool = True,
        attempt_s: float = 10.0,
        patience_s: float = PATIENCE_S,
        heard: Callable[[Heard], None] = lambda _heard: None,
        seed: int | None = None,
    ) -> None:
        super().__init__(client)
        self._line = Line(addresses or [client["api"]], client, http2=http2)
        self._http = httpx.AsyncClient(
            transport=self._line,
            base_url=client["api"],
            timeout=httpx.Timeout(attempt_s, connect=CONNECT_S),
            headers={"Accept-Language": "pt-BR"},
        )
        self._user, self._password = client["user"], password
        self._token, self._refresh = client["token"], client.get("refresh", "")
        self._renewing = asyncio.Lock()
        self._patience_s = patience_s
        self._heard = heard
        self._rng = random.Random(seed)

    # -- calls -----------------------------------------------------------------------------------------------------
    async def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send until answered.

        Raises:
            RefusedError: the service said no, and would again.
            SilentError: no answer within the patience.
            StrangerError: someone else answered.
        """
        headers = {"Idempotency-Key": str(uuid.uuid4()), **(request.pop("headers", None) or {})}
        began, tries, pauses, renewed = time.monotonic(), 0, self.pauses(), False
        while True:
            tries += 1
            token, wait = self._token, 0.0
            try:
                answer = await self.attempt(method, path, headers=headers | bearer(token), **request)
            except httpx.TransportError as error:
                if time.monotonic() - began > self._patience_s:
                    raise SilentError(f"{method} {path}: {type(error).__name__} after {tries} tries") from error
            else:
                if answer.status_code == UNAUTHENTICATED and not renewed:
                    renewed = True
                    await self.renew_session(token)
                    continue
                over = time.monotonic() - began > self._patience_s
                if answer.status_code not in TRY_AGAIN or over:
                    return self._final(answer, headers["Idempotency-Key"], began, tries)
                wait = retry_after(answer)
            await asyncio.sleep(pauses.next(wait))

    async def attempt(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send once, on a new connection if the last one broke. Raises ``httpx.TransportError``, ``StrangerError``."""
        here = self._line.address
        try:
            answer = await self._http.request(method, path, **request)
        except httpx.TransportError as error:
            await self._line.give_up(here)
            if is_stranger(error):
                raise StrangerError(str(error)) from error
            raise
        if answer.status_code in TRY_AGAIN:
            await self._line.give_up(here)
        return answer

    def _final(self, answer: httpx.Response, key: str, began: float, tries: int) -> httpx.Response:
        replayed = answer.headers.get("idempotency-replayed") == "true"
        method, path = answer.request.method, answer.request.url.path
        self._heard(
            Heard(method, path, key, answer.status_code, replayed, began, time.monotonic(), tries, dict(answer.headers))
        )
        if answer.is_error:
            raise RefusedError(answer.status_code, _problem(answer))
        return answer

    def pauses(self) -> Pauses:
        """A fresh row of pauses."""
        return Pauses(self._rng)

    async def raw(self, path: str) -> bytes:
        """The bytes of what is no JSON, a recording for one."""
        return (await self._call("GET", path)).content

    # -- the session -----------------------------------------------------------------------------------------------
    @property
    def token(self) -> str:
        """The access token in use."""
        return self._token

    async def renew_session(self, refused: str) -> None:
        """Get new tokens once for all tasks whose token ``refused`` was refused.

        Raises:
            RefusedError: neither the refresh token nor the password is accepted.
        """
        async with self._renewing:
            if self._token != refused:
                return
            answer = await self._knock("/api/token/refresh", {"refresh_token": self._refresh})
            if answer.is_error and self._password is not None:
                answer = await self._knock("/api/login", {"username": self._user, "password": self._password})
            if answer.is_error:
                raise RefusedError(answer.status_code, _problem(answer))
            tokens = answer.json()
            self._token, self._refresh = tokens["access_token"], tokens["refresh_token"]

    async def _knock(self, path: str, body: Mapping[str, str]) -> httpx.Response:
        """A call without a session; the service allows repeating these two."""
        began, pauses = time.monotonic(), self.pauses()
        while True:
            wait = 0.0
            try:
                answer = await self.attempt("POST", path, json=body)
            except httpx.TransportError as error:
                if time.monotonic() - began > self._patience_s:
                    raise SilentError(f"POST {path}") from error
            else:
                if answer.status_code not in TRY_AGAIN or time.monotonic() - began > self._patience_s:
                    return answer
                wait = retry_after(answer)
            await asyncio.sleep(pauses.next(wait))

    # -- streams ---------------------------------------------------------------------------------------------------
    async def events(self, dictation: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """(event, data) of a dictation's progress until the service says the last one; over any number of connections."""
        async with aclosing(self.stream(f"/api/dictations/{dictation}/events")) as events:
            async for event in events:
                yield event

    async def stream(self, path: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Server-sent events of ``path``. A broken stream, and one that ends with ``reconnect``, is asked for again.

        Raises:
            RefusedError: the service does not let this person listen.
            RevokedError: the session was ended meanwhile.
            SilentError: no stream within the patience.
        """
        pauses, lost, refused = self.pauses(), time.monotonic(), ""
        while True:
            again, here, used = 0.0, self._line.address, self._token
            try:
                async with aclosing(self._one_stream(path)) as events:
                    async for event, data in events:
                        pauses, lost, refused = self.pauses(), time.monotonic(), ""
                        if event == "reconnect":
                            again = float(data.get("retry_after", 0.0))
                            break
                        if event == "revoked":
                            raise RevokedError(path)
                        yield event, data
                    else:
                        return
            except httpx.TransportError as error:
                if is_stranger(error):
                    raise StrangerError(str(error)) from error
            except httpx.HTTPStatusError as error:
                again = await self._stream_refused(error.response, used, refused)
                refused = used
            await self._line.give_up(here)
            if time.monotonic() - lost > self._patience_s:
                raise SilentError(path)
            await asyncio.sleep(pauses.next(again))

    async def _stream_refused(self, answer: httpx.Response, used: str, refused: str) -> float:
        """Seconds to wait at least before asking again; raises if asking again would not help."""
        if answer.status_code == UNAUTHENTICATED and used != refused:
            await self.renew_session(used)
            return 0.0
        if answer.status_code in TRY_AGAIN:
            return retry_after(answer)
        raise RefusedError(answer.status_code, _problem(answer))

    async def _one_stream(self, path: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        headers = {"Accept": "text/event-stream"} | bearer(self._token)
        # A heartbeat comes every 15 s: twice that in silence means that nobody is there any more.
        limit = httpx.Timeout(30.0, connect=CONNECT_S)
        async with self._http.stream("GET", path, headers=headers, timeout=limit) as answer:
            if answer.is_error:
                await answer.aread()
                answer.raise_for_status()
            event = ""
            async for line in answer.aiter_lines():
                if line.startswith("event:"):
                    event = line[6:].strip()
                elif line.startswith("data:"):
                    yield event, json.loads(line[5:])

    @property
    def line(self) -> Line:
        """Where the phone is connected, for streams of other kinds."""
        return self._line


def bearer(token: str) -> dict[str, str]:
    """The header of a session."""
    return {"Authorization": f"Bearer {token}"}


def retry_after(answer: httpx.Response) -> float:
    """Seconds that the service asks to wait (RFC 9110 §10.2.3), 0 without such a wish."""
    try:
        return max(0.0, float(answer.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    return problem if isinstance(problem, dict) else {}
