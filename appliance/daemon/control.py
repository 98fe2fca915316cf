"""The operator's socket: one JSON line in, one out, for commands on this machine while core runs (ADR 4).

Only the node's own user (or root) gets an answer; every verb is audited as the operator's act.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from appliance.config import Paths
from appliance.daemon.exits import NEEDS_SUDO, CommandFailedError, Exit
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.logs import get_logger

log = get_logger("control")
Verb = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
LINE_LIMIT_BYTES: Final = 1 << 20
READ_LIMIT_S: Final = 10.0


class ControlSocket:
    """Serves ``verbs`` on a Unix socket."""

    def __init__(self, path: Path, verbs: Mapping[str, Verb]) -> None:
        self._path = path
        self._verbs = dict(verbs)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket that an earlier core left is replaced (the home's lock says that it is dead)."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._path.parent.stat().st_uid != os.getuid():
            raise PermissionError(f"{self._path.parent} belongs to somebody else")
        self._path.parent.chmod(0o700)
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LINE_LIMIT_BYTES)
        self._path.chmod(0o600)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if peer_uid(writer.get_extra_info("socket")) not in {os.getuid(), 0}:
                return
            line = await asyncio.wait_for(reader.readline(), READ_LIMIT_S)
            writer.write(json.dumps(dict(await self._answer(line))).encode() + b"\n")
            await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            log.warning("operator's connection broke off")
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Mapping[str, Any]:
        request = json.loads(line)
        verb = self._verbs.get(str(request.get("verb")))
        if verb is None:
            return {"error": f"unknown verb; known: {', '.join(sorted(self._verbs))}"}
        try:
            return await verb(request)
        except ProntuarioError as error:
            return {"error": f"{error.sentence('en')} {error.next_step('en')}", "code": error.kind.code}


def peer_uid(connection: Any) -> int:
    """The user at the other end (Linux SO_PEERCRED, macOS LOCAL_PEERCRED)."""
    if sys.platform == "darwin":
        return int(struct.unpack("2I", connection.getsockopt(0, 1, 8))[1])
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])


async def ask(path: Path, verb: str, **arguments: Any) -> dict[str, Any]:
    """Ask a running core; its answer, or ``{"error": sentence}``.

    Raises:
        OSError: nobody listens there.
    """
    reader, writer = await asyncio.open_unix_connection(path, limit=LINE_LIMIT_BYTES)
    try:
        writer.write(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
        await writer.drain()
        answer: dict[str, Any] = json.loads(await reader.readline() or b'{"error": "core closed the connection"}')
        return answer
    finally:
        writer.close()
        await writer.wait_closed()


async def ask_node(home: Path, verb: str, **arguments: Any) -> dict[str, Any]:
    """Ask the core that serves ``home``, for a person's command; its answer, or ``{"error": sentence}``.

    Raises:
        CommandFailedError: no node runs there, or whoever typed the command may not ask it.
    """
    try:
        return await ask(Paths(home).socket("control"), verb, **arguments)
    except PermissionError as error:
        raise CommandFailedError(NEEDS_SUDO) from error
    except OSError as error:
        raise CommandFailedError(f"No node is running on {home}.", Exit.NOT_RUNNING) from error
