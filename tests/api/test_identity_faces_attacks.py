"""Attacks on faces over HTTPS: each is refused under a code of its own, is in the audit log, and confirms nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from appliance.security.certificates import fingerprint
from appliance.security.faces import templates, vectors
from appliance.security.faces.challenges import Caller
from appliance.security.faces.desk import FaceDesk
from tests.api.faces_node import (
    ON,
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
from tests.api.identity_node import PASSWORD, TestPhone
from tests.fakes.scripted_faces import person_vector, picture, pictures

GESTURES = ["turn_left", "turn_right", "nod"]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[FacesNode]:
    async with faces_node(tmp_path) as running:
        yield running


async def refused(node: FacesNode, phone: TestPhone, code: str) -> None:
    """The last attempt is in the audit log under ``code``, and the session is not confirmed."""
    assert (await node.attempts())[-1][1] == code
    assert await is_confirmed(phone) is None


# -- whose face ----------------------------------------------------------------------------------------------------------
async def test_another_enrolled_persons_face(node: FacesNode) -> None:
    ana, _rui = await node.person("ana"), await node.person("rui")
    assert problem(await verify(ana, "rui")) == (403, "faces.different")
    await refused(node, ana, "faces.different")


async def test_a_face_that_changes_on_the_way(node: FacesNode) -> None:
    ana, _rui = await node.person("ana"), await node.person("rui")
    challenge = await ask(ana)
    frames = pictures("rui", challenge["steps"])
    frames[0] = picture("ana")
    assert problem(await send(ana, challenge["nonce"], frames)) == (403, "faces.changed")
    await refused(node, ana, "faces.changed")


async def test_the_face_of_a_stranger_is_not_enrolled_over_two_people(node: FacesNode) -> None:
    ana = await node.node.phone("ana", "physician")
    challenge = await ask(ana, "enrol")
    frames = pictures("ana", challenge["steps"])
    frames[-1] = picture("stranger")
    body = {"nonce": challenge["nonce"], "frames": sent(frames), "current_password": PASSWORD}
    answer = await ana.client.post("/api/faces/enrol", json=body | {"consent": {"text_version": "1", "agreed": True}})
    assert problem(answer) == (403, "faces.changed")
    assert (await ana.client.get("/api/faces/me")).json()["status"] == "not_enrolled"


# -- the same pictures again ---------------------------------------------------------------------------------------------
async def test_a_replayed_set_of_frames(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    frames = pictures("ana", challenge["steps"])
    assert (await send(ana, challenge["nonce"], frames)).status_code == 200
    node.node.clock.pass_time(121)
    replayed = await send(ana, (await ask(ana))["nonce"], frames)
    assert problem(replayed) == (403, "faces.replayed")
    await refused(node, ana, "faces.replayed")


async def test_one_frame_seen_before_is_enough_even_after_weeks_and_from_another_person(node: FacesNode) -> None:
    ana, rui = await node.person("ana"), await node.person("rui")
    challenge = await ask(ana)
    frames = pictures("ana", challenge["steps"])
    assert (await send(ana, challenge["nonce"], frames)).status_code == 200
    node.node.clock.pass_time(30 * 86_400)
    assert (await rui.login()).status_code == 200
    challenge = await ask(rui)
    stolen = [*pictures("rui", challenge["steps"])[:-1], frames[-1]]
    assert problem(await send(rui, challenge["nonce"], stolen)) == (403, "faces.replayed")
    await refused(node, rui, "faces.replayed")


async def test_the_same_file_twice_in_one_set(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    frames = pictures("ana", challenge["steps"])
    assert problem(await send(ana, challenge["nonce"], [frames[0], *frames])) == (403, "faces.replayed")
    await refused(node, ana, "faces.replayed")


# -- without doing what was asked ----------------------------------------------------------------------------------------
async def test_frames_without_the_challenge(node: FacesNode) -> None:
    ana = await node.person("ana")
    for nonce in ("", "x" * 43):
        answer = await send(ana, nonce, pictures("ana", GESTURES))
        assert answer.status_code in {403, 422}
    await refused(node, ana, "faces.challenge_unknown")
    assert await node.attempts() == [(422, "invalid"), (202, ""), (403, "faces.challenge_unknown")]


@pytest.mark.parametrize(
    "cheat", ["no gestures", "other order", "one too many", "one missing", "every one", "ends turned away"]
)
async def test_other_gestures_than_those_asked_for(node: FacesNode, cheat: str) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    steps = list(challenge["steps"])
    spare = next(gesture for gesture in GESTURES if gesture not in {steps[-1], steps[0]})
    performed = {
        "no gestures": ["straight"] * 5,
        "other order": [*steps[1:], steps[0]] if steps[0] != steps[-1] else [spare, *steps[1:]],
        "one too many": [*steps, spare],
        "one missing": ["straight", *steps[:-1]],
        "every one": (GESTURES * 5)[:14],
        "ends turned away": steps,
    }[cheat]
    frames = pictures("ana", performed)
    if cheat == "ends turned away":
        frames = frames[:-1]
    assert problem(await send(ana, challenge["nonce"], frames)) == (403, "faces.steps_wrong")
    await refused(node, ana, "faces.steps_wrong")


async def test_one_photo_copied_with_other_bytes(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    photo = {"box": (200, 100, 350, 290), "noise": 0.0}
    frames = [picture("ana", copy=number, **photo) for number in range(5)]
    assert problem(await send(ana, challenge["nonce"], frames)) == (403, "faces.still")
    await refused(node, ana, "faces.still")


# -- nonces --------------------------------------------------------------------------------------------------------------
async def test_a_stale_nonce(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    node.node.clock.pass_time(61)
    assert problem(await send(ana, challenge["nonce"], pictures("ana", challenge["steps"]))) == (
        403,
        "faces.challenge_expired",
    )
    await refused(node, ana, "faces.challenge_expired")


async def test_a_nonce_counts_once_whether_it_was_right_or_wrong(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    assert problem(await send(ana, challenge["nonce"], pictures("rui", challenge["steps"]))) == (403, "faces.different")
    again = await send(ana, challenge["nonce"], pictures("ana", challenge["steps"]))
    assert problem(again) == (403, "faces.challenge_used")
    await refused(node, ana, "faces.challenge_used")


async def test_a_newer_challenge_of_the_session_ends_the_older_one(node: FacesNode) -> None:
    ana = await node.person("ana")
    older, _newer = await ask(ana), await ask(ana)
    answer = await send(ana, older["nonce"], pictures("ana", older["steps"]))
    assert problem(answer) == (403, "faces.challenge_unknown")
    await refused(node, ana, "faces.challenge_unknown")


async def test_a_nonce_of_another_person(node: FacesNode) -> None:
    ana, rui = await node.person("ana"), await node.person("rui")
    challenge = await ask(rui)
    answer = await send(ana, challenge["nonce"], pictures("ana", challenge["steps"]))
    assert problem(answer) == (403, "faces.challenge_foreign")
    await refused(node, ana, "faces.challenge_foreign")
    own = await send(rui, challenge["nonce"], pictures("rui", challenge["steps"]))
    assert own.status_code == 200, "whose it is, is not harmed"


async def test_a_nonce_of_the_persons_own_other_device(node: FacesNode) -> None:
    ana = await node.person("ana")
    tablet = await node.node.enrol(ana.user)
    assert (await tablet.login()).status_code == 200
    challenge = await ask(tablet)
    answer = await send(ana, challenge["nonce"], pictures("ana", challenge["steps"]))
    assert problem(answer) == (403, "faces.challenge_foreign")
    await refused(node, ana, "faces.challenge_foreign")


async def test_a_nonce_of_an_earlier_session_on_the_same_phone(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    assert (await ana.login()).status_code == 200
    answer = await send(ana, challenge["nonce"], pictures("ana", challenge["steps"]))
    assert problem(answer) == (403, "faces.challenge_foreign")
    await refused(node, ana, "faces.challenge_foreign")


async def test_a_nonce_that_was_handed_out_for_enrolling(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana, "enrol")
    answer = await send(ana, challenge["nonce"], pictures("ana", challenge["steps"]))
    assert problem(answer) == (403, "faces.challenge_foreign")
    await refused(node, ana, "faces.challenge_foreign")


# -- templates -----------------------------------------------------------------------------------------------------------
async def test_a_template_of_another_models_version(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    node.faces.version = "scripted-2"
    answer = await send(ana, challenge["nonce"], pictures("ana", challenge["steps"]))
    assert problem(answer) == (409, "faces.enrol_again")
    await refused(node, ana, "faces.enrol_again")
    assert (await ana.client.get("/api/faces/me")).json()["status"] == "enrol_again"
    assert problem(await ana.client.post("/api/faces/challenge", json={"purpose": "verify"})) == (
        409,
        "faces.enrol_again",
    )
    assert (await enrol(ana)).status_code == 201
    assert (await verify(ana)).status_code == 200


async def test_a_template_relabelled_with_the_current_version(node: FacesNode) -> None:
    ana = await node.person("ana")
    node.faces.version = "scripted-2"
    await node.node.store.write(lambda tx: tx.execute("UPDATE security_face_template SET model_version = 'scripted-2'"))
    assert problem(await verify(ana)) == (409, "faces.template_invalid")
    await refused(node, ana, "faces.template_invalid")


async def test_a_template_moved_to_another_person(node: FacesNode) -> None:
    """Who may write to the database puts their own template into the row of somebody with more rights."""
    ana, rui = await node.person("ana"), await node.person("rui")
    moved = (
        "UPDATE security_face_template SET (key_id, sealed) ="
        " (SELECT key_id, sealed FROM security_face_template WHERE user_id = ?) WHERE user_id = ?"
    )
    await node.node.store.write(lambda tx: tx.execute(moved, (rui.user.id, ana.user.id)))
    assert problem(await verify(ana, "rui")) == (409, "faces.template_invalid")
    await refused(node, ana, "faces.template_invalid")
    assert (await verify(rui)).status_code == 200


async def test_one_flipped_bit_in_a_template(node: FacesNode) -> None:
    ana = await node.person("ana")
    row = await node.node.store.read(lambda q: q.one("SELECT sealed FROM security_face_template"))
    sealed = bytearray(row[0])  # type: ignore[index, arg-type]
    sealed[-1] ^= 1
    await node.node.store.write(lambda tx: tx.execute("UPDATE security_face_template SET sealed = ?", (bytes(sealed),)))
    assert problem(await verify(ana)) == (409, "faces.template_invalid")
    await refused(node, ana, "faces.template_invalid")


async def test_a_template_deleted_while_the_model_looked(node: FacesNode) -> None:
    """The verdict was over a template that nobody wants to count any more: nothing is confirmed."""
    ana = await node.person("ana")
    seen = node.faces.describe

    async def slow(*given: object) -> object:
        description = await seen(*given)  # type: ignore[arg-type]
        assert (await ana.client.delete("/api/faces/me")).json() == {"deleted": True}
        return description

    node.faces.describe = slow  # type: ignore[method-assign, assignment]
    assert problem(await verify(ana)) == (409, "faces.not_enrolled")
    await refused(node, ana, "faces.not_enrolled")


async def test_a_verdict_that_comes_too_late_confirms_nothing(node: FacesNode) -> None:
    """Frames that were taken in time, and a request that is finished long afterwards: after a crash, or by a patient thief."""
    ana = await node.person("ana")
    seen = node.faces.describe

    async def slow(*given: object) -> object:
        node.node.clock.pass_time(121)
        return await seen(*given)  # type: ignore[arg-type]

    node.faces.describe = slow  # type: ignore[method-assign, assignment]
    assert problem(await verify(ana)) == (403, "faces.challenge_expired")
    await refused(node, ana, "faces.challenge_expired")


async def test_of_two_answers_to_one_challenge_at_once_one_counts(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    both = await asyncio.gather(*(send(ana, challenge["nonce"], pictures("ana", challenge["steps"])) for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [200, 403]
    assert [problem(answer)[1] for answer in both if answer.status_code == 403] == ["faces.challenge_used"]


async def test_the_other_mac_knows_challenges_frames_and_failures_after_a_takeover(node: FacesNode) -> None:
    """Everything lies in the record: a second desk over the same one goes on where the first stopped."""
    ana = await node.person("ana")
    certificate = x509.load_pem_x509_certificate((node.node.folder / f"{ana.device_id}.pem").read_bytes())
    der = certificate.public_bytes(Encoding.DER)
    caller = Caller(ana.user.id, ana.tokens["session_id"], fingerprint(der))
    other = FaceDesk(node.node.store, node.vault, node.node.clock, ON, lambda: node.faces)
    for _ in range(2):
        assert problem(await verify(ana, "rui")) == (403, "faces.different")
    challenge = await ask(ana)
    frames = pictures("ana", challenge["steps"])
    taken = await node.node.store.write(lambda tx: other.take(tx, caller, "verify", challenge["nonce"], frames))
    assert [*taken.steps] == challenge["steps"]
    assert problem(await send(ana, challenge["nonce"], frames)) == (429, "faces.wait"), (
        "the third attempt was counted there"
    )
    node.node.clock.pass_time(2)
    again = await node.node.store.write(lambda tx: other.take(tx, caller, "verify", challenge["nonce"], frames))
    assert again.refusal == "faces.challenge_used"
    node.node.clock.pass_time(3)
    assert problem(await send(ana, (await ask(ana))["nonce"], frames)) == (403, "faces.replayed")


# -- guessing ------------------------------------------------------------------------------------------------------------
async def test_guesses_are_slowed_down_and_locked_and_the_password_still_works(node: FacesNode) -> None:
    ana = await node.person("ana")
    waits = []
    for _ in range(8):
        assert problem(await verify(ana, "rui")) == (403, "faces.different")
        wait_s = (await ana.client.get("/api/faces/me")).json()["wait_s"]
        waits.append(round(wait_s))
        if waits[-1]:
            asked = await ana.client.post("/api/faces/challenge", json={"purpose": "verify"})
            assert problem(asked) == (429, "faces.wait")
            assert float(asked.headers["retry-after"]) >= 1
            if waits[-1] < 900:
                node.node.clock.pass_time(wait_s)
    assert waits == [0, 0, 1, 2, 4, 8, 16, 900]
    right = await ana.client.post("/api/me/confirmation", json={"current_password": PASSWORD})
    assert right.status_code == 200
    assert await is_confirmed(ana) == "password"
    node.node.clock.pass_time(900)
    assert (await ana.login()).status_code == 200
    assert (await verify(ana)).status_code == 200, "and after the wait the right face starts anew"
    assert (await ana.client.get("/api/faces/me")).json()["wait_s"] == 0


async def test_a_challenge_asked_for_before_the_lock_does_not_go_round_it(node: FacesNode) -> None:
    ana = await node.person("ana")
    for _ in range(3):
        assert problem(await verify(ana, "rui")) == (403, "faces.different")
    answer = await send(ana, "x" * 43, pictures("ana", GESTURES))
    assert problem(answer) == (429, "faces.wait")


async def test_repeating_an_honest_failure_under_its_key_forgives_no_guesses(node: FacesNode) -> None:
    """A blurred picture costs no attempt; sending the same blurred request again and again must not pay for other guesses."""
    ana = await node.person("ana")
    challenge = await ask(ana)
    blurred = [picture("ana", problem="blurred"), *pictures("ana", challenge["steps"])]
    assert problem(await send(ana, challenge["nonce"], blurred, Idempotency_Key="b")) == (422, "faces.unusable")
    for _ in range(3):
        assert problem(await verify(ana, "rui")) == (403, "faces.different")
        for _ in range(2):
            again = await send(ana, challenge["nonce"], blurred, Idempotency_Key="b")
            assert problem(again) == (422, "faces.unusable")
    assert round((await ana.client.get("/api/faces/me")).json()["wait_s"]) == 1


async def test_a_key_is_no_way_to_send_other_frames_for_a_spent_challenge(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    wrong = await send(ana, challenge["nonce"], pictures("rui", challenge["steps"]), Idempotency_Key="k")
    assert problem(wrong) == (403, "faces.different")
    other = await send(ana, challenge["nonce"], pictures("ana", challenge["steps"]), Idempotency_Key="k")
    assert problem(other) == (422, "idempotency.reused")
    assert await is_confirmed(ana) is None


# -- never the only factor -----------------------------------------------------------------------------------------------
async def test_a_face_begins_no_session(node: FacesNode) -> None:
    ana = await node.person("ana")
    challenge = await ask(ana)
    frames = sent(pictures("ana", challenge["steps"]))
    certificate = node.node.folder / f"{ana.device_id}.pem"
    async with node.node.client(certificate, certificate.with_suffix(".key")) as enrolled_device:
        body = {"nonce": challenge["nonce"], "frames": frames}
        for path, what in (
            ("/api/faces/verify", body),
            ("/api/faces/challenge", {"purpose": "verify"}),
            ("/api/me/confirmation", {"current_password": PASSWORD}),
        ):
            assert problem(await enrolled_device.post(path, json=what)) == (401, "auth.required")
        login = await enrolled_device.post("/api/login", json={"username": "ana", **body})
        assert login.status_code == 422
        login = await enrolled_device.post("/api/login", json={"username": "ana", "password": ""})
        assert login.status_code in {401, 422}
    async with node.node.client() as stranger:
        assert problem(await stranger.post("/api/faces/verify", json=body)) == (401, "auth.required")


async def test_a_verified_face_lifts_nobody_above_their_role(node: FacesNode) -> None:
    nurse = await node.person("bia", "nurse")
    before = (await nurse.client.get("/api/me")).json()["permissions"]
    assert (await verify(nurse)).status_code == 200
    assert (await nurse.client.get("/api/me")).json()["permissions"] == before
    assert problem(await nurse.client.get("/api/users")) == (403, "forbidden")


async def test_a_confirmed_token_on_another_device_is_worth_nothing(node: FacesNode) -> None:
    ana, rui = await node.person("ana"), await node.person("rui")
    assert (await verify(ana)).status_code == 200
    rui.use(ana.tokens)
    assert problem(await rui.client.post(SIGN)) == (401, "auth.device_mismatch")


async def test_the_stored_template_is_the_persons_and_no_plain_numbers(node: FacesNode) -> None:
    """The control of the tests above: a template that is opened rightly lies close to its person."""
    ana = await node.person("ana")
    vault = await node.node.store.read(lambda q: q.one("SELECT sealed FROM security_face_template"))
    found = await node.node.store.read(lambda q: templates.find(q, node.vault, ana.user.id))
    assert vectors.distance(found.vector, person_vector("ana")) < 0.4
    packed = vectors.encode(found.vector)
    assert packed[:16] not in vault[0]  # type: ignore[index, operator]
