"""Waiting until this machine's node says that it is ready, as a phone would ask it."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import time
from pathlib import Path
from typing import Final

from appliance.daemon.setup.context import Context
from appliance.daemon.setup.errors import NOT_READY

POLL_S: Final = 0.5
ANSWER_WITHIN_S: Final = 5.0
_SAID: Final = 200
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what is listened on, and where it is asked then


async def until_ready(ctx: Context, within_s: float) -> None:
    """Return once ``/health/ready`` says so: a standby, or a node without its second one, is ready.

    Raises:
        ProntuarioError: ``setup.not_ready`` 503 with the last thing that was heard.
    """
    api = ctx.config().api
    host, port = _EVERYWHERE.get(api.host, api.host), ctx.machine.api_port or api.port
    give_up = time.monotonic() + within_s
    while (heard := await asyncio.to_thread(hindrance, host, port, ctx.paths.ca)) is not None:
        if time.monotonic() >= give_up:
            raise NOT_READY(reason=heard)
        await asyncio.sleep(POLL_S)


def hindrance(host: str, port: int, authority: Path) -> str | None:
    """Why the node is not ready; None when it is. Blocks for some seconds at most."""
    try:
        context = ssl.create_default_context(cafile=str(authority))
        context.check_hostname = False  # asked by address; who answers must hold a certificate of our own authority
        line = http.client.HTTPSConnection(host, port, timeout=ANSWER_WITHIN_S, context=context)
        try:
            line.request("GET", "/health/ready", headers={"Accept": "application/json"})
            answer = line.getresponse()
            body = answer.read()
        finally:
            line.close()
    except (OSError, http.client.HTTPException) as error:
        return f"{host}:{port}: {type(error).__name__}"
    return None if answer.status == http.client.OK else f"{answer.status} {body[:_SAID].decode(errors='replace')}"
