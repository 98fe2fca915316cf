"""``prontuario doctor`` beside a running node, as an administrator calls it."""

from __future__ import annotations

import json
import time

import pytest

from appliance.operations.doctor.checks import BY_ID
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


def test_a_running_node_examines_itself_for_the_dashboard(running_node: RunningNode) -> None:
    with running_node.http("it") as http:
        assert http.post("/api/admin/doctor/run").status_code == 202
        ends = time.monotonic() + 300
        while (view := http.get("/api/admin/doctor").json())["running"]:
            assert time.monotonic() < ends
            time.sleep(0.1)
    assert (view["trouble"], view["last"]["by"]) == (None, "it.teste")
    found = {one["id"]: one["verdict"] for one in view["last"]["report"]["findings"]}
    assert list(found) == list(BY_ID)
    assert found["home"] == "well"
    assert found["node"] != "off", "it asked the node that it was asked by"
