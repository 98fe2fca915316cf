"""Every verdict of every check comes about because the thing is really broken; a check without such a test fails here."""

from __future__ import annotations

import pytest

from appliance.cluster.peer_messages import PROTOCOL
from appliance.operations.doctor.checks import BY_ID, CHECKS
from appliance.operations.doctor.model import Verdict
from tests.unit.operations.doctor import (  # noqa: F401  each registers what it breaks
    broken_home,
    broken_keys,
    broken_mac,
    broken_machine,
    broken_record,
    broken_running,
)
from tests.unit.operations.doctor.ward import BROKEN_BY, Ward

WRONG: dict[str, Verdict] = {
    f"{check.id}.{verdict.name}": verdict
    for check in CHECKS
    for verdict in check.verdicts.values()
    if verdict.status != "ok"
}


def test_every_verdict_has_something_that_brings_it_about() -> None:
    assert BROKEN_BY.keys() == WRONG.keys()


def test_every_check_can_be_broken() -> None:
    assert {name.partition(".")[0] for name in BROKEN_BY} == BY_ID.keys()


@pytest.mark.parametrize("name", sorted(BROKEN_BY))
def test_broken(ward: Ward, name: str) -> None:
    broken, verdict = BROKEN_BY[name], WRONG[name]
    ward.prepare(broken.ground)
    before = ward.examine(verdict.check.id)
    assert before.status == "ok", "it was well"
    assert (before.step_pt, before.step_en, before.runbook) == ("", "", "")
    broken.act(ward)
    after = ward.examine(verdict.check.id)
    assert (after.verdict, after.status) == (verdict.name, verdict.status)
    assert broken.says in f"{after.cause_en} {after.step_en}"
    for sentence in (after.cause_pt, after.cause_en, after.step_pt, after.step_en):
        assert "{" not in sentence
    assert after.cause_pt != after.cause_en
    if verdict.status != "skipped":
        assert after.step_pt
        assert after.step_en


def test_a_node_of_the_next_version_that_still_speaks_ours_is_no_trouble(ward: Ward) -> None:
    ward.prepare("pair")
    ward.tell_peer(protocol=PROTOCOL + 1, oldest_protocol=PROTOCOL)
    assert ward.examine("peer-version").status == "ok"
    ward.tell_peer(protocol=PROTOCOL + 1, oldest_protocol=PROTOCOL + 1)
    assert ward.examine("peer-version").verdict == "protocol"
