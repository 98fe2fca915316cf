"""``prontuario cluster status|handover|promote|mark-lost|drill|divergences``, behind the command line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.api.admin_cluster import Preview
from appliance.cluster.model import ClusterStatus, Drill, Event, Mode, Role
from appliance.cluster.reasons import Reason
from appliance.cluster.review_order import WORDS, Subject
from appliance.daemon.control import ask_node
from appliance.daemon.exits import CommandFailedError
from appliance.operations.drills.failover import FAILOVER

Say = Callable[[str], None]
Ask = Callable[[str], str]
_POLL_S: Final = 0.25
REPORT_LIMIT_S: Final = 120.0
"""The node that took over is asked for every write before the report is signed."""
_SHOWN_EVENTS: Final = 10
_MODES: Final[Mapping[Mode, str]] = {
    "single": "um só Mac", "paired": "par completo", "degraded": "degradado", "read-only": "somente leitura",
}  # fmt: skip
_ROLES: Final = {
    Role.INIT: "iniciando", Role.STANDBY: "reserva", Role.CANDIDATE: "assumindo", Role.PRIMARY: "no comando",
    Role.DRAINING: "entregando o comando", Role.FENCED: "isolado",
}  # fmt: skip
"""The words of the runbooks and of the dashboard."""


async def verb(home: Path, name: str, **arguments: Any) -> dict[str, Any]:
    """A running core's answer.

    Raises:
        CommandFailedError: no node runs there, it is no part of a pair, or it refused.
    """
    answer = await ask_node(home, name, **arguments)
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
        f"this node     {status.node}: {status.role.value} ({_ROLES[status.role]}), epoch {status.epoch}",
        f"mode          {status.mode} ({_MODES[status.mode]}){_whose_mode(status)}",
        f"may take over {status.in_sync or 'nobody'}",
        *([f"because       {_why(status.reason)}"] if status.reason else []),
        f"lag           {_known(status.lag_txids)} transactions, {_known(status.lag_s)} s",
        f"alone         {status.unreplicated_rows} changes not on the other node",
        f"voters        {healthy} of {voters}{'' if voters > 2 else ': no automatic takeover'}",  # noqa: PLR2004  DESIGN §4
        *([f"              no answer | sem resposta: {silent}"] if (silent := ", ".join(status.silent_voters)) else []),
        f"virtual IP    {_address(status.vip)}",
        f"last drill    {_drill(status.drill)}",
        *([f"computes      {status.computes.en}"] if status.computes else []),
    ]
    if status.prompt:
        lines += [
            f"DECIDE        {status.prompt}: see docs/runbooks",
            f"              {status.prompt_pt}  |  {status.prompt_en}",
        ]
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
    """A planned handover with a stop-watch, carried out by the node that leads: run it there; the outage in seconds.

    Nobody is handed back to. It waits while somebody dictates; who stops waiting here does not stop the drill. It leaves a
    signed report, as the weekly one does, and says which.

    Raises:
        CommandFailedError: it can't be made now, was given up, or nobody took over.
    """
    before, reports = await status(home), await _reports(home)
    known = {event.at for event in before.events}
    await verb(home, "cluster.act", action="drill", typed="")
    while True:
        await asyncio.sleep(_POLL_S)
        now = await status(home)
        for event in now.events:
            if event.at not in known and event.kind in {"drill_postponed", "drill_given_up"}:
                known.add(event.at)
                say(event.sentence_pt)
                say(event.sentence_en)
                if event.kind == "drill_given_up":
                    raise CommandFailedError("There was no drill.")
        if now.drill is not None and now.drill != before.drill:
            break
    if not now.drill.ok:
        raise CommandFailedError("Nobody took over; see prontuario cluster status.")
    say(f"{now.drill.before} handed over; nobody served for {now.drill.outage_s:.2f} s.")
    await _tell_report(home, reports, say)
    return now.drill.outage_s


async def _reports(home: Path) -> dict[str, str]:
    """Outcomes of the handovers that this node has reports of, by report."""
    history = (await verb(home, "drill.history"))["history"]
    return {str(one["id"]): str(one["outcome"]) for one in history if one["drill"] == FAILOVER}


async def _tell_report(home: Path, before: Mapping[str, str], say: Say) -> None:
    ends = time.monotonic() + REPORT_LIMIT_S
    while time.monotonic() < ends:
        made = {name: outcome for name, outcome in (await _reports(home)).items() if name not in before}
        for name, outcome in made.items():
            say(f"Relatório assinado ({outcome}): prontuario drill report {name} --to ARQUIVO.pdf")
            say(f"Signed report ({outcome}): prontuario drill report {name} --to FILE.pdf")
        if made:
            return
        await asyncio.sleep(_POLL_S)
    say("O relatório ainda não está pronto: prontuario drill history.")
    say("The report is not ready yet: prontuario drill history.")


def _whose_mode(status: ClusterStatus) -> str:
    """Who does not lead writes nothing, also where all is well: the pair's mode is the leader's."""
    led = status.leader is not None and status.leader != status.node
    return f" here; see it on {status.leader} | aqui; veja em {status.leader}" if led else ""


def _known(figure: float | None) -> str:
    return "?" if figure is None else f"{figure:g}"


def _why(why: Reason) -> str:
    since = f" (desde | since {why.since})" if why.since else ""
    return f"{why.code}: {why.pt}  |  {why.en}{since}"


def _drill(drill: Drill | None) -> str:
    if drill is None:
        return "never"
    how = f"{drill.before} to {drill.after}, nobody served for {drill.outage_s:.2f} s" if drill.ok else "FAILED"
    return f"{drill.at}, {how}{f', asked for by {drill.by}' if drill.by else ''}"


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
    subjects = [
        f"  {count} {WORDS[Subject[name.upper()]][0]}  |  {WORDS[Subject[name.upper()]][1]}"
        for name, count in answer["subjects"].items()
    ]
    return [f"{answer['count']} rows wait for review.", *subjects, *rows]
