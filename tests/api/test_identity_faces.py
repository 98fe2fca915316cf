"""The honest way of a face over HTTPS: consent, enrolment, verification, deletion; and the password in its place."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.config.model import Faces
from appliance.plugin_api.errors import UNAVAILABLE
from tests.api.faces_node import (
    AGREED,
    SIGN,
    FacesNode,
    ask,
    enrol,
    faces_node,
    is_confirmed,
    problem,
    send,
    sent,
    verify,
)
from tests.api.identity_node import PASSWORD
from tests.fakes.scripted_faces import picture, pictures


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[FacesNode]:
    async with faces_node(tmp_path) as running:
        yield running


async def test_from_consent_to_a_confirmed_session(node: FacesNode) -> None:
    ana = await node.node.phone("ana", "physician")
    before = (await ana.client.get("/api/faces/me")).json()
    assert (before["status"], before["consents"]) == ("not_enrolled", [])
    assert "senha" in before["consent_text"]
    enrolled = await enrol(ana)
    assert enrolled.status_code == 201, enrolled.text
    assert enrolled.json()["status"] == "enrolled"
    [consent] = enrolled.json()["consents"]
    assert (consent["text_version"], consent["language"], consent["device_id"]) == ("1", "pt", ana.device_id)
    assert await is_confirmed(ana) is None, "enrolling confirms nothing"
    confirmed = await verify(ana)
    assert confirmed.status_code == 200, confirmed.text
    assert confirmed.json() == {"way": "face", "expires_in": 120.0}
    assert await is_confirmed(ana) == "face"
    assert await node.attempts() == [(202, ""), (200, "")]


async def test_a_confirmation_ends_by_itself_and_holds_for_its_own_session_only(node: FacesNode) -> None:
    ana = await node.person("ana")
    assert (await verify(ana)).status_code == 200
    node.node.clock.pass_time(119)
    assert await is_confirmed(ana) == "face"
    node.node.clock.pass_time(1)
    assert await is_confirmed(ana) is None
    assert (await verify(ana)).status_code == 200
    assert (await ana.login()).status_code == 200
    assert await is_confirmed(ana) is None, "another session of the same person on the same phone"


async def test_the_password_always_does_instead(node: FacesNode) -> None:
    rui = await node.node.phone("rui", "physician")
    assert problem(await rui.client.post(SIGN)) == (403, "confirmation.required")
    wrong = await rui.client.post("/api/me/confirmation", json={"current_password": "outra senha 12345"})
    assert problem(wrong) == (401, "auth.invalid_credentials")
    assert await is_confirmed(rui) is None
    right = await rui.client.post("/api/me/confirmation", json={"current_password": PASSWORD})
    assert right.json() == {"way": "password", "expires_in": 120.0}
    assert await is_confirmed(rui) == "password"


async def test_switched_off_nothing_is_enrolled_and_the_password_still_confirms(tmp_path: Path) -> None:
    async with faces_node(tmp_path, Faces(required_for=("sign",))) as node:
        ana = await node.node.phone("ana", "physician")
        assert (await ana.client.get("/api/faces/me")).json()["status"] == "off"
        asked = await ana.client.post("/api/faces/challenge", json={"purpose": "enrol"})
        assert problem(asked) == (409, "faces.off")
        assert problem(await send(ana, "x", [picture("ana")])) == (409, "faces.off")
        assert node.faces.asked == 0
        assert (await ana.client.post("/api/me/confirmation", json={"current_password": PASSWORD})).status_code == 200
        assert await is_confirmed(ana) == "password"


async def test_by_default_faces_are_off_and_nothing_asks_for_them() -> None:
    assert (Faces().enabled, Faces().required_for) == (False, ())


async def test_a_model_without_a_threshold_is_not_used(node: FacesNode) -> None:
    ana = await node.person("ana")
    node.faces.limit = None
    assert (await ana.client.get("/api/faces/me")).json()["status"] == "not_ready"
    assert problem(await ana.client.post("/api/faces/challenge", json={"purpose": "verify"})) == (
        503,
        "faces.not_ready",
    )


@pytest.mark.parametrize("said", [{"agreed": False}, {"text_version": "0"}])
async def test_without_consent_to_the_text_in_force_nothing_is_enrolled(
    node: FacesNode, said: dict[str, object]
) -> None:
    ana = await node.node.phone("ana", "physician")
    refused = await enrol(ana, consent=AGREED | said)
    assert refused.status_code in {409, 422}
    assert refused.json()["field"].startswith("consent.")
    assert (await ana.client.get("/api/faces/me")).json()["status"] == "not_enrolled"


async def test_a_phone_left_unlocked_does_not_enrol_its_finders_face(node: FacesNode) -> None:
    ana = await node.node.phone("ana", "physician")
    assert problem(await enrol(ana, "finder", password="adivinhada 1234")) == (401, "auth.invalid_credentials")
    assert (await ana.client.get("/api/faces/me")).json()["status"] == "not_enrolled"


async def test_deleting_takes_template_consent_and_confirmation_away(node: FacesNode) -> None:
    ana = await node.person("ana")
    assert (await verify(ana)).status_code == 200
    assert (await ana.client.delete("/api/faces/me")).json() == {"deleted": True}
    state = (await ana.client.get("/api/faces/me")).json()
    assert state["status"] == "not_enrolled"
    assert [one["withdrawn_at"] is not None for one in state["consents"]] == [True]
    assert await is_confirmed(ana) is None
    assert problem(await ana.client.post("/api/faces/challenge", json={"purpose": "verify"})) == (
        409,
        "faces.not_enrolled",
    )
    sql = "SELECT count(*) FROM security_data_key WHERE scope LIKE 'face/%' AND wrapped IS NOT NULL"
    assert (await node.node.store.read(lambda q: q.one(sql)))[0] == 0, "its key is destroyed"  # type: ignore[index]
    assert (await ana.client.delete("/api/faces/me")).json() == {"deleted": False}
    assert (await enrol(ana)).status_code == 201, "and may begin anew"


async def test_an_administrator_deletes_a_persons_face_and_nobody_else_does(node: FacesNode) -> None:
    ana, chefe = await node.person("ana"), await node.node.phone("chefe", "admin")
    path = f"/api/users/{ana.user.id}/face"
    assert problem(await ana.client.delete(path)) == (403, "forbidden")
    assert (await chefe.client.delete(path)).json() == {"deleted": True}
    assert (await ana.client.get("/api/faces/me")).json()["status"] == "not_enrolled"
    assert problem(await chefe.client.delete("/api/users/nobody/face")) == (404, "not_found")


async def test_who_leaves_the_hospital_leaves_no_face_behind(node: FacesNode) -> None:
    ana, chefe = await node.person("ana"), await node.node.phone("chefe", "admin")
    assert (await chefe.client.patch(f"/api/users/{ana.user.id}", json={"disabled": True})).status_code == 200
    left = "SELECT count(*) FROM security_face_template"
    keys = "SELECT count(*) FROM security_data_key WHERE scope LIKE 'face/%' AND wrapped IS NOT NULL"
    for sql in (left, keys):
        assert (await node.node.store.read(lambda q, sql=sql: q.one(sql)))[0] == 0  # type: ignore[index, misc]
    assert (await chefe.client.patch(f"/api/users/{ana.user.id}", json={"disabled": False})).status_code == 200
    assert (await ana.login()).status_code == 200
    state = (await ana.client.get("/api/faces/me")).json()
    assert (state["status"], state["consents"][0]["withdrawn_at"] is not None) == ("not_enrolled", True)


async def test_a_phone_that_lost_the_answer_gets_it_again(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    frames = pictures("ana", challenge["steps"])
    first = await send(ana, challenge["nonce"], frames, Idempotency_Key="k-1")
    again = await send(ana, challenge["nonce"], frames, Idempotency_Key="k-1")
    assert (first.status_code, first.json()) == (again.status_code, again.json()) == (200, again.json())
    assert again.headers["idempotency-replayed"] == "true"
    without = await send(ana, challenge["nonce"], frames)
    assert problem(without) == (403, "faces.challenge_used")


async def test_blurred_pictures_and_a_model_that_is_away_cost_no_attempt(node: FacesNode) -> None:
    ana = await node.person("ana")
    for _ in range(6):
        challenge = await ask(ana)
        frames = [picture("ana", problem="blurred"), *pictures("ana", challenge["steps"])]
        answer = await send(ana, challenge["nonce"], frames)
        assert problem(answer) == (422, "faces.unusable")
        assert answer.json()["field"] == "frames[0]"
    for _ in range(6):
        node.faces.failures.append(UNAVAILABLE(what="face"))
        assert problem(await verify(ana)) == (503, "unavailable")
    assert (await verify(ana)).status_code == 200


@pytest.mark.parametrize(
    ("frames", "field"),
    [
        ([], "frames"),
        ([base64.b64encode(b"GIF89a").decode()], "frames[0]"),
        (["not base64!"], "frames"),
        (sent([picture("ana") for _ in range(17)]), "frames"),
        (sent([b"\xff\xd8\xff" + bytes(1_000_000)]), "frames"),
    ],
)
async def test_what_is_no_row_of_pictures_is_refused_before_anything_is_spent(
    node: FacesNode, frames: list[str], field: str
) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    answer = await ana.client.post("/api/faces/verify", json={"nonce": challenge["nonce"], "frames": frames})
    assert problem(answer) == (422, "invalid")
    assert answer.json()["field"].removeprefix("$.").startswith(field)
    right = await send(ana, challenge["nonce"], pictures("ana", challenge["steps"]))
    assert right.status_code == 200


async def test_no_picture_is_kept_anywhere(node: FacesNode) -> None:
    ana = await node.person("ana")
    marker = b"nowhere-to-be-found-" * 3
    for name in ("ana", "other"):
        challenge = await ask(ana)
        frames = pictures(name, challenge["steps"], mark=marker.decode())
        await send(ana, challenge["nonce"], frames, Idempotency_Key=f"k-{name}")
        needles = [marker, base64.b64encode(frames[0])[:64], base64.b64encode(marker)]
        for path in (node.node.folder / "home").rglob("*"):
            if path.is_file():
                held = path.read_bytes()
                assert not [needle for needle in needles if needle in held], path
