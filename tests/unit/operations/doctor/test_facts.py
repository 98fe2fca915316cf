"""What two nodes compare: the same for the same node, another for what matters, and the same again for what is each node's own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from appliance.config.model import Config
from appliance.operations.doctor.facts import (
    COMMON_CLUSTER,
    COMMON_NODE,
    OWN_SECTIONS,
    NodeFacts,
    clock_offset_s,
    common_configuration,
    facts_of,
)
from tests.unit.operations.doctor.ward import Ward


def changed(section: str, **changes: Any) -> Config:
    config = Config()
    return msgspec.structs.replace(config, **{section: msgspec.structs.replace(getattr(config, section), **changes)})


@pytest.mark.parametrize(
    ("section", "changes", "differing"),
    [
        ("notes", {"template": "alta"}, {"notes"}),
        ("node", {"hospital": "Outro"}, {"node"}),
        ("node", {"name": "outro"}, set()),
        ("cluster", {"client_address": "10.0.0.9:8443"}, {"cluster"}),
        ("cluster", {"peer_host": "10.0.0.9", "node": "b", "peer": "a"}, set()),
        ("api", {"host": "10.0.0.9"}, set()),
        ("memory", {"ai_bytes": 1}, set()),
        ("power", {"kind": "nut"}, set()),
        ("dictation", {"max_hours": 1.0}, {"dictation"}),
    ],
)
def test_only_what_both_must_have_alike_is_compared(section: str, changes: dict[str, Any], differing: set[str]) -> None:
    before, after = common_configuration(Config()), common_configuration(changed(section, **changes))
    assert {name for name in before if before[name] != after[name]} == differing


def test_a_new_section_is_compared_unless_it_is_said_to_be_each_nodes_own() -> None:
    sections = {one.name for one in msgspec.structs.fields(Config)}
    assert sections >= OWN_SECTIONS
    assert common_configuration(Config()).keys() == sections - OWN_SECTIONS
    for names, section in ((COMMON_NODE, Config().node), (COMMON_CLUSTER, Config().cluster)):
        assert set(names) <= {one.name for one in msgspec.structs.fields(type(section))}


def test_plugins_settings_are_compared_whatever_their_order() -> None:
    one, other = Config(plugins={"a": {"x": 1, "y": 2}}), Config(plugins={"a": {"y": 2, "x": 1}})
    assert common_configuration(one) == common_configuration(other)
    assert common_configuration(one)["plugins"] != common_configuration(Config())["plugins"]


def test_facts_are_numbers_names_and_hashes(ward: Ward) -> None:
    facts = facts_of(ward.paths, ward.config)
    assert set(facts.authorities) == {"root.pem", "device-ca.pem", "node-ca.pem"}
    assert all(len(digest) == 16 for digest in (*facts.authorities.values(), *facts.configuration.values()))
    assert facts.migration >= 10
    assert facts.free_bytes > 0
    assert facts.models == {}, "a folder put there by hand is no pack"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(facts), type=NodeFacts) == facts


def test_the_pack_that_serves_is_named(ward: Ward) -> None:
    folder = ward.paths.models / "chat_model"
    (folder / "active").rmdir()
    (folder / "tiny-1").mkdir()
    (folder / "active").symlink_to("tiny-1")
    assert facts_of(ward.paths, ward.config).models == {"chat_model": "tiny-1"}


@pytest.mark.parametrize(
    ("told", "asked", "answered", "offset"),
    [
        (10.0, 10.0, 10.0, 0.0),
        (15.0, 10.0, 10.2, 4.8),
        (5.0, 10.0, 10.2, -5.0),
        (10.1, 10.0, 10.2, 0.0),
        (10.6, 10.0, 12.0, 0.0),
    ],
)
def test_a_slow_question_is_not_taken_for_a_wrong_clock(
    told: float, asked: float, answered: float, offset: float
) -> None:
    assert clock_offset_s(told, asked, answered) == pytest.approx(offset)
