from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.plugin_api.http import Route
from appliance.security import signing
from appliance.security.audit_heads import head_text
from appliance.security.merkle import leaf_hash, verify_consistency, verify_inclusion
from tests.api.identity_node import ADDRESS, PASSWORD, IdentityNode, csr_of, identity_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[IdentityNode]:
    async with identity_node(tmp_path) as running:
        yield running


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.text
    return answer.status_code, answer.json()["code"]


# -- the way of a phone ------------------------------------------------------------------------------------------------
async def test_from_qr_code_to_who_am_i(node: IdentityNode) -> None:
    admin = await node.phone("chefe", "admin")
    made = await admin.client.post("/api/users", json={"username": "ana", "role": "physician", "display_name": "Dra. Ana",
                                                       "password": PASSWORD})  # fmt: skip
    assert made.status_code == 201
    user_id = made.json()["id"]
    assert made.headers["location"] == f"/api/users/{user_id}"
    code = await admin.client.post(f"/api/users/{user_id}/enrolment-codes")
    assert code.headers["cache-control"] == "no-store"
    shown = parse_qs(urlsplit(code.json()["uri"]).query)
    assert shown == {"h": [ADDRESS], "c": [code.json()["code"]], "p": [node.authority.pin]}
    ana = await node.enrol(await node.store.read(lambda q: find(q, user_id)), shown["c"][0])
    assert (await ana.login()).status_code == 200
    me = (await ana.client.get("/api/me")).json()
    assert (me["user"]["display_name"], me["device_id"]) == ("Dra. Ana", ana.device_id)
    assert "note.sign" in me["permissions"]
    assert "user.manage" not in me["permissions"]


def find(q: object, user_id: str) -> object:
    from appliance.security import users

    return users.get_user(q, user_id)  # type: ignore[arg-type]


async def test_a_spent_code_is_refused_in_the_callers_language(node: IdentityNode) -> None:
    user = await node.user("ana", "nurse")
    code = (await node.store.write(lambda tx: node.identity.create_enrolment_code(tx, user.id, None))).code
    await node.enrol(user, code)
    async with node.client() as stranger:
        body = {"code": code, "csr": csr_of()}
        answer = await stranger.post("/api/enrolment", json=body, headers={"accept-language": "en"})
        assert problem(answer) == (403, "enrolment.used")
        assert "already used" in answer.text
        answer = await stranger.post("/api/enrolment", json=body, headers={"accept-language": "pt-BR"})
        assert "já foi usado" in answer.text


