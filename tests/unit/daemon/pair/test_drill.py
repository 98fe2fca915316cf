"""Drills over two real role loops and three real voters: measured, kept, told on both sides, and polite to consults."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from appliance.care.under_way import SILENT_AFTER, consults_under_way
from appliance.cluster import operator
from appliance.cluster.model import Drill, Role
from appliance.config.model import Store as StoreConfig
from appliance.daemon.pair import drill as drilling
from appliance.daemon.pair.drill import Drills, Gap, as_event
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.security import audit
from appliance.store.database import Database
from appliance.telemetry.clock import SystemClock, instant
from tests.cluster.roles.test_loop import Both, Side, name_b_in_sync, until
from tests.cluster.roles.test_loop import pair as pair  # noqa: PLC0414  a fixture

pytestmark = [
    pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd-server is not installed"),
    pytest.mark.timeout(300),
]
OUTAGE_S = 0.42


class ToldGap(Gap):
    """A stop-watch for role loops that have no doors: ends when ``side`` leads, and says a figure of its own."""

    def __init__(self, side: Side) -> None:
        super().__init__((), ssl.create_default_context())
        self._side = side

    async def until_after(self, epoch: int) -> None:
        await until(lambda: self._side.loop.role is Role.PRIMARY and self._side.loop.epoch > epoch)
        self.longest_s = OUTAGE_S


@dataclass
class Rehearsal:
    pair: Both
    database: Database
    a: Drills
    b: Drills

    def seen_by(self, side: Side) -> list[str]:
        return [event.kind for event in operator.status(side.loop).events if event.kind.startswith("drill")]

    def check(self) -> None:
        self.a.check(operator.status(self.pair.a.loop))


@pytest.fixture
async def rehearsal(pair: Both, tmp_path: Path) -> AsyncIterator[Rehearsal]:
    """Node a leads and b is in sync; both speak to one record, as the one that leads would."""
    await name_b_in_sync(pair)
    async with await Database.open(tmp_path / "r.sqlite", StoreConfig(litestream=False)) as database:
        one, other = (Drills(side.loop, database, SystemClock(), lambda: ToldGap(pair.b)) for side in (pair.a, pair.b))
        await one.start()
        await other.start()
        await until(lambda: operator.status(pair.a.loop).in_sync == "b")
        yield Rehearsal(pair, database, one, other)
        await one.close()
        await other.close()


def dictation(state: str, changed_at: str, name: str = "d1") -> str:
    return (
        "INSERT INTO care_dictation (id, patient_id, encounter_id, author, author_name, device_id, key_id, language, media_type,"
        f" state, opened_at, changed_at) VALUES ('{name}', 'p', 'e', 'u', 'U', 'd', 'k', 'pt', 'audio/wav', '{state}',"
        f" '{changed_at}', '{changed_at}')"
    )


def refused_where_it_makes_no_sense(rehearsal: Rehearsal) -> None:
    status = operator.status(rehearsal.pair.a.loop)
    assert rehearsal.a.refusal(status) is None
    for changed, wanted in (
        ({"leader": None}, "nobody_leads"),
        ({"leader": "b"}, "not_leading_here"),
        ({"mode": "degraded"}, "out_of_sync"),
        ({"in_sync": None}, "out_of_sync"),
    ):
        refused = rehearsal.a.refusal(msgspec.structs.replace(status, **changed))
        assert refused is not None
        assert refused.code == wanted


async def test_a_drill_is_measured_kept_told_on_both_sides_and_audited(rehearsal: Rehearsal) -> None:
    refused_where_it_makes_no_sense(rehearsal)
    rehearsal.check()
    rehearsal.a.begin("ana.ti")
    await until(lambda: rehearsal.seen_by(rehearsal.pair.a) == rehearsal.seen_by(rehearsal.pair.b) == ["drill"])
    drill = operator.status(rehearsal.pair.b.loop).drill
    assert drill is not None
    assert (drill.outage_s, drill.ok, drill.by, drill.before, drill.after) == (OUTAGE_S, True, "ana.ti", "a", "b")
    assert operator.status(rehearsal.pair.a.loop).last_drill == drill.at
    told = operator.status(rehearsal.pair.b.loop).events[-1]
    assert "0,42 s" in told.sentence_pt
    assert "ana.ti" in told.sentence_en
    await asyncio.sleep(3 * drilling.NEWS_S)
    assert rehearsal.seen_by(rehearsal.pair.a) == ["drill"]  # told once
    rows = await rehearsal.database.read(audit.read_events)
    assert {(row.event.action, row.event.detail_code) for row in rows} == {("cluster drill ended", "a-b-420ms")}


async def test_a_person_s_order_is_the_whole_rehearsal(rehearsal: Rehearsal) -> None:
    """One that fails before the handover is told; then one within which the handover is carried out and measured."""
    made: list[Drill] = []

    async def fail(_by: str) -> None:
        """The record could not be written."""

    async def rehearse(by: str) -> None:
        made.append(await rehearsal.a.carry_out(by))

    rehearsal.a.rehearse = fail
    rehearsal.a.begin("ana.ti")
    await until(lambda: rehearsal.seen_by(rehearsal.pair.a) == ["drill_given_up"])
    told = [
        event.sentence_en for event in operator.status(rehearsal.pair.a.loop).events if event.kind == "drill_given_up"
    ]
    assert told == ["The drill failed before the handover: read its report."]
    rehearsal.a.rehearse = rehearse
    rehearsal.check()
    rehearsal.a.begin("ana.ti")
    await until(lambda: rehearsal.seen_by(rehearsal.pair.a) == ["drill_given_up", "drill"])
    await until(lambda: rehearsal.a._drill is not None and rehearsal.a._drill.done())
    assert [(one.outage_s, one.ok, one.by) for one in made] == [(OUTAGE_S, True, "ana.ti")]


async def test_a_drill_waits_for_a_consult_and_says_so(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drilling, "LOOK_S", 0.05)
    now = instant(datetime.now(UTC))
    await rehearsal.database.write(lambda tx: tx.execute(dictation("open", now)))
    rehearsal.a.begin("ana.ti")
    await until(lambda: rehearsal.seen_by(rehearsal.pair.a) == ["drill_postponed"])
    with pytest.raises(ProntuarioError, match=r"cluster\.no_drill.*waits for a consult"):
        rehearsal.check()
    await asyncio.sleep(0.3)
    assert rehearsal.pair.a.loop.role is Role.PRIMARY
    await rehearsal.database.write(lambda tx: tx.execute("UPDATE care_dictation SET state = 'complete'"))
    await until(lambda: rehearsal.seen_by(rehearsal.pair.a)[-1] == "drill")
    assert rehearsal.pair.b.loop.role is Role.PRIMARY


async def test_a_drill_is_given_up_when_the_consults_never_end(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drilling, "PATIENCE_S", 0.0)
    now = instant(datetime.now(UTC))
    await rehearsal.database.write(lambda tx: tx.execute(dictation("open", now)))
    rehearsal.a.begin("ana.ti")
    await until(lambda: rehearsal.seen_by(rehearsal.pair.a) == ["drill_postponed", "drill_given_up"])
    assert rehearsal.pair.a.loop.role is Role.PRIMARY
    await until(lambda: rehearsal.a.refusal(operator.status(rehearsal.pair.a.loop)) is None)


async def test_a_handover_that_nobody_ends_is_a_failed_drill(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drilling, "LIMIT_S", 0.5)
    rehearsal.pair.b.hands.failing.add("open")
    rehearsal.a.begin("ana.ti")
    await until(lambda: "drill_failed" in rehearsal.seen_by(rehearsal.pair.a))
    drill = operator.status(rehearsal.pair.a.loop).drill
    assert drill is not None
    assert (drill.ok, drill.after) == (False, "")
    rehearsal.pair.b.hands.failing.clear()


async def test_only_recordings_that_are_open_and_alive_count(tmp_path: Path) -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    just, long_ago = instant(now - timedelta(seconds=5)), instant(now - SILENT_AFTER - timedelta(seconds=5))

    def fill(tx: Transaction) -> None:
        for name, state, at in (
            ("alive", "open", just),
            ("forgotten", "open", long_ago),
            ("ended", "complete", just),
            ("drafted", "drafted", just),
        ):
            tx.execute(dictation(state, at, name))

    async with await Database.open(tmp_path / "r.sqlite", StoreConfig(litestream=False)) as database:
        assert await database.read(lambda q: consults_under_way(q, now)) == 0
        await database.write(fill)
        assert await database.read(lambda q: consults_under_way(q, now)) == 1


def test_words_for_a_drill_that_nobody_signed() -> None:
    event = as_event(Drill("2026-03-02T12:00:00.000Z", 1.5, ok=True, before="a", after="b"), 4)
    assert event.sentence_pt == "Simulado: b assumiu no lugar de a; ninguém atendeu por 1,50 s."
    failed = as_event(Drill("2026-03-02T12:00:00.000Z", 60.0, ok=False, by="rui", before="a"), 4)
    assert failed.sentence_en == "The drill (asked for by rui) failed: nobody took over from a."
