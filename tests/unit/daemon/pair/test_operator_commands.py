"""The operator's commands, over the real socket: what is said, what must be typed, and what is ordered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.api.admin_cluster import Preview
from appliance.cluster.errors import NO_HANDOVER
from appliance.cluster.events import PROMPTS, in_words
from appliance.cluster.model import ClusterStatus, Drill, Event, Position, Role
from appliance.cluster.reasons import reason, refusal
from appliance.config import Paths
from appliance.daemon.control import ControlSocket
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.pair import operator_commands as commands

AT = "2026-11-20T22:14:03.120Z"
DONE = Drill(AT, 0.62, ok=True, by="ana.ti", before="mac-a", after="mac-b")


def pair(**what: Any) -> ClusterStatus:
    known: dict[str, Any] = {
        "node": "mac-a", "peer": "mac-b", "role": Role.PRIMARY, "mode": "paired", "epoch": 3, "leader": "mac-a",
        "leader_since": AT, "own": Position(3, 9), "peer_held": Position(3, 9), "lag_txids": 0, "lag_s": 0.02,
        "in_sync": "mac-b", "unreplicated_rows": 0, "voters": (3, 3), "vip": True, "last_drill": None,
    }  # fmt: skip
    return ClusterStatus(**{**known, **what})


def report(name: str, drill: str = "failover") -> dict[str, str]:
    return {"id": name, "drill": drill, "outcome": "passed"}


@dataclass
class Core:
    """A node's side of the socket. Each look takes the next of ``looks``; the last one stays."""

    looks: list[ClusterStatus] = field(default_factory=lambda: [pair()])
    preview: Preview = field(default_factory=lambda: Preview(action="handover", sentence_pt="pt.", sentence_en="en."))
    ordered: list[tuple[str, str]] = field(default_factory=list)
    refuses: bool = False
    histories: list[list[dict[str, str]]] = field(default_factory=lambda: [[]])

    async def on_history(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"history": self.histories.pop(0) if len(self.histories) > 1 else self.histories[0]}

    async def on_status(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        now = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {"status": msgspec.to_builtins(now)}

    async def on_preview(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"preview": msgspec.to_builtins(self.preview)}

    async def on_act(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.refuses:
            raise refusal(NO_HANDOVER, reason("away", node="mac-b"))
        self.ordered.append((str(request["action"]), str(request["typed"])))
        return {"begun": request["action"]}


@dataclass
class Terminal:
    """What was said, what was asked, and what the person types."""

    types: str = "yes"
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def prompt(self, question: str) -> str:
        self.asked.append(question)
        return self.types


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    core = Core()
    verbs = {
        "cluster.status": core.on_status, "cluster.preview": core.on_preview, "cluster.act": core.on_act,
        "drill.history": core.on_history,
    }  # fmt: skip
    socket = ControlSocket(Paths(tmp_path).socket("control"), verbs)
    await socket.start()
    yield core
    await socket.stop()


async def test_without_a_node_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="No node is running") as caught:
        await commands.status(tmp_path)
    assert caught.value.code is Exit.NOT_RUNNING


async def test_a_node_alone_is_no_part_of_a_pair(tmp_path: Path) -> None:
    socket = ControlSocket(Paths(tmp_path).socket("control"), {})
    await socket.start()
    try:
        with pytest.raises(CommandFailedError, match="works alone"):
            await commands.status(tmp_path)
    finally:
        await socket.stop()


async def test_the_status_comes_over_the_socket_as_it_is(tmp_path: Path, core: Core) -> None:
    core.looks = [pair(in_sync=None, reason=reason("away", node="mac-b", since=AT), drill=DONE)]
    assert await commands.status(tmp_path) == core.looks[0]


def test_a_healthy_pair_in_one_glance() -> None:
    told = commands.described(pair(drill=DONE, events=(Event(AT, "mac-a", "promoted", "Assumiu.", "Took over.", 3),)))
    assert f"mac-a since {AT}" in told
    assert "mac-a: primary (no comando), epoch 3" in told
    assert "paired (par completo)" in told, "what the runbooks tell a person to wait for"
    assert "may take over mac-b" in told
    assert "because" not in told
    assert "sem resposta" not in told
    assert "3 of 3" in told
    assert "DECIDE" not in told
    assert "mac-a to mac-b, nobody served for 0.62 s, asked for by ana.ti" in told
    assert f"{AT}  Assumiu.  |  Took over." in told


def test_the_standby_s_own_mode_frightens_nobody() -> None:
    told = commands.described(pair(node="mac-b", peer="mac-a", role=Role.STANDBY, mode="read-only"))
    assert "mac-b: standby (reserva)" in told
    assert "read-only (somente leitura) here; see it on mac-a | aqui; veja em mac-a" in told


def test_a_voter_that_is_missing_is_named() -> None:
    told = commands.described(pair(voters=(2, 3), silent_voters=("10.0.0.13:2379",)))
    assert "voters        2 of 3" in told
    assert "no answer | sem resposta: 10.0.0.13:2379" in told


def test_a_pair_that_is_not_complete_says_why_and_since_when() -> None:
    why = reason("disk_full", node="mac-b", since=AT)
    told = commands.described(pair(mode="degraded", in_sync=None, reason=why, lag_s=None, lag_txids=None, vip=None))
    assert "may take over nobody" in told
    line = next(line for line in told.splitlines() if line.startswith("because"))
    assert "disk_full: o disco de mac-b está cheio  |  mac-b's disk is full" in line
    assert AT in line
    assert "? transactions, ? s" in told
    assert "unknown or not used" in told


@pytest.mark.parametrize("code", sorted(PROMPTS))
def test_a_question_is_put_in_both_languages(code: str) -> None:
    pt, en = in_words(code, "mac-a", "mac-b")
    told = commands.described(
        pair(leader=None, leader_since=None, prompt=code, prompt_pt=pt, prompt_en=en, voters=(2, 2))
    )
    assert "NOBODY" in told
    assert "no automatic takeover" in told
    assert f"DECIDE        {code}" in told
    assert pt in told
    assert en in told


def test_a_drill_that_failed_or_never_was() -> None:
    assert "last drill    never" in commands.described(pair())
    assert "FAILED" in commands.described(pair(drill=Drill(AT, 60.0, ok=False, by="ana")))


async def test_nothing_is_ordered_before_it_was_confirmed(tmp_path: Path, core: Core) -> None:
    terminal = Terminal(types="no")
    with pytest.raises(CommandFailedError, match="Not confirmed"):
        await commands.act(tmp_path, "handover", typed=None, say=terminal.said.append, prompt=terminal.prompt)
    assert core.ordered == []
    assert terminal.said == ["pt.", "en."]
    assert terminal.asked == ["Type yes to go on"]
    terminal.types = "yes"
    await commands.act(tmp_path, "handover", typed=None, say=terminal.said.append, prompt=terminal.prompt)
    assert core.ordered == [("handover", "")]


async def test_where_data_is_at_stake_the_phrase_travels_with_the_order(tmp_path: Path, core: Core) -> None:
    core.preview = Preview(action="promote", sentence_pt="pt.", sentence_en="en.", phrase="mac-a")
    terminal = Terminal(types="yes")
    with pytest.raises(CommandFailedError, match="Not confirmed"):
        await commands.act(tmp_path, "promote", typed=None, say=terminal.said.append, prompt=terminal.prompt)
    terminal.types = "mac-a"
    await commands.act(tmp_path, "promote", typed=None, say=terminal.said.append, prompt=terminal.prompt)
    assert core.ordered == [("promote", "mac-a")]
    asked = len(terminal.asked)
    await commands.act(tmp_path, "promote", typed="mac-x", say=terminal.said.append, prompt=terminal.prompt)
    assert core.ordered[-1] == ("promote", "mac-x"), "a script's word goes to core, which judges it"
    assert len(terminal.asked) == asked


async def test_what_can_not_be_done_now_asks_for_nothing(tmp_path: Path, core: Core) -> None:
    core.preview = Preview(action="handover", sentence_pt="pt.", sentence_en="en.", refused="mac-b is not in sync")
    terminal = Terminal()
    with pytest.raises(CommandFailedError, match="Not now: mac-b is not in sync"):
        await commands.act(tmp_path, "handover", typed="yes", say=terminal.said.append, prompt=terminal.prompt)
    assert (core.ordered, terminal.asked) == ([], [])


async def test_a_refusal_by_core_is_the_command_s_own(tmp_path: Path, core: Core) -> None:
    core.refuses = True
    with pytest.raises(CommandFailedError, match="mac-b does not answer"):
        await commands.act(tmp_path, "handover", typed="yes", say=Terminal().said.append, prompt=Terminal().prompt)


async def test_a_drill_is_watched_to_its_end(tmp_path: Path, core: Core) -> None:
    waits = Event("2026-11-20T22:15:00.000Z", "mac-a", "drill_postponed", "Espera.", "It waits.", 3)
    core.looks = [pair(), pair(), pair(events=(waits,)), pair(events=(waits,)), pair(events=(waits,), drill=DONE)]
    old, other = report("failover-1"), report("health-2", drill="health")
    core.histories = [[old], [other, old], [report("failover-3"), other, old]]
    terminal = Terminal()
    assert await commands.drill(tmp_path, say=terminal.said.append) == 0.62
    assert terminal.said == [
        "Espera.",
        "It waits.",
        "mac-a handed over; nobody served for 0.62 s.",
        "Relatório assinado (passed): prontuario drill report failover-3 --to ARQUIVO.pdf",
        "Signed report (passed): prontuario drill report failover-3 --to FILE.pdf",
    ]
    assert core.ordered == [("drill", "")]


async def test_a_report_that_takes_too_long_is_looked_for_later(
    tmp_path: Path, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "REPORT_LIMIT_S", 0.0)
    core.looks, terminal = [pair(), pair(drill=DONE)], Terminal()
    assert await commands.drill(tmp_path, say=terminal.said.append) == 0.62
    assert terminal.said[-1] == "The report is not ready yet: prontuario drill history."


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ({"drill": Drill("2026-11-20T23:00:00.000Z", 60.0, ok=False)}, "Nobody took over"),
        ({"events": (Event(AT, "mac-a", "drill_given_up", "Não.", "No.", 3),)}, "There was no drill"),
    ],
)
async def test_a_drill_that_does_not_succeed_is_a_failure(
    tmp_path: Path, core: Core, last: dict[str, Any], told: str
) -> None:
    core.looks = [pair(), pair(**last)]
    with pytest.raises(CommandFailedError, match=told):
        await commands.drill(tmp_path, say=Terminal().said.append)


def test_the_review_queue_names_places_and_never_contents() -> None:
    row = {"table": "care_note", "key": {"id": "n1"}, "kind": "added", "old": {"text": "febre alta"}, "fence": None}
    queued = {"id": "f" * 64, "node": "mac-b", "epoch": 3, "row": row, "found_at": AT}
    lines = commands.divergence_lines({"count": 2, "subjects": {"clinical": 1, "audit": 1}, "rows": [queued]})
    assert lines == [
        "2 rows wait for review.",
        "  1 de pacientes  |  about patients",
        "  1 de auditoria  |  of the audit trail",
        f"{'f' * 16}  {AT}  mac-b  care_note  added",
    ]
    assert commands.divergence_lines({"count": 0, "subjects": {}, "rows": []}) == ["0 rows wait for review."]
