"""What an operator may order now, and what has to be typed for it."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.cluster.model import ClusterStatus, Position, Role
from appliance.daemon.pair.desk import _action, _phrase, _refusal
from appliance.plugin_api.errors import ProntuarioError


def status(**what: Any) -> ClusterStatus:
    known: dict[str, Any] = {
        "node": "a", "peer": "b", "role": Role.PRIMARY, "mode": "paired", "epoch": 3, "leader": "a", "leader_since": None,
        "own": Position(3, 9), "peer_held": Position(3, 9), "lag_txids": 0, "lag_s": 0.0, "in_sync": "b",
        "unreplicated_rows": 0, "voters": (3, 3), "vip": True, "last_drill": None,
    }  # fmt: skip
    return ClusterStatus(**{**known, **what})


@pytest.mark.parametrize(
    ("action", "what", "refused"),
    [
        ("handover", {}, False),
        ("handover", {"in_sync": None}, True),
        ("handover", {"leader": None}, True),
        ("promote", {}, True),
        ("promote", {"leader": None}, False),
        ("promote", {"leader": "b"}, True),
        ("promote", {"leader": "a", "prompt": "not_drained", "role": Role.CANDIDATE}, False),
        ("promote", {"leader": "b", "prompt": "not_drained"}, True),
        ("mark-lost", {}, False),
        ("mark-lost", {"leader": "b"}, True),
    ],
)
def test_what_can_not_be_done_now_is_said_before_anything_is_typed(
    action: Any, what: dict[str, Any], refused: bool
) -> None:
    why = _refusal(action, status(**what))
    assert (why is not None) == refused
    assert why is None or (why.pt and why.en and why.pt != why.en)


def test_what_can_cost_data_asks_for_the_name_of_the_node_that_is_meant() -> None:
    assert _phrase("promote", status()) == "a"
    assert _phrase("mark-lost", status()) == "b"
    assert _phrase("handover", status()) == ""


def test_an_unknown_action_is_refused_with_the_ones_that_exist() -> None:
    assert _action({"action": "handover"}) == "handover"
    with pytest.raises(ProntuarioError) as caught:
        _action({"action": "explode"})
    assert "promote" in str(caught.value.details["reason"])
