"""What the role loop has a node do, on two real nodes: lead, hand over, follow, set aside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.cluster.model import NOTHING, Position
from appliance.daemon.pair.fitness import FULL
from appliance.daemon.pair.reign import Reign
from appliance.plugin_api.errors import ProntuarioError
from tests.unit.daemon.pair.two_nodes import Node, founded, lead_and_follow, make_node, until


@dataclass
class Two:
    a: Node
    b: Node


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    first, second = await founded(tmp_path)
    async with AsyncExitStack() as stack:
        yield Two(await make_node(stack, first), await make_node(stack, second))


async def test_the_service_goes_over_with_everything_and_the_old_record_is_not_kept(two: Two) -> None:
    a, b = two.a, two.b
    assert a.hands.report().record_epoch == 0, "the first node brings its record along"
    assert (b.hands.report().held, b.hands.report().record_epoch) == (NOTHING, None)
    await lead_and_follow(a, b, 1)
    await a.begin_vows()
    await a.write("before")
    report = a.hands.report()
    assert (report.mode, report.record_epoch, report.peer_reachable, report.peer_refused) == ("paired", 1, True, "")
    assert report.peer_held == report.held
    with pytest.raises(ProntuarioError, match=r"cluster\.standby"):
        await b.vows()

    base = await a.hands.quiesce()
    with pytest.raises(ProntuarioError, match=r"cluster\.read_only"):
        await a.write("too late")
    await b.hands.fence(2)
    assert await b.hands.drain_received() == base
    assert Reign(b.paths).epoch == 1, "what was drained is its own record, as of the epoch it was received in"
    assert await b.hands.drain_received() == base, "asked again it only answers"
    a.lease[0] = None
    await a.hands.close_record()
    await a.hands.close_record()
    b.lead(2)
    await b.hands.open_record(2)
    assert await b.vows() == ["before"]

    await a.hands.fence(2)
    await a.hands.set_aside_and_compare(base)
    assert a.hands.report().record_epoch is None
    assert not a.reign.aside_folder(1).exists(), "the new record began with it: nothing can differ"
    await a.hands.follow(2, base)
    await until(lambda: b.key.peer_in_sync)
    await b.write("after")
    await until(lambda: a.hands.report().held == b.hands.report().held)
    assert a.hands.report().held.epoch == 2
    assert b.key.asked[-1] == "in"


async def test_a_handover_that_does_not_happen_leaves_the_node_serving(two: Two) -> None:
    a, b = two.a, two.b
    await lead_and_follow(a, b, 1)
    await a.begin_vows()
    a.fitness.sick_because = FULL  # a sick node does not wait long for its last words
    await b.neighbour.close()
    a.key.cut = True  # nor can the key be reached, which would let it go on alone
    await until(lambda: not a.hands.report().peer_reachable)
    assert a.hands.report().healthy is False
    with pytest.raises(ProntuarioError, match=r"store\.unconfirmed"):
        await a.write("unsure")  # committed, acknowledged to nobody
    with pytest.raises(ProntuarioError) as caught:
        await a.hands.quiesce()
    assert caught.value.kind.code in {"cluster.peer_away", "cluster.read_only"}
    a.key.cut = False
    await a.hands.resume()
    await a.write("alone")
    assert "alone" in await a.vows()
    assert a.key.asked[-1] == "out", "the peer is taken out of the key before the first lone acknowledgement"
    assert a.hands.report().mode == "degraded"
    assert a.hands.report().unreplicated_rows > 0


async def test_a_record_is_opened_once_an_epoch_and_anew_in_the_next(two: Two) -> None:
    a = two.a
    a.lead(1)
    await a.hands.open_record(1)
    first = a.hands.primacy
    await a.hands.open_record(1)
    assert a.hands.primacy is first
    await a.begin_vows()
    await a.write("one")
    a.lead(2)
    await a.hands.open_record(2)
    assert a.hands.primacy is not first
    assert await a.vows() == ["one"]
    assert Reign(a.paths).epoch == 2
    held = a.hands.report().held
    assert held.epoch == 2
    await a.hands.close_record()
    assert a.hands.report().held.epoch == 2, "closed it still stands where its spool ends"
    assert await a.hands.drain_received() == a.hands.report().held


async def test_what_only_an_old_primary_wrote_is_kept_for_review(two: Two) -> None:
    a, b = two.a, two.b
    await lead_and_follow(a, b, 1)
    await a.begin_vows()
    await a.write("both")
    await until(lambda: b.hands.report().held == a.hands.report().held)
    base = b.hands.report().held
    await b.neighbour.link.close()
    await b.hands.fence(2)  # cuts whoever ships in epoch 1
    await a.write("only a")
    assert a.key.asked[-1] == "out"
    assert await b.hands.drain_received() == base
    b.lead(2)
    await b.hands.open_record(2)
    assert await b.vows() == ["both"]

    a.lease[0] = None
    await a.hands.fence(2)
    await a.hands.set_aside_and_compare(base)
    assert (a.reign.aside_folder(1) / a.paths.database.name).exists()
    assert a.hands.report().held == Position(0, 0)
