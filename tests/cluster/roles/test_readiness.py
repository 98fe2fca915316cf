"""Why the standby can't take over: each cause is named, the most useful one first, from both nodes' side."""

from __future__ import annotations

import string
from typing import Any

import pytest

from appliance.cluster import operator
from appliance.cluster.decisions import Observation
from appliance.cluster.errors import CONFIRMATION, NO_HANDOVER, NO_PROMOTION
from appliance.cluster.etcd_keys import ClusterView, Leader, Request, Sync
from appliance.cluster.hands import NodeReport
from appliance.cluster.model import Position
from appliance.cluster.readiness import why_no_takeover
from appliance.cluster.reasons import CLAUSES, reason, refusal, sickness
from appliance.cluster.replication_errors import EPOCH_AHEAD, OTHER_BODY
from appliance.cluster.shipper import SPOOL_HOLE
from appliance.daemon.pair.fitness import FAILED, FULL, MISSING

SINCE = "2026-11-20T22:14:03.120Z"
BOTH = ClusterView(epoch=3, leader=Leader("a", 3, SINCE), sync=Sync(3, ("a", "b"), since=SINCE))
ALONE = ClusterView(epoch=3, leader=Leader("a", 3, SINCE), sync=Sync(3, ("a",), since=SINCE))
LOST = ClusterView(epoch=3, leader=BOTH.leader, sync=BOTH.sync, lost=Request("b", "ana", SINCE, 3))
GONE = ClusterView(epoch=3, sync=ALONE.sync)


def seen(node: str, view: ClusterView | None, **what: Any) -> Observation:
    known: dict[str, Any] = {
        "fence": 3,
        "held": Position(3, 9),
        "peer_held": Position(3, 9),
        "peer_reachable": True,
        **what,
    }
    peer = "b" if node == "a" else "a"
    return Observation(now=1.0, node=node, peer=peer, view=view, lease=None, report=NodeReport(**known))


@pytest.mark.parametrize(
    ("view", "report", "code", "since"),
    [
        (BOTH, {}, None, None),
        (BOTH, {"peer_lacks_models": True}, "models_pending", None),
        (BOTH, {"peer_reachable": False}, "away", None),
        (ALONE, {"peer_reachable": False, "peer_held": None}, "away", SINCE),
        (ALONE, {"trouble": SPOOL_HOLE}, "hole", SINCE),
        (ALONE, {"trouble": OTHER_BODY.code}, "other_content", SINCE),
        (ALONE, {"peer_refused": FULL}, "disk_full", SINCE),
        (ALONE, {"peer_refused": FAILED}, "disk_failed", SINCE),
        (ALONE, {"peer_refused": "cluster.bad_part"}, "refused", SINCE),
        (ALONE, {"peer_refused": EPOCH_AHEAD.code, "peer_held": None}, "not_following", SINCE),
        (ALONE, {"peer_held": Position(2, 9)}, "not_following", SINCE),
        (ALONE, {"peer_held": Position(3, 4)}, "behind", SINCE),
        (ALONE, {}, "finishing", SINCE),
        (ALONE, {"peer_lacks_models": True}, "finishing", SINCE),
        (LOST, {"peer_reachable": False}, "marked_lost", SINCE),
        (GONE, {"peer_reachable": False}, None, None),
        (ClusterView(), {}, "not_initialised", None),
        (None, {}, "voters_silent", None),
    ],
)
def test_the_leader_says_what_its_peer_lacks(
    view: ClusterView | None, report: dict[str, Any], code: str | None, since: str | None
) -> None:
    why = why_no_takeover(seen("a", view, **report))
    assert (why.code if why else None, why.since if why else None) == (code, since)


@pytest.mark.parametrize(
    ("view", "report", "code"),
    [
        (BOTH, {}, None),
        (BOTH, {"peer_reachable": False}, None),
        (BOTH, {"healthy": False, "sick_because": MISSING}, "program_missing"),
        (ALONE, {"healthy": False, "sick_because": FULL}, "disk_full"),
        (ALONE, {"peer_reachable": False}, "away"),
        (ALONE, {"fence": 2}, "not_following"),
        (ALONE, {"held": Position(2, 9)}, "not_following"),
        (ALONE, {}, "out_of_sync"),
        (LOST, {}, "marked_lost"),
    ],
)
def test_a_standby_says_what_it_lacks_itself(view: ClusterView, report: dict[str, Any], code: str | None) -> None:
    why = why_no_takeover(seen("b", view, **report))
    assert (why.code if why else None) == code


def test_it_counts_what_is_still_to_come_and_names_the_node_in_both_languages() -> None:
    why = why_no_takeover(seen("a", ALONE, peer_held=Position(3, 4)))
    assert why is not None
    assert (why.pt, why.en) == ("transações por chegar a b: 5", "transactions still to reach b: 5")
    assert sickness("b", FULL).pt == "o disco de b está cheio"


@pytest.mark.parametrize("code", sorted(CLAUSES))
def test_every_reason_is_a_clause_in_both_languages_with_the_same_words_put_in(code: str) -> None:
    pt, en = CLAUSES[code]
    assert pt != en
    assert not pt.endswith(".")
    assert not en.endswith(".")
    put_in = [{name for _, name, _, _ in string.Formatter().parse(clause) if name} for clause in (pt, en)]
    assert put_in[0] == put_in[1]
    told = reason(code, **dict.fromkeys(put_in[0], "x"))
    assert "{" not in told.pt + told.en


@pytest.mark.parametrize("code", sorted(operator.COSTS_DATA | {"no_third_voter"}))
def test_what_an_order_may_cost_is_said_in_both_languages(code: str) -> None:
    error = refusal(CONFIRMATION, reason(code, node="a", other="b"), field="confirm", phrase="a")
    assert error.details["reason_code"] == code
    assert error.sentence("pt").startswith("Esta ação pode custar dados: ")
    assert reason(code, node="a", other="b").pt in error.sentence("pt")
    assert reason(code, node="a", other="b").en in error.sentence("en")
    assert error.next_step("pt").endswith(": a")


@pytest.mark.parametrize("kind", [NO_HANDOVER, NO_PROMOTION, CONFIRMATION])
def test_no_english_gets_into_the_portuguese_sentence(kind: Any) -> None:
    error = refusal(kind, reason("leads", node="a"))
    assert "a atende" in error.sentence("pt")
    assert "leads" not in error.sentence("pt")
    assert "a leads" in error.sentence("en")
