"""``prontuario doctor`` beside a running node, as an administrator calls it."""

from __future__ import annotations

import json

import pytest

from tests.conftest import RunningNode, command

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("node")]


def test_doctor_sees_the_running_node(running_node: RunningNode) -> None:
    done = command("doctor", "--home", str(running_node.home), "--json", "--deadline", "120", check=False)
    report = json.loads(done.stdout)
    assert done.returncode == (5 if report["status"] == "failed" else 0), done.stderr
    found = {one["id"]: one for one in report["findings"]}
    for name in ("home", "configuration", "secrets", "pinned-root", "database", "schema", "node", "api"):
        assert found[name]["status"] == "ok", found[name]
    assert found["ports"]["verdict"] in {"ours", "free"}
    assert found["peer"]["verdict"] == "alone"
    assert {one["verdict"] for one in found.values()}.isdisjoint({"broken", "late", "unread", "stopped"})
