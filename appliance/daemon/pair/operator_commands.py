"""``prontuario cluster status|handover|promote|mark-lost|drill|divergences``, behind the command line."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from appliance.api.admin_cluster import Preview
from appliance.cluster.model import ClusterStatus, Event
from appliance.config import Paths, load_config
from appliance.config.model import Config
from appliance.daemon.control import ask
from appliance.daemon.exits import CommandFailedError, Exit

Say = Callable[[str], None]
Ask = Callable[[str], str]
DRILL_LIMIT_S: Final = 60.0
_POLL_S: Final = 0.02
_SHOWN_EVENTS: Final = 10


async def verb(home: Path, name: str, **arguments: Any) -> dict[str, Any]:
    """A running core's answer.

    Raises:
        CommandFailedError: no node runs there, it is no part of a pair, or it refused.
    """
    try:
        answer = await ask(Paths(home).socket("control"), name, **arguments)
    except OSError as error:
        raise CommandFailedError(f"No node is running on {home}.", Exit.NOT_RUNNING) from error
    if "error" in answer:
        alone = "unknown verb" in str(answer["error"])
        raise CommandFailedError(
            "This node works alone; see prontuario cluster init." if alone else str(answer["error"])
        )
    return answer


async def status(home: Path) -> ClusterStatus:
    """How the pair stands, from the node on ``home``. Raises as ``verb``."""
    return msgspec.convert((await verb(home, "cluster.status"))["status"], ClusterStatus)


def described(status: ClusterStatus) -> str:
    """For a person, in one glance."""
    healthy, voters = status.voters
    lines = [
        f"leader        {status.leader or 'NOBODY'}{f' since {status.leader_since}' if status.leader_since else ''}",
        f"this node     {status.node}: {status.role.value}, mode {status.mode}, epoch {status.epoch}",
        f"may take over {status.in_sync or 'nobody'}",
        f"lag           {_known(status.lag_txids)} transactions, {_known(status.lag_s)} s",
        f"alone         {status.unreplicated_rows} changes not on the other node",
        f"voters        {healthy} of {voters}{'' if voters > 2 else ': no automatic takeover'}",  # noqa: PLR2004  DESIGN §4
        f"virtual IP    {_address(status.vip)}",
        f"last drill    {status.last_drill or 'never'}",
    ]
    if status.prompt:
        lines.append(f"DECIDE        {status.prompt}: see docs/runbooks")
    return "\n".join([*lines, "", *(_line(event) for event in status.events[-_SHOWN_EVENTS:])])


async def act(home: Path, action: str, *, typed: str | None, say: Say, prompt: Ask) -> None:
    """Say what ``action`` would do, have it confirmed by typing where data is at stake, and order it.

    Raises:
        CommandFailedError: it can't be done now, or was not confirmed.
    """
    preview = msgspec.convert((await verb(home, "cluster.preview", action=action))["preview"], Preview)
    say(preview.sentence_pt)
    say(preview.sentence_en)
    if preview.refused:
        raise CommandFailedError(f"Not now: {preview.refused}.")
    if typed is None:
        wanted = preview.phrase or "yes"
        typed = prompt(f"Type {wanted} to go on")
        if typed != wanted:
            raise CommandFailedError("Not confirmed; nothing was done.")
    await verb(home, "cluster.act", action=action, typed=typed if preview.phrase else "")
    say("Ordered. See: prontuario cluster status")


async def drill(home: Path, *, say: Say) -> float:
    """A planned handover with a stop-watch: the longest time during which neither node said that it is the primary; seconds.

    Run on either node. Nobody is handed back to.

    Raises:
        CommandFailedError: nobody may take over, or nobody did within ``DRILL_LIMIT_S``.
    """
    before = await status(home)
    if before.leader is None or before.in_sync is None:
        raise CommandFailedError("Nobody may take over now; see prontuario cluster status.")
    paths = Paths(home)
    watch = asyncio.create_task(_longest_gap(paths, load_config(paths.config), before.epoch), name="drill")
    await verb(home, "cluster.act", action="handover", typed="")
    try:
        outage_s = await watch
    except TimeoutError:
        await verb(home, "cluster.drilled", outage_s=DRILL_LIMIT_S, ok=False)
        raise CommandFailedError("Nobody took over; see prontuario cluster status.") from None
    await verb(home, "cluster.drilled", outage_s=outage_s, ok=True)
    say(f"{before.leader} handed over; nobody served for {outage_s:.2f} s.")
    return outage_s


async def _longest_gap(paths: Paths, config: Config, epoch: int) -> float:
    """Until a primary of a later epoch answers."""
    local = config.api.host in {"127.0.0.1", "0.0.0.0"}  # noqa: S104  compared, not bound
    own = f"{'localhost' if local else config.api.host}:{config.api.port}"
    seen = time.monotonic()
    gap = 0.0
    async with (
        httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(paths.ca)), timeout=1.0) as client,
        asyncio.timeout(DRILL_LIMIT_S),
    ):
        while True:
            for address in (own, config.cluster.peer_api):
                served = await _epoch_served(client, address)
                if served is None:
                    continue
                now = time.monotonic()
                gap, seen = max(gap, now - seen), now
                if served > epoch:
                    return gap
            await asyncio.sleep(_POLL_S)


async def _epoch_served(client: httpx.AsyncClient, address: str) -> int | None:
    try:
        answer = await client.get(f"https://{address}/health/primary")
    except httpx.HTTPError:
        return None
    return int(answer.headers.get("prontuario-epoch", "0")) if answer.status_code == httpx.codes.OK else None


def _known(figure: float | None) -> str:
    return "?" if figure is None else f"{figure:g}"


def _address(vip: bool | None) -> str:
    return {None: "unknown or not used", True: "here", False: "not here"}[vip]


def _line(event: Event) -> str:
    return f"{event.at}  {event.sentence_pt}  |  {event.sentence_en}"


def divergence_lines(answer: Mapping[str, Any]) -> list[str]:
    """The review queue for a person: ids and places, never contents (a terminal keeps what scrolled by)."""
    rows = [
        f"{row['id'][:16]}  {row['found_at']}  {row['node']}  {row['row']['table']}  {row['row']['kind']}"
        for row in answer["rows"]
    ]
    return [f"{answer['count']} rows wait for review.", *rows]
