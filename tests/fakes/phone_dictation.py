"""Dictating with the reference phone: a recording stays on the phone until every chunk of it is acknowledged.

After every break the phone asks what is missing and goes on with the first missing chunk, over plain HTTP or over the
dictation's WebSocket (the protocol is in ``appliance/api/care_stream.py``).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from appliance.daemon.demo.alive import watch
from appliance.daemon.demo.phone import RefusedError
from tests.fakes.phone import TRY_AGAIN, UNAUTHENTICATED, ReferencePhone, SilentError, StrangerError, bearer
from tests.fakes.phone_line import CONNECT_S, is_stranger

REVOKED = 4401
"""The close code of a session that was ended; the phone renews it and comes back."""
PASSING = ("cluster.", "store.")
"""Refusals in the middle of a WebSocket carry no status: these families of codes are the 503s of a node in trouble."""
MAX_GAPS = 100
Pace = Callable[[], Awaitable[None]]


async def _at_once() -> None:
    """No pause between chunks."""


async def send_recording(
    phone: ReferencePhone, dictation: str, pieces: Sequence[bytes], *, pace: Pace = _at_once
) -> dict[str, Any]:
    """Bring every chunk over, each call repeated until answered, and close the recording; the dictation as it is then."""
    for _ in range(MAX_GAPS):
        missing = await phone.get(f"/api/dictations/{dictation}/missing", total=str(len(pieces)))
        for sequence in missing["missing"]:
            await pace()
            await phone.send_chunk(dictation, sequence, pieces[sequence])
        try:
            done: dict[str, Any] = await phone.post(f"/api/dictations/{dictation}/complete", _whole(pieces))
        except RefusedError as error:
            if error.problem.get("code") != "dictation.gap":
                raise
        else:
            return done
    raise SilentError(f"dictation {dictation} keeps losing chunks")


class LiveRecording:
    """The same over the WebSocket, as the phone does while a clinician speaks."""

    def __init__(self, phone: ReferencePhone, dictation: str, pieces: Sequence[bytes]) -> None:
        self._phone = phone
        self._path = f"/api/dictations/{dictation}/stream"
        self._pieces = pieces
        self._refused = ""
        self._unanswered = 0
        self.window = 1
        """How many chunks go out before the first of them must be acknowledged."""
        self.acknowledged: set[int] = set()
        """Chunks that the service said are durable; after a break none of these may be missing."""
        self.connections = 0
        self.lost: set[int] = set()
        """Acknowledged chunks that the service asked for again. Must stay empty."""
        self.told: list[dict[str, Any]] = []
        """Every event of every connection, for the screen."""

    async def send(self, *, pace: Pace = _at_once, patience_s: float = 60.0) -> None:
        """Bring every chunk over and close the recording, over any number of connections.

        Raises:
            RefusedError: the service does not take this recording.
            SilentError: nothing was acknowledged within ``patience_s``.
        """
        pauses, known, last = self._phone.pauses(), 0, time.monotonic()
        while True:
            here = self._phone.line.address
            try:
                await self._one_connection(pace)
            except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake) as error:
                await self._understand(error)
            else:
                return
            await self._phone.line.give_up(here)
            if len(self.acknowledged) > known:
                known, last, pauses = len(self.acknowledged), time.monotonic(), self._phone.pauses()
            if time.monotonic() - last > patience_s:
                raise SilentError(self._path)
            await asyncio.sleep(pauses.next())

    async def _one_connection(self, pace: Pace) -> None:
        address = str(self._phone.line.address.copy_with(scheme="wss")).rstrip("/")
        async with connect(
            address + self._path,
            ssl=self._phone.line.websocket_context,
            additional_headers=bearer(self._phone.token),
            open_timeout=CONNECT_S * 2,
            close_timeout=1,
            ping_interval=2,
            ping_timeout=4,
            proxy=None,
        ) as line:
            watch(line.transport)
            self.connections += 1
            self._unanswered = 0
            while True:
                for sequence in await self._missing(line):
                    await pace()
                    await self._send_one(line, sequence)
                while self._unanswered:
                    await self._acknowledged(line)
                if await self._complete(line):
                    return

    async def _missing(self, line: ClientConnection) -> list[int]:
        await line.send(json.dumps({"missing": len(self._pieces)}))
        missing: list[int] = (await self._answer(line, "received"))["missing"]
        self.lost |= self.acknowledged & set(missing)
        return missing

    async def _send_one(self, line: ClientConnection, sequence: int) -> None:
        piece = self._pieces[sequence]
        digest = hashlib.sha256(piece).hexdigest()
        await line.send(json.dumps({"sequence": sequence, "sha256": digest, "size": len(piece)}))
        await line.send(piece)
        self._unanswered += 1
        while self._unanswered >= self.window:
            await self._acknowledged(line)

    async def _acknowledged(self, line: ClientConnection) -> None:
        told = await self._answer(line, "acknowledged")
        self._unanswered -= 1
        self.acknowledged.add(told["acknowledged"])

    async def _complete(self, line: ClientConnection) -> bool:
        await line.send(json.dumps({"complete": _whole(self._pieces)}))
        try:
            await self._answer(line, "completed")
        except RefusedError as error:
            if error.problem.get("code") != "dictation.gap":
                raise
            return False
        return True

    async def _answer(self, line: ClientConnection, wanted: str) -> dict[str, Any]:
        """The answer that has the key ``wanted``; events in between are for the screen. A refusal that may pass is a break."""
        while True:
            message = await self.hear(line)
            if wanted in message and "event" not in message:
                return message
            if "error" in message:
                problem = message["error"]
                if str(problem.get("code", "")).startswith(PASSING):
                    raise TimeoutError(problem["code"])
                raise RefusedError(0, problem)

    async def hear(self, line: ClientConnection) -> dict[str, Any]:
        """The next message, whatever it is."""
        message: dict[str, Any] = json.loads(await line.recv())
        if "event" in message:
            self.told.append(message)
        return message

    async def _understand(self, error: Exception) -> None:
        """Renew the session if that was it; raise what no new connection would mend."""
        if is_stranger(error):
            raise StrangerError(str(error)) from error
        status = error.response.status_code if isinstance(error, InvalidStatus) else 0
        revoked = isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code == REVOKED
        if (status == UNAUTHENTICATED or revoked) and self._phone.token != self._refused:
            self._refused = self._phone.token
            await self._phone.renew_session(self._refused)
        elif status and status not in TRY_AGAIN:
            raise RefusedError(status, {}) from error


def _whole(pieces: Sequence[bytes]) -> dict[str, Any]:
    return {"total_chunks": len(pieces), "sha256": hashlib.sha256(b"".join(pieces)).hexdigest()}
