"""Faces over the admin API: set-up, what the threshold rests on, who is enrolled, how attempts ended; a deletion and its reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.config.model import Faces
from appliance.plugin_api.capabilities import FaceVerifier, ModelInfo
from appliance.plugin_api.errors import UNAVAILABLE
from appliance.security.faces import calibration
from appliance.security.faces.calibration import Basis, Kept, basis
from appliance.security.faces.desk import FaceDesk
from appliance.security.faces.evaluation import Claim, Rate, Row
from appliance.security.vault import Vault
from appliance.telemetry.clock import SystemClock
from tests.api.faces_node import FacesNode, faces_node, problem, verify
from tests.fakes.scripted_faces import ScriptedFaces


def rate(errors: int) -> Rate:
    return Rate(errors, 100, errors / 100, 0.0, 0.1)


def row(threshold: float, far: int, frr: int) -> Row:
    return Row(threshold, rate(far), rate(frr))


CLAIMED = Claim(0.01, 0.95, 0.009, row(0.912, 2, 3))
KEPT = Kept(
    model="facenet", sha256="ab", at="2026-11-21T08:00:00.000Z", people=12, pictures=48, same_pairs=72, different_pairs=1056,
    rows=[row(0.9, 1, 5), row(0.95, 4, 2)], claim=CLAIMED,
)  # fmt: skip


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[FacesNode]:
    async with faces_node(tmp_path) as running:
        yield running


async def test_who_is_enrolled_is_told_with_consent_and_model_and_how_attempts_ended(
    node: FacesNode, tmp_path: Path
) -> None:
    boss = await node.node.phone("boss", "admin")
    ana = await node.person("ana")
    assert (await verify(ana)).status_code == 200
    assert (await verify(ana, "rui")).status_code == 403
    calibration.keep(tmp_path / "evaluation.json", msgspec.structs.replace(KEPT, sha256=node.faces.model().sha256))
    seen = (await boss.client.get("/api/admin/faces")).json()
    standing = seen["standing"]
    assert (standing["enabled"], standing["lacks"], standing["required_for"]) == (True, "", ["sign"])
    assert standing["threshold"] == node.faces.threshold()
    assert seen["basis"]["state"] in {"measured", "between"}
    (one,) = seen["enrolled"]
    person = one["person"]
    assert (person["username"], person["role"], one["again"]) == ("ana", "physician", False)
    assert (person["consent_version"], person["consent_language"]) == (seen["consent_version"], "pt")
    assert person["consent_at"] == person["enrolled_at"]
    assert [(row["kind"], row["username"], row["status"], row["code"]) for row in seen["attempts"]] == [
        ("verify", "ana", 403, "faces.different"), ("verify", "ana", 200, ""), ("enrol", "ana", 201, ""),
    ]  # fmt: skip
    node.faces.version = "scripted-2"
    seen = (await boss.client.get("/api/admin/faces")).json()
    assert [one["again"] for one in seen["enrolled"]] == [True]


async def test_a_template_is_deleted_with_a_reason_that_the_audit_log_keeps(node: FacesNode) -> None:
    boss = await node.node.phone("boss", "admin")
    ana = await node.person("ana")
    path = f"/api/users/{ana.user.id}/face"
    refused = await boss.client.delete(f"{path}?reason=because I can")
    assert problem(refused) == (422, "invalid")
    key = {"Idempotency-Key": "delete-ana"}
    for _ in range(2):
        answer = await boss.client.delete(f"{path}?reason=left", headers=key)
        assert (answer.status_code, answer.json()) == (200, {"deleted": True})
    assert (await boss.client.get("/api/admin/faces")).json()["enrolled"] == []
    told = [event for event in await node.events() if event.action == "delete face"]
    assert [(event.user_id, event.resource, event.detail_code) for event in told] == [
        (boss.user.id, f"user/{ana.user.id}", "left")
    ]


@pytest.mark.parametrize("role", ["it", "auditor", "physician"])
async def test_only_who_manages_people_sees_it(node: FacesNode, role: str) -> None:
    phone = await node.node.phone("someone", role)
    assert problem(await phone.client.get("/api/admin/faces")) == (403, "forbidden")


class Unready(ScriptedFaces):
    """A verifier whose model is not there, or not yet."""

    def __init__(self, *, installed: bool) -> None:
        super().__init__(limit=None)
        self.installed = installed

    def model(self) -> ModelInfo:
        return ModelInfo("facenet", "", "face_verifier", demonstration=False, ready=False, installed=self.installed)


def nothing() -> FaceVerifier:
    raise UNAVAILABLE(what="face_verifier")


@pytest.mark.parametrize(
    ("verifier", "lacks"),
    [
        (ScriptedFaces, ""),
        (lambda: ScriptedFaces(limit=None), "threshold"),
        (lambda: Unready(installed=True), "loading"),
        (lambda: Unready(installed=False), "model"),
        (nothing, "plugin"),
    ],
)
def test_what_is_missing_is_told_whether_or_not_it_is_switched_on(
    verifier: Callable[[], FaceVerifier], lacks: str
) -> None:
    for config in (Faces(), Faces(enabled=True)):
        standing = FaceDesk(NoStore(), Vault(bytes(32)), SystemClock(), config, verifier).standing()
        assert (standing.enabled, standing.lacks) == (config.enabled, lacks)


class NoStore:
    """Nothing of the record is asked for."""

    async def read(self, query: object) -> Any:
        raise AssertionError(query)

    write = read


@pytest.mark.parametrize(
    ("threshold", "state", "far_at", "frr_at", "claimed"),
    [
        (0.912, "measured", 0.912, 0.912, 0.01),
        (0.9, "measured", 0.9, 0.9, 0.01),
        (0.905, "between", 0.912, 0.9, 0.01),
        (0.93, "between", 0.95, 0.912, None),
        (0.5, "between", 0.9, 0.0, 0.01),
        (1.2, "between", 0.0, 0.95, None),
    ],
)
def test_the_rates_shown_are_never_better_than_what_was_measured(
    threshold: float, state: str, far_at: float, frr_at: float, claimed: float | None
) -> None:
    told = basis(KEPT, "ab", threshold)
    assert (told.state, told.far_at, told.frr_at, told.claimed_far) == (state, far_at, frr_at, claimed)
    assert (told.far is None, told.frr is None) == (far_at == 0.0, frr_at == 0.0)
    assert told.people == 12


def test_figures_of_another_model_or_none_say_nothing(tmp_path: Path) -> None:
    assert basis(KEPT, "cd", 0.912).state == "other_model"
    assert basis(KEPT, "cd", 0.912).far is None
    assert basis(KEPT, "ab", None) == Basis()
    assert calibration.read(tmp_path / "none.json") is None
    (tmp_path / "bad.json").write_text("{")
    assert calibration.read(tmp_path / "bad.json") is None
    calibration.keep(tmp_path / "kept.json", KEPT)
    assert calibration.read(tmp_path / "kept.json") == KEPT