async def test_a_retried_enrolment_gets_the_same_certificate(node: IdentityNode) -> None:
    user = await node.user("ana", "nurse")
    code = (await node.store.write(lambda tx: node.identity.create_enrolment_code(tx, user.id, None))).code
    async with node.client() as stranger:
        body, key = {"code": code, "csr": csr_of()}, {"idempotency-key": "enrol-1"}
        first = await stranger.post("/api/enrolment", json=body, headers=key)
        again = await stranger.post("/api/enrolment", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()


async def test_guessing_a_code_through_the_api_locks_it(node: IdentityNode) -> None:
    user = await node.user("ana", "nurse")
    code = (await node.store.write(lambda tx: node.identity.create_enrolment_code(tx, user.id, None))).code
    wrong = code[:-1] + ("A" if code[-1] != "A" else "B")
    async with node.client() as stranger:
        for _ in range(5):
            answer = await stranger.post("/api/enrolment", json={"code": wrong, "csr": csr_of()})
            assert problem(answer) == (403, "enrolment.refused")
        answer = await stranger.post("/api/enrolment", json={"code": code, "csr": csr_of()})
        assert problem(answer) == (403, "enrolment.refused")


async def test_login_needs_the_phones_certificate(node: IdentityNode) -> None:
    await node.user("ana", "nurse")
    async with node.client() as stranger:
        answer = await stranger.post("/api/login", json={"username": "ana", "password": PASSWORD})
    assert problem(answer) == (401, "auth.device_required")


async def test_wrong_passwords_end_in_429_with_retry_after(node: IdentityNode) -> None:
    phone = await node.phone("ana", "nurse")
    answers = [await phone.login("wrong") for _ in range(4)]
    assert [problem(answer)[0] for answer in answers] == [401, 401, 401, 429]
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_a_token_on_another_phone(node: IdentityNode) -> None:
    ana, bia = await node.phone("ana", "nurse"), await node.phone("bia", "nurse")
    bia.client.headers["Authorization"] = ana.client.headers["Authorization"]
    assert problem(await bia.client.get("/api/me")) == (401, "auth.device_mismatch")


async def test_refresh_then_reuse(node: IdentityNode) -> None:
    phone = await node.phone("ana", "nurse")
    spent = {"refresh_token": phone.tokens["refresh_token"]}
    renewed = await phone.client.post("/api/token/refresh", json=spent)
    assert renewed.status_code == 200
    assert renewed.headers["cache-control"] == "no-store"
    phone.use(renewed.json())
    assert (await phone.client.get("/api/me")).status_code == 200
    assert problem(await phone.client.post("/api/token/refresh", json=spent)) == (401, "auth.refresh_reused")
    assert problem(await phone.client.get("/api/me")) == (401, "auth.revoked")


async def test_tokens_never_reach_an_idempotency_record(node: IdentityNode) -> None:
    phone = await node.enrol(await node.user("ana", "nurse"))
    answer = await phone.client.post(
        "/api/login", json={"username": "ana", "password": PASSWORD}, headers={"idempotency-key": "login-1"}
    )
    tokens = answer.json()
    stored = b"".join(path.read_bytes() for path in (node.folder / "home" / "data").glob("record.sqlite*"))
    for secret in (tokens["access_token"], tokens["refresh_token"], PASSWORD):
        assert secret.encode() not in stored


async def test_logout_counts_at_once(node: IdentityNode) -> None:
    phone = await node.phone("ana", "nurse")
    assert (await phone.client.post("/api/logout")).status_code == 204
    assert problem(await phone.client.get("/api/me")) == (401, "auth.revoked")
    refresh = {"refresh_token": phone.tokens["refresh_token"]}
    assert problem(await phone.client.post("/api/token/refresh", json=refresh)) == (401, "auth.revoked")


async def test_an_expired_session(node: IdentityNode) -> None:
    phone = await node.phone("ana", "nurse")
    node.clock.pass_time(900)
    assert problem(await phone.client.get("/api/me")) == (401, "auth.expired")


async def test_changing_ones_password(node: IdentityNode) -> None:
    phone = await node.phone("ana", "nurse")
    change = {"current_password": "wrong", "new_password": "outra frase bem longa"}
    assert problem(await phone.client.post("/api/me/password", json=change)) == (401, "auth.invalid_credentials")
    weak = {"current_password": PASSWORD, "new_password": "senha12345"}
    assert problem(await phone.client.post("/api/me/password", json=weak)) == (422, "password.weak")
    good = {"current_password": PASSWORD, "new_password": "outra frase bem longa"}
    assert (await phone.client.post("/api/me/password", json=good)).status_code == 204
    assert (await phone.client.get("/api/me")).status_code == 200
    assert (await phone.login("outra frase bem longa")).status_code == 200


async def test_renewing_the_phones_certificate(node: IdentityNode) -> None:
    phone = await node.phone("ana", "nurse")
    answer = await phone.client.post("/api/me/device/certificate", json={"csr": csr_of()})
    assert answer.status_code == 201
    assert answer.json()["device_id"] == phone.device_id
    assert problem(await phone.client.post("/api/me/device/certificate", json={"csr": "x"})) == (422, "enrolment.csr")


async def test_forty_phones_log_in_at_once(node: IdentityNode) -> None:
    phones = [await node.enrol(await node.user(f"medico{number}", "physician")) for number in range(40)]
    answers = await asyncio.gather(*(phone.login() for phone in phones))
    assert {answer.status_code for answer in answers} == {200}
    names = [
        answer.json()["user"]["username"] for answer in await asyncio.gather(*(p.client.get("/api/me") for p in phones))
    ]
    assert names == [phone.user.username for phone in phones]


# -- administration ----------------------------------------------------------------------------------------------------
async def test_people_are_managed(node: IdentityNode) -> None:
    admin, ana = await node.phone("chefe", "admin"), await node.phone("ana", "nurse")
    one = f"/api/users/{ana.user.id}"
    changed = await admin.client.patch(one, json={"role": "physician", "display_name": "Dra. Ana"})
    assert (changed.json()["role"], changed.json()["display_name"]) == ("physician", "Dra. Ana")
    assert "note.sign" in (await ana.client.get("/api/me")).json()["permissions"]
    disabled = await admin.client.patch(one, json={"disabled": True})
    assert disabled.json()["disabled_at"] is not None
    assert problem(await ana.client.get("/api/me")) == (401, "auth.revoked")
    assert problem(await ana.login()) == (401, "auth.invalid_credentials")
    await admin.client.patch(one, json={"disabled": False})
    assert (await ana.login()).status_code == 200
    assert (
        await admin.client.post(f"{one}/password", json={"new_password": "nova frase bem longa"})
    ).status_code == 204
    assert problem(await ana.client.get("/api/me")) == (401, "auth.revoked")
    assert (await ana.login("nova frase bem longa")).status_code == 200
    page = (await admin.client.get("/api/users", params={"limit": 1})).json()
    assert ([user["username"] for user in page["users"]], page["next"]) == (["ana"], "ana")
    page = (await admin.client.get("/api/users", params={"after": "ana"})).json()
    assert ([user["username"] for user in page["users"]], page["next"]) == (["chefe"], None)
    assert "password" not in (await admin.client.get(one)).text


async def test_sessions_and_devices_are_ended(node: IdentityNode) -> None:
    admin, ana = await node.phone("chefe", "admin"), await node.phone("ana", "nurse")
    running = (await admin.client.get(f"/api/users/{ana.user.id}/sessions")).json()["sessions"]
    assert [session["id"] for session in running] == [ana.tokens["session_id"]]
    assert (await admin.client.delete(f"/api/sessions/{running[0]['id']}")).json() == {"sessions": 1}
    assert problem(await ana.client.get("/api/me")) == (401, "auth.revoked")
    await ana.login()
    assert (await admin.client.delete(f"/api/users/{ana.user.id}/sessions")).json() == {"sessions": 1}
    assert problem(await ana.client.get("/api/me")) == (401, "auth.revoked")
    await ana.login()
    listed = (await admin.client.get("/api/devices", params={"user": ana.user.id})).json()["devices"]
    assert [device["id"] for device in listed] == [ana.device_id]
    revoked = await admin.client.delete(f"/api/devices/{ana.device_id}")
    assert revoked.json()["revoked_at"] is not None
    assert problem(await ana.client.get("/api/me")) == (401, "auth.revoked")
    assert problem(await ana.login()) == (401, "auth.revoked")
    assert (await admin.client.get(f"/api/devices/{ana.device_id}")).json()["revoked_at"] is not None


BAD_REQUESTS: list[tuple[str, str, object, tuple[int, str]]] = [
        ("GET", "/api/users/nobody", None, (404, "not_found")),
        ("PATCH", "/api/users/nobody", {}, (404, "not_found")),
        ("DELETE", "/api/users/nobody/sessions", None, (404, "not_found")),
        ("GET", "/api/users/nobody/sessions", None, (404, "not_found")),
        ("POST", "/api/users/nobody/enrolment-codes", None, (404, "not_found")),
        ("DELETE", "/api/devices/nothing", None, (404, "not_found")),
        ("DELETE", "/api/sessions/nothing", None, (404, "not_found")),
        ("GET", "/api/users?limit=0", None, (422, "invalid")),
        ("GET", "/api/users?limit=x", None, (422, "invalid")),
        ("GET", "/api/users?limit=" + "9" * 5000, None, (422, "invalid")),
        ("POST", "/api/users", {"username": "a b", "role": "nurse", "display_name": "x"}, (422, "invalid")),
        ("POST", "/api/users", {"username": "ab", "role": "king", "display_name": "x"}, (422, "invalid")),
        ("POST", "/api/users", {"username": "ab", "role": "nurse", "display_name": ""}, (422, "invalid")),
        ("POST", "/api/users", {"username": "ab", "role": "nurse", "display_name": "x", "more": 1}, (422, "invalid")),
        ("POST", "/api/users", {"username": "chefe", "role": "nurse", "display_name": "x"}, (409, "user.exists")),
        ("POST", "/api/users", {"username": "ab", "role": "nurse", "display_name": "x", "password": "x"},
         (422, "password.weak")),
]  # fmt: skip


async def test_bad_requests_get_a_helpful_answer(node: IdentityNode) -> None:
    admin = await node.phone("chefe", "admin")
    for method, path, body, expected in BAD_REQUESTS:
        assert (path, problem(await admin.client.request(method, path, json=body))) == (path, expected)


async def test_the_last_administrator_stays(node: IdentityNode) -> None:
    admin = await node.phone("chefe", "admin")
    answer = await admin.client.patch(f"/api/users/{admin.user.id}", json={"disabled": True})
    assert problem(answer) == (409, "user.last_admin")


async def test_others_manage_nobody(node: IdentityNode) -> None:
    wanted = [route for route in node.routes if isinstance(route, Route) and route.permission == "user.manage"]
    assert len(wanted) == 8
    for role in ("physician", "nurse", "auditor", "it"):
        phone = await node.phone(f"the.{role}", role)
        for route in wanted:
            path = route.path.format(user_id=phone.user.id, session_id=phone.tokens["session_id"])
            answer = await phone.client.request(route.method, path, json={} if route.request else None)
            assert problem(answer) == (403, "forbidden")


async def test_a_shared_device_for_the_ward(node: IdentityNode) -> None:
    it = await node.phone("tecnico", "it")
    code = (await it.client.post("/api/devices/enrolment-codes")).json()["code"]
    ana = await node.user("ana", "nurse")
    tablet = await node.enrol(ana, code)
    assert (await tablet.login()).status_code == 200
    tablet.user = await node.user("bia", "nurse")
    assert (await tablet.login()).status_code == 200


# -- signatures --------------------------------------------------------------------------------------------------------
async def test_a_persons_public_key_checks_their_signature(node: IdentityNode) -> None:
    ana, bia = await node.phone("ana", "physician"), await node.phone("bia", "nurse")
    signature = await node.store.read(lambda q: signing.sign(q, node.identity._vault, ana.user.id, {"note": 1}))
    keys = (await bia.client.get(f"/api/users/{ana.user.id}/signing-key")).json()["keys"]
    assert keys[0]["key_id"] == signature.key_id
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(keys[0]["public_key"]))
    message = signing.signed_bytes({"note": 1}, signature.key_id, signature.signed_at)
    public.verify(base64.b64decode(signature.value), message)


