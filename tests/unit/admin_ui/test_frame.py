from __future__ import annotations

from xml.etree import ElementTree as ET

import msgspec
import pytest
import segno

from admin_ui import shapes
from admin_ui.feed import _point
from admin_ui.frame import attention, offered
from admin_ui.pages.enrolment import qr_svg
from admin_ui.pages.overview import verdict
from appliance.security.policy import ROLES

NODE = shapes.NodeFacts(
    name="mac-a",
    hospital="Hospital",
    phase="pilot",
    profile="production",
    mode="single",
    version="1",
    at="2026-11-21T00:00:00.000Z",
    uptime_s=100.0,
    demonstration_models=(),
    database_bytes=1,
    disk_free_bytes=1,
    disk_total_bytes=2,
    memory_used_bytes=1,
    memory_free_bytes=1,
    memory_total_bytes=2,
    requests_total=500.0,
)

NODE_PAGES = [
    "/",
    "/alerts",
    "/doctor",
    "/cluster",
    "/review",
    "/engines",
    "/models",
    "/plugins",
    "/jobs",
    "/drills",
    "/updates",
]


def snapshot(**more: object) -> shapes.Snapshot:
    return msgspec.structs.replace(shapes.Snapshot(node=NODE, health=[], engines=[]), **more)


def later(seconds: float, requests: float) -> shapes.Snapshot:
    node = msgspec.structs.replace(NODE, uptime_s=NODE.uptime_s + seconds, requests_total=500.0 + requests)
    return snapshot(node=node)


@pytest.mark.parametrize(
    ("role", "paths"),
    [
        ("admin", [*NODE_PAGES, "/note-templates", "/people", "/faces"]),
        ("it", [*NODE_PAGES, "/note-templates", "/people"]),
        (
            "auditor",
            [
                "/",
                "/alerts",
                "/doctor",
                "/cluster",
                "/review",
                "/engines",
                "/models",
                "/updates",
                "/note-templates",
                "/audit",
            ],
        ),
        ("physician", []),
        ("nurse", []),
    ],
)
def test_a_role_is_offered_only_what_it_may_see(role: str, paths: list[str]) -> None:
    assert [entry.path for entry in offered(ROLES[role])] == paths


def test_what_waits_for_a_decision_is_counted() -> None:
    engines = [shapes.EngineRow(name=name, status=name) for name in ("ready", "circuit_open", "refused", "restarting")]
    plugins = [shapes.PluginRow(name=name, state=name) for name in ("active", "quarantined", "disabled")]
    seen = snapshot(engines=engines, plugins=plugins, job_counts={"dead": 4, "ready": 9})
    assert [attention(path, seen) for path in ("/", "/engines", "/plugins", "/jobs", "/audit")] == [0, 2, 1, 4, 0]
    assert attention("/jobs", snapshot()) == 0
    assert attention("/plugins", None) == 0


def test_the_verdict_is_the_worst_part() -> None:
    def health(*states: str) -> shapes.Snapshot:
        return snapshot(health=[shapes.HealthRow(state, state, "", "") for state in states])

    assert verdict(health("ok", "not_configured")) == ("overview.all_well", "ok")
    assert verdict(health("ok", "degraded")) == ("overview.look", "warn")
    assert verdict(health("degraded", "failed", "ok")) == ("overview.bad", "bad")


def test_the_rate_is_per_second_of_core_s_own_clock() -> None:
    assert _point(later(4.0, 60.0), snapshot()).requests_per_s == 15.0


def test_there_is_no_rate_across_a_restart_of_core() -> None:
    assert _point(snapshot(), None).requests_per_s is None
    assert _point(snapshot(), later(50.0, 9000.0)).requests_per_s is None


def test_the_qr_is_drawn_with_its_quiet_zone() -> None:
    uri = "prontuario://enrol?h=mac-a.local%3A8443&c=4F7KQ-8M2XD-9RT3W-0HCVB-6NPZE&p=Zm9vYmFy"
    drawn = ET.fromstring(qr_svg(uri))
    modules = segno.make(uri, error="m", micro=False)
    side = modules.symbol_size(border=4)[0]
    assert drawn.tag == "svg"
    assert drawn.attrib["viewBox"] == f"0 0 {side * 6} {side * 6}"
