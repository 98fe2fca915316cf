"""What the cluster says and what the dashboard reads are the same shapes and the same words."""

from __future__ import annotations

import msgspec
import pytest

from admin_ui.shapes_cluster import ClusterPicture, PairPicture
from admin_ui.words import WORDS
from appliance.api.admin_cluster import ACTIONS, PairView
from appliance.cluster.events import PROMPTS
from appliance.cluster.model import Role
from tests.unit.admin_ui.test_cluster_page import NIGHT


def test_the_dashboard_reads_what_the_cluster_says() -> None:
    picture = msgspec.json.decode(msgspec.json.encode(NIGHT), type=ClusterPicture)
    for name in ClusterPicture.__struct_fields__:
        assert hasattr(NIGHT, name)
    assert (picture.leader, picture.voters, picture.events[1].sentence_en) == (None, (1, 2), "mac-a took over.")


def test_a_node_alone_is_no_pair() -> None:
    picture = msgspec.json.decode(msgspec.json.encode(PairView(paired=False)), type=PairPicture)
    assert (picture.paired, picture.status, picture.actions) == (False, None, ())


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_a_word(action: str) -> None:
    assert f"cluster.do.{action}" in WORDS


@pytest.mark.parametrize("code", sorted(PROMPTS))
def test_every_question_to_the_operator_is_explained(code: str) -> None:
    assert f"cluster.ask.{code}" in WORDS


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_every_role_has_a_word(role: str) -> None:
    assert f"cluster.role.{role}" in WORDS