# -- audit -------------------------------------------------------------------------------------------------------------
async def test_the_auditor_sees_who_did_what(node: IdentityNode) -> None:
    auditor, ana = await node.phone("fiscal", "auditor"), await node.phone("ana", "nurse")
    await ana.client.get("/api/me")
    page = (await auditor.client.get("/api/audit", params={"user": ana.user.id, "limit": 2})).json()
    assert [row["event"]["action"] for row in page["events"]] == ["me", "login"]
    older = (await auditor.client.get("/api/audit", params={"user": ana.user.id, "before": page["next"]})).json()
    assert [row["event"]["action"] for row in older["events"]] == ["enrol"]
    assert PASSWORD not in str(page)


async def test_the_log_proves_itself(node: IdentityNode) -> None:
    auditor = await node.phone("fiscal", "auditor")
    old = (await auditor.client.get("/api/audit/head")).json()
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(old["public_key"]))
    key.verify(bytes.fromhex(old["signature"]), head_text(old["size"], old["root"], old["signed_at"]))
    for _ in range(5):
        await auditor.client.get("/api/me")
    new = (await auditor.client.get("/api/audit/head")).json()
    sizes = {"old": old["size"], "new": new["size"]}
    grown = (await auditor.client.get("/api/audit/consistency", params=sizes)).json()
    path = [bytes.fromhex(part) for part in grown["hashes"]]
    roots = bytes.fromhex(old["root"]), bytes.fromhex(new["root"])
    assert verify_consistency(old["size"], new["size"], path, *roots)
    proof = (await auditor.client.get("/api/audit/2/proof", params={"size": new["size"]})).json()
    path = [bytes.fromhex(part) for part in proof["hashes"]]
    assert verify_inclusion(1, new["size"], leaf_hash(proof["body"].encode()), path, roots[1])
    report = (await auditor.client.get("/api/audit/check")).json()
    assert report["ok"] is True
    assert report["size"] >= new["size"]


