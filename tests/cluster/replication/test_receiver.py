"""The receiver's rules, with files made by hand."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from appliance.cluster.ltx import LtxFile, level_folder, listing
from appliance.cluster.model import Position
from appliance.cluster.peer_messages import OLDEST_PROTOCOL, PROTOCOL, AskHeld, Held, Hello, Missing, PutLtx, Retain
from appliance.cluster.receiver import Receiver
from appliance.plugin_api.errors import ProntuarioError
from tests.unit.store.conftest import fill, small_disk  # noqa: F401  a fixture


def ltx(first: int, last: int, filling: bytes = b"x") -> bytes:
    """Enough of an LTX file for whoever only looks at its header."""
    return b"LTX1" + bytes(12) + first.to_bytes(8, "big") + last.to_bytes(8, "big") + bytes(68) + filling


def put(first: int, last: int | None = None, *, level: int = 0, epoch: int = 1, filling: bytes = b"x") -> PutLtx:
    last = first if last is None else last
    body = ltx(first, last, filling)
    return PutLtx(epoch, level, LtxFile(first, last, level).name, 0, len(body), body)


async def send(receiver: Receiver, question: Any) -> Any:
    answer = receiver.handlers()[type(question)](question)
    return await answer  # type: ignore[misc]


async def refused(receiver: Receiver, question: Any) -> str:
    with pytest.raises(ProntuarioError) as caught:
        await send(receiver, question)
    return caught.value.kind.code


@pytest.fixture
async def receiver(tmp_path: Path) -> Receiver:
    made = Receiver(tmp_path / "replica")
    await made.fence(1)
    return made


async def test_the_answer_is_the_highest_txid_without_a_hole(receiver: Receiver) -> None:
    answers = [(await send(receiver, put(n))).position.txid for n in (1, 2, 5, 4, 3, 7)]
    assert answers == [1, 2, 2, 2, 5, 5]
    assert (await send(receiver, put(6, 9, level=1))).position == Position(1, 9)
    assert await send(receiver, AskHeld(1)) == Held(Position(1, 9))


async def test_a_whole_image_starts_anew_where_files_are_missing(receiver: Receiver) -> None:
    await send(receiver, put(8))
    assert receiver.position.txid == 0
    assert (await send(receiver, put(1, 7, level=9))).position.txid == 8


async def test_many_files_at_once_are_kept_together(receiver: Receiver) -> None:
    answers = await asyncio.gather(*(send(receiver, put(n)) for n in range(1, 51)))
    assert max(answer.position.txid for answer in answers) == 50
    assert all(answer.position.txid >= n for n, answer in enumerate(answers, start=1))


class HeldUpReceiver(Receiver):
    """Tidies up after every file, and is held up in it until told; then it may fail."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, tidy_every_s=-1.0)
        self.tidying, self.go_on = threading.Event(), threading.Event()
        self.fails = False

    def _tidy(self) -> None:
        self.tidying.set()
        assert self.go_on.wait(60)
        super()._tidy()
        if self.fails:
            raise OSError("the disk is full")


@pytest.mark.parametrize("fails", [False, True])
async def test_what_arrives_while_it_tidies_up_is_kept_too(tmp_path: Path, fails: bool) -> None:
    receiver = HeldUpReceiver(tmp_path / "replica")
    receiver.fails = fails
    await receiver.fence(1)
    assert (await send(receiver, put(1))).position.txid == 1
    assert await asyncio.to_thread(receiver.tidying.wait, 60)
    second = asyncio.create_task(send(receiver, put(2)))
    await asyncio.sleep(0)  # it has arrived, and nothing else will
    receiver.go_on.set()
    async with asyncio.timeout(60):
        assert (await second).position.txid == 2


async def test_the_same_name_never_gets_another_content(receiver: Receiver) -> None:
    await send(receiver, put(1))
    assert (await send(receiver, put(1))).position.txid == 1  # the same once more: an answer was lost
    assert await refused(receiver, put(1, filling=b"y")) == "cluster.other_body"
    assert LtxFile(1, 1, 0).path(receiver.folder).read_bytes() == ltx(1, 1)


async def test_a_large_file_too(receiver: Receiver) -> None:
    def parts(filling: bytes) -> list[PutLtx]:
        body, name = ltx(1, 3, filling * 3000), LtxFile(1, 3, 9).name
        return [PutLtx(1, 9, name, at, len(body), body[at : at + 1000]) for at in range(0, len(body), 1000)]

    for filling, outcome in ((b"x", 3), (b"x", 3)):
        answers = [(await send(receiver, part)).position.txid for part in parts(filling)]
        assert answers[-1] == outcome
    *most, last = parts(b"y")
    for part in most:
        await send(receiver, part)
    assert await refused(receiver, last) == "cluster.other_body"
    assert list((receiver.folder.parent / "incoming").iterdir()) == []


async def test_a_part_out_of_turn_is_refused_and_the_file_begun_again(receiver: Receiver) -> None:
    body, name = ltx(1, 3, b"z" * 2000), LtxFile(1, 3, 1).name
    first, second, third = (PutLtx(1, 1, name, at, len(body), body[at : at + 1000]) for at in (0, 1000, 2000))
    await send(receiver, first)
    assert await refused(receiver, third) == "cluster.bad_part"
    assert await refused(receiver, second) == "cluster.bad_part"
    answers = [(await send(receiver, part)).position.txid for part in (first, second, third)]
    assert answers == [0, 0, 3]


