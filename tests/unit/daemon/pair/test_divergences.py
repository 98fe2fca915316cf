"""A returning old primary's rows reach the review queue however late, over breaks and restarts, and its database stays."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec
import pytest

from appliance.cluster.divergence import DivergentRow, from_report
from appliance.cluster.model import NOTHING, Position
from appliance.cluster.replication_errors import PEER_AWAY
from appliance.config import Paths
from appliance.config.model import Store as StoreConfig
from appliance.daemon.pair import divergences, fence_image
from appliance.daemon.pair.divergences import Comparison, Report
from appliance.daemon.pair.neighbour import Neighbour, Service
from appliance.plugin_api.storage import Transaction
from appliance.store.database import Database
from tests.unit.daemon.pair.leader import EPOCH, THING, Leader, make_leader, put

NEW_EPOCH = EPOCH + 1
PATIENCE_S = 60.0


class Receiving:
    """The returning node's receiver: of the new epoch it holds only what was joined into larger files, or nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.epoch = NEW_EPOCH
        self.position = Position(NEW_EPOCH, 7)


class Link:
    """Stands in for ``Neighbour``: calls go to the leader's own parts, unless it is away."""

    def __init__(self, leader: Leader, receiver: Receiving) -> None:
        self.receiver = receiver
        self.services: dict[str, Service] = {}
        self.reports: list[Report] = []
        self.away = False
        self._leader = leader

    async def call(self, service: str, verb: str, body: bytes) -> bytes:
        if self.away:
            raise PEER_AWAY(retry_after=0.1)
        if service == fence_image.SERVICE:
            return await self._leader.images.serve(verb, body)
        assert (service, verb) == (divergences.SERVICE, divergences.ADD)
        self.reports.append(msgspec.msgpack.decode(body, type=Report))
        return b""

    @property
    def rows(self) -> list[DivergentRow]:
        return [row for report in self.reports for row in from_report(report.rows)]


class Returning:
    """The node that led before: its database was set aside, with ``tail`` written beyond the fence."""

    def __init__(self, home: Path, leader: Leader) -> None:
        self.paths = Paths(home)
        self.leader = leader
        self.link = Link(leader, Receiving(self.paths.replica(NEW_EPOCH)))
        self.old = self.paths.home / "data" / "set-aside" / f"{EPOCH:08d}" / self.paths.database.name

    async def set_aside(self, tail: Callable[[Transaction], None] | None) -> None:
        self.old.parent.mkdir(parents=True)
        shutil.copy(self.leader.paths.database, self.old)
        async with await Database.open(self.old, StoreConfig(litestream=False), migrations=[THING]) as database:
            if tail is not None:
                await database.write(tail)

    def comparison(self) -> Comparison:
        return Comparison(self.paths, "a", cast("Neighbour", self.link))


@pytest.fixture
async def returning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Returning:
    monkeypatch.setattr(divergences, "_RETRY_S", 0.05)
    return Returning(tmp_path / "a", await make_leader(tmp_path / "b"))


def beyond(tx: Transaction) -> None:
    put(tx, 77)
    tx.execute("DELETE FROM thing WHERE id = 2")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():  # noqa: ASYNC110  the comparison tells nobody
            await asyncio.sleep(0.02)


def pending(returning: Returning) -> bool:
    return returning.old.with_name("comparison.json").exists()


async def test_rows_beyond_the_fence_are_reported_and_the_database_stays(returning: Returning) -> None:
    await returning.set_aside(beyond)
    returning.comparison().begin(returning.old, EPOCH, returning.leader.base)
    await until(lambda: bool(returning.link.reports) and not pending(returning))
    assert {(row.key["id"], row.kind) for row in returning.link.rows} == {(77, "added"), (2, "removed")}
    assert {(report.node, report.base) for report in returning.link.reports} == {("a", returning.leader.base)}
    assert returning.old.exists()
    assert {path.name for path in returning.old.parent.iterdir()} == {returning.old.name}


async def test_a_database_that_has_nothing_of_its_own_goes(returning: Returning) -> None:
    await returning.set_aside(None)
    returning.comparison().begin(returning.old, EPOCH, returning.leader.base)
    await until(lambda: not returning.old.parent.exists())
    assert returning.link.reports == []


async def test_what_a_restart_interrupted_is_taken_up_again(returning: Returning) -> None:
    await returning.set_aside(beyond)
    returning.link.away = True
    first = returning.comparison()
    first.begin(returning.old, EPOCH, returning.leader.base)
    await until(lambda: pending(returning))
    first.cancel()
    returning.link.away = False
    returning.link.receiver.epoch = (
        NEW_EPOCH + 2
    )  # meanwhile others led: what is received now did not begin at the fence
    returning.comparison().resume()
    await until(lambda: not pending(returning))
    assert {row.key["id"] for row in returning.link.rows} == {77, 2}


async def test_nothing_left_to_compare_is_nothing_to_do(returning: Returning) -> None:
    comparison = returning.comparison()
    comparison.resume()
    await asyncio.sleep(0.2)
    comparison.cancel()
    assert returning.link.reports == []


async def test_an_image_that_nobody_has_any_more_leaves_the_database_alone(returning: Returning) -> None:
    await returning.set_aside(beyond)
    comparison = returning.comparison()
    comparison.begin(returning.old, EPOCH, NOTHING)
    await until(lambda: pending(returning))
    await asyncio.sleep(0.5)
    comparison.cancel()
    assert returning.link.reports == []
    assert returning.old.exists()
    assert pending(returning)
