"""A change of roles is one trace, written by both nodes without a word between them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from appliance.cluster.decisions import Job, Order
from appliance.cluster.etcd_client import EtcdClient
from appliance.cluster.etcd_keys import EtcdKeys
from appliance.cluster.lease_clock import LeaseClock
from appliance.cluster.roles import RoleLoop, RoleSettings
from appliance.telemetry.tracing import SILENT, RecordedSpan, Tracer
from tests.fakes.node_hands import FakeHands

Make = Callable[..., RoleLoop]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Role loops that nobody runs; their voters are away."""
    client = EtcdClient(["https://127.0.0.1:1"], ssl.create_default_context())

    def one(node: str, peer: str, tracer: Tracer = SILENT, failing: frozenset[str] = frozenset()) -> RoleLoop:
        hands = FakeHands(node)
        hands.failing.update(failing)
        return RoleLoop(RoleSettings(node=node, peer=peer), hands, EtcdKeys(client), LeaseClock(), tracer=tracer)

    yield one
    await client.close()


async def test_the_steps_of_both_nodes_are_in_the_trace_of_the_epoch_that_they_lead_to(make: Make) -> None:
    ended: list[RecordedSpan] = []
    rare = Tracer(ended.append, ratio=0.0)
    old, new = make("a", "b", rare), make("b", "a", rare)
    for loop, order in (
        (old, Order(Job.QUIESCE, 3)), (new, Order(Job.FENCE, 4)), (new, Order(Job.DRAIN, 4)), (new, Order(Job.OPEN, 4)),
        (old, Order(Job.FOLLOW, 4)),
    ):  # fmt: skip
        assert (await loop._work(order)).ok
    names = ["cluster quiesce", "cluster fence", "cluster drain", "cluster open", "cluster follow"]
    assert [span.name for span in ended] == names, "whatever the ratio of requests is"
    assert len({span.context.trace_id for span in ended}) == 1
    assert ended[0].attributes == {"prontuario.step": "quiesce", "prontuario.epoch": 3, "prontuario.outcome": "ok"}
    assert (await old._work(Order(Job.QUIESCE, 4))).ok
    assert ended[-1].context.trace_id != ended[0].context.trace_id, "the next change of roles is another trace"


async def test_a_step_that_failed_is_told(make: Make) -> None:
    ended: list[RecordedSpan] = []
    loop = make("a", "b", Tracer(ended.append), frozenset({"quiesce"}))
    assert not (await loop._work(Order(Job.QUIESCE, 3))).ok
    (span,) = ended
    assert (span.failed, span.attributes["prontuario.outcome"]) == (True, "failed")


async def test_switched_off_a_step_is_not_traced(make: Make) -> None:
    loop = make("a", "b")
    assert not loop._begin(Order(Job.OPEN, 1)).recorded
    assert (await loop._work(Order(Job.OPEN, 1))).ok