@pytest.mark.parametrize(
    ("level", "name", "body"),
    [
        (0, "../../evil.ltx", ltx(1, 1)),
        (0, "0000000000000002-0000000000000001.ltx", ltx(2, 1)),
        (0, LtxFile(2, 2, 0).name, ltx(1, 1)),
        (0, LtxFile(1, 1, 0).name, b"no LTX file at all"),
        (10, LtxFile(1, 1, 0).name, ltx(1, 1)),
        (-1, LtxFile(1, 1, 0).name, ltx(1, 1)),
    ],
)
async def test_what_is_no_ltx_file_of_that_name_is_refused(
    receiver: Receiver, level: int, name: str, body: bytes
) -> None:
    assert await refused(receiver, PutLtx(1, level, name, 0, len(body), body)) == "cluster.bad_part"
    assert listing(receiver.folder) == []


async def test_only_the_current_epoch_is_taken(receiver: Receiver) -> None:
    await receiver.fence(3)
    for question in (put(1, epoch=2), AskHeld(2), Retain(2, ()), Hello("a", PROTOCOL, 2)):
        assert await refused(receiver, question) == "cluster.stale_epoch"
    assert await refused(receiver, put(1, epoch=4)) == "cluster.epoch_ahead"
    assert (await send(receiver, put(1, epoch=3))).position == Position(3, 1)


async def test_a_lower_epoch_stays_refused_after_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    await send(receiver, put(1))
    await receiver.fence(5)
    again = Receiver(tmp_path / "replica")
    assert again.epoch == 5
    assert await refused(again, put(2)) == "cluster.stale_epoch"
    with pytest.raises(ProntuarioError):
        await again.fence(4)
    await again.fence(5)
    assert [file.last for file in listing(tmp_path / "replica" / "00000001")] == [1]


async def test_nothing_of_a_lower_epoch_is_kept_once_the_fence_has_returned(receiver: Receiver, tmp_path: Path) -> None:
    arriving = [asyncio.create_task(send(receiver, put(n))) for n in range(1, 200)]
    await asyncio.sleep(0)
    await receiver.fence(2)
    kept = set(listing(tmp_path / "replica" / "00000001"))
    answers = await asyncio.gather(*arriving, return_exceptions=True)
    assert set(listing(tmp_path / "replica" / "00000001")) == kept
    acknowledged = [
        answer.position.txid for answer in answers if isinstance(answer, Held) and answer.position.epoch == 1
    ]
    assert max(acknowledged, default=0) <= max((file.last for file in kept), default=0)


async def test_what_was_kept_is_there_after_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    for n in (1, 2, 3, 5):
        await send(receiver, put(n))
    assert Receiver(tmp_path / "replica").position == Position(1, 3)


async def test_a_lost_file_is_noticed(receiver: Receiver) -> None:
    for n in range(1, 9):
        await send(receiver, put(n))
    LtxFile(4, 4, 0).path(receiver.folder).unlink()
    assert (await send(receiver, put(9))).position.txid == 3
    assert (await send(receiver, put(4))).position.txid == 9


async def test_files_that_a_larger_step_covers_go_and_others_stay(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.cluster.held_files.KEEP_COVERED_S", -1.0)
    for n in range(1, 9):
        await send(receiver, put(n))
    await send(receiver, put(1, 5, level=1))
    await asyncio.to_thread(receiver._tidy)
    assert sorted(file.first for file in listing(receiver.folder, (0,))) == [6, 7, 8]
    assert (await send(receiver, put(9))).position.txid == 9


async def test_the_primary_says_what_may_go_but_no_hole_comes_of_it(receiver: Receiver) -> None:
    for step in (put(1, 3, level=1), put(4, 6, level=1), put(1, 6, level=2), put(1, 3, level=9)):
        await send(receiver, step)
    keep = [LtxFile(1, 6, 2).key]
    assert await send(receiver, Retain(1, tuple(keep))) == Missing(())
    assert [file.key for file in listing(receiver.folder)] == keep
    assert await send(receiver, Retain(1, (LtxFile(7, 9, 1).key,))) == Missing((LtxFile(7, 9, 1).key,))
    assert await send(receiver, Retain(1, ())) == Missing(())
    assert [file.key for file in listing(receiver.folder)] == keep  # the only ones that hold 1 to 6


async def test_another_protocol_is_told(receiver: Receiver) -> None:
    for protocol in (PROTOCOL + 1, OLDEST_PROTOCOL - 1):
        assert await refused(receiver, Hello("a", protocol, 1)) == "cluster.peer_misunderstood"
    for protocol in {PROTOCOL, OLDEST_PROTOCOL}:
        assert await send(receiver, Hello("a", protocol, 1)) == Held(Position(1, 0))


async def test_a_full_disk_refuses_and_takes_again_when_there_is_room(small_disk: Path) -> None:  # noqa: F811
    receiver = Receiver(small_disk / "replica")
    await receiver.fence(1)
    await send(receiver, put(1))
    level_folder(receiver.folder, 1).mkdir()
    fill(small_disk / "filling")
    assert await refused(receiver, put(2, filling=b"x" * 100_000)) == "store.full"
    assert await refused(receiver, put(2, 3, level=1, filling=b"x" * 100_000)) == "store.full"
    assert receiver.position.txid == 1
    (small_disk / "filling").unlink()
    assert (await send(receiver, put(2, filling=b"x" * 100_000))).position.txid == 2