async def test_an_event_leaves_as_fhir(node: IdentityNode) -> None:
    auditor = await node.phone("fiscal", "auditor")
    answer = await auditor.client.get("/api/audit/1/fhir")
    assert answer.headers["content-type"].startswith("application/fhir+json")
    assert answer.json()["resourceType"] == "AuditEvent"


BAD_QUESTIONS = [
    ("/api/audit/999999/proof", (404, "not_found")),
    ("/api/audit/999999/fhir", (404, "not_found")),
    ("/api/audit/0/proof", (422, "invalid")),
    ("/api/audit/x/fhir", (422, "invalid")),
    ("/api/audit/1/proof?size=999999", (404, "not_found")),
    ("/api/audit/consistency", (422, "invalid")),
    ("/api/audit/consistency?old=999999", (404, "not_found")),
    ("/api/audit?limit=501", (422, "invalid")),
]


async def test_bad_questions_about_the_log(node: IdentityNode) -> None:
    auditor = await node.phone("fiscal", "auditor")
    for path, expected in BAD_QUESTIONS:
        assert (path, problem(await auditor.client.get(path))) == (path, expected)


async def test_only_auditors_read_the_log(node: IdentityNode) -> None:
    paths = ("/api/audit", "/api/audit/head", "/api/audit/check", "/api/audit/1/proof", "/api/audit/1/fhir")
    for role in ("physician", "nurse", "admin", "it"):
        phone = await node.phone(f"the.{role}", role)
        for path in paths:
            assert problem(await phone.client.get(path)) == (403, "forbidden")
