"""``answer SECRETS "" PORT``: a peer server. ``ask SECRETS host,host PORT``: a link that asks it, and tells how it went.

One JSON line a question: whether it was answered, by which address the link stands, how many were asked and failed so far.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from appliance.cluster.model import Position
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_messages import AskHeld, Held
from appliance.cluster.peer_server import PeerServer
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.node_authority import client_side, node_files, server_side
from appliance.telemetry.logs import configure


async def held(question: AskHeld) -> Held:
    """Answers with the question's own epoch."""
    return Held(Position(question.epoch, 1))


async def answer(secrets: Path, port: int) -> None:
    """Serve on every interface until killed."""
    server = PeerServer("", port, server_side(node_files(secrets, "b")), {AskHeld: held})
    await server.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


async def ask(secrets: Path, hosts: str, port: int) -> None:
    """Ask again and again until killed."""
    cable, lan = hosts.split(",")
    link = PeerLink(cable, port, client_side(node_files(secrets, "a")), name="b", other_way=lan)
    link.start()
    asked = failed = 0
    while True:
        asked += 1
        try:
            await link.ask(AskHeld(asked), Held, deadline_s=5.0)
        except ProntuarioError:
            failed += 1
            ok = False
        else:
            ok = True
        print(json.dumps({"ok": ok, "way": link.way, "asked": asked, "failed": failed}), flush=True)
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    mode, folder, where, on = sys.argv[1:]
    configure(level="info", file=None)
    asyncio.run(answer(Path(folder), int(on)) if mode == "answer" else ask(Path(folder), where, int(on)))
