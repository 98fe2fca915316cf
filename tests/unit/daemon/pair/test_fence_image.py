"""The record as it was at the fence, read over the peer's call in pieces: exactly that, and an error rather than something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.cluster.model import Position
from appliance.cluster.replication_errors import COPY_DAMAGED
from appliance.daemon.pair.fence_image import fetch_image
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.store.sqlite import inspect
from tests.unit.daemon.pair.leader import EPOCH, Leader, make_leader


@pytest.fixture
async def leader(tmp_path: Path) -> Leader:
    return await make_leader(tmp_path / "b")


def rows(database: Path) -> list[int]:
    def read(query: Query) -> list[int]:
        return [int(str(row["id"])) for row in query.all("SELECT id FROM thing ORDER BY id")]

    return inspect(database, read)


async def test_what_comes_is_the_record_at_the_fence_and_nothing_stays_behind(leader: Leader, tmp_path: Path) -> None:
    image = tmp_path / "fence.sqlite"
    await fetch_image(leader.ask, leader.base, image)
    assert rows(image) == [0, 1, 2, 3, 4]
    assert leader.asked > 2, "it came in pieces"
    assert leader.left_over == []


async def test_an_earlier_fence_has_less(leader: Leader, tmp_path: Path) -> None:
    image = tmp_path / "fence.sqlite"
    await fetch_image(leader.ask, Position(EPOCH, leader.base.txid - 2), image)
    assert rows(image) == [0, 1, 2]


async def test_it_can_be_asked_for_again_after_a_break(leader: Leader, tmp_path: Path) -> None:
    async def breaks(body: bytes) -> bytes:
        if leader.asked == 1:
            raise ConnectionError
        return await leader.ask(body)

    image = tmp_path / "fence.sqlite"
    with pytest.raises(ConnectionError):
        await fetch_image(breaks, leader.base, image)
    await fetch_image(leader.ask, leader.base, image)
    assert rows(image) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("beyond", [Position(EPOCH, 10_000), Position(EPOCH + 1, 1)])
async def test_a_history_that_is_not_here_is_refused(leader: Leader, tmp_path: Path, beyond: Position) -> None:
    for _ in range(2):
        with pytest.raises(ProntuarioError) as caught:
            await fetch_image(leader.ask, beyond, tmp_path / "fence.sqlite")
        assert caught.value.kind is COPY_DAMAGED


async def test_pieces_that_do_not_make_a_database_are_refused(tmp_path: Path) -> None:
    pieces = [b"SQLite format 3\0" + bytes(5000), b""]

    async def ask(_body: bytes) -> bytes:
        return pieces.pop(0)

    with pytest.raises(Exception, match=r"database|copy|malformed|damaged"):
        await fetch_image(ask, Position(1, 1), tmp_path / "fence.sqlite")
