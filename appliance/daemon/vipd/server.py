"""vipd's Unix socket: one JSON line in, one out; who is asking is told by the kernel, not by the message."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from appliance.cluster.vip_errors import BAD_REQUEST, FORBIDDEN_USER, UNSAFE_FOLDER
from appliance.cluster.vip_messages import LINE_LIMIT_BYTES, VipAnswer, VipRequest
from appliance.daemon.control import peer_uid
from appliance.telemetry.logs import get_logger

log = get_logger("vipd")
IDLE_LIMIT_S: Final = 60.0
MAX_CONNECTIONS: Final = 16


def listen(path: Path, client_uids: tuple[int, ...]) -> socket.socket:
    """A bound socket that only its owner may open; the first of ``client_uids`` that is not us becomes the owner.

    Raises:
        ProntuarioError: ``cluster.vip_unsafe_folder``: somebody else could put a socket of his own in its place.
        OSError: the folder can't be made or written.
    """
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    facts = folder.stat()
    if facts.st_uid != os.geteuid() or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UNSAFE_FOLDER(folder=str(folder))
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    for uid in client_uids:
        if uid != os.geteuid():
            os.chown(path, uid, -1)
            break
    return listener


class VipServer:
    """Serves ``handle`` on ``listener``."""

    def __init__(
        self,
        listener: socket.socket,
        client_uids: tuple[int, ...],
        handle: Callable[[VipRequest], VipAnswer],
        refuse: Callable[[str], VipAnswer],
    ) -> None:
        self._listener = listener
        self._uids = {*client_uids, os.geteuid()}
        self._handle = handle
        self._refuse = refuse
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, sock=self._listener, limit=LINE_LIMIT_BYTES)

    async def stop(self) -> None:
        """Take no more connections. Those that are open end with the process."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            allowed = peer_uid(writer.get_extra_info("socket")) in self._uids
            while self._open <= MAX_CONNECTIONS and (line := await asyncio.wait_for(reader.readline(), IDLE_LIMIT_S)):
                if not allowed:
                    log.warning("somebody without the right asked for the address")
                    await _say(writer, self._refuse(FORBIDDEN_USER.code))
                    break
                await _say(writer, self._answer(line))
        except (TimeoutError, ConnectionError, ValueError):
            pass  # ValueError: a line beyond the limit
        finally:
            self._open -= 1
            writer.close()

    def _answer(self, line: bytes) -> VipAnswer:
        try:
            request = msgspec.json.decode(line, type=VipRequest)
        except msgspec.MsgspecError:
            return self._refuse(BAD_REQUEST.code)
        return self._handle(request)


async def _say(writer: asyncio.StreamWriter, answer: VipAnswer) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    await writer.drain()
