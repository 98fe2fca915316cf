from __future__ import annotations

import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Permission
from appliance.security import signing, users
from appliance.security.identity import Identity
from appliance.security.policy import KNOWN, ROLES, Policy, permissions_of
from appliance.security.vault import Vault
from appliance.store.database import Database
from tests.unit.security.conftest import refusal

NOW = "2026-03-02T12:00:00.000Z"


async def add(db: Database, vault: Vault, name: str, role: str = "nurse") -> users.User:
    return await db.write(
        lambda tx: users.create_user(tx, vault, username=name, role=role, display_name=name.title(), now=NOW)
    )


async def test_a_person_gets_an_id_and_a_signing_key(db: Database, vault: Vault) -> None:
    user = await add(db, vault, "Ana.Souza", "physician")
    assert (user.username, user.role, user.disabled_at) == ("ana.souza", "physician", None)
    assert await db.read(lambda q: users.get_user(q, user.id)) == user
    assert await db.read(lambda q: users.find_by_name(q, "ANA.SOUZA")) == user
    assert len(await db.read(lambda q: signing.public_keys(q, user.id))) == 1


@pytest.mark.parametrize("name", ["", "a", "-ana", "ana maria", "ana@hospital", "x" * 65, "ána", "ana\n"])
async def test_bad_usernames(db: Database, vault: Vault, name: str) -> None:
    assert await refusal(add(db, vault, name)) == "invalid"


async def test_names_are_unique_in_any_case_and_roles_are_known(db: Database, vault: Vault) -> None:
    await add(db, vault, "ana")
    assert await refusal(add(db, vault, "ANA")) == "user.exists"
    assert await refusal(add(db, vault, "bia", "superuser")) == "invalid"


async def test_a_bare_update_changes_nothing_and_the_rest_only_what_is_given(db: Database, vault: Vault) -> None:
    user = await add(db, vault, "ana")
    assert await db.write(lambda tx: users.update_user(tx, user.id)) == user
    changed = await db.write(
        lambda tx: users.update_user(tx, user.id, display_name="Dra. Ana", practitioner_id="Practitioner/1")
    )
    assert (changed.display_name, changed.practitioner_id, changed.role) == ("Dra. Ana", "Practitioner/1", "nurse")
    assert await refusal(db.write(lambda tx: users.update_user(tx, "nobody", role="nurse"))) == "not_found"
    assert await refusal(db.write(lambda tx: users.update_user(tx, user.id, role="king"))) == "invalid"


async def test_disabling_retires_the_signing_key_and_enabling_makes_a_new_one(
    db: Database, vault: Vault, identity: Identity
) -> None:
    user = await add(db, vault, "ana", "physician")
    await db.write(lambda tx: identity.set_enabled(tx, user.id, enabled=False))
    with pytest.raises(ProntuarioError, match=r"signing\.no_key"):
        await db.read(lambda q: signing.sign(q, vault, user.id, {}))
    back = await db.write(lambda tx: identity.set_enabled(tx, user.id, enabled=True))
    assert back.disabled_at is None
    keys = await db.read(lambda q: signing.public_keys(q, user.id))
    assert [key.retired_at is None for key in keys] == [True, False]
    again = await db.write(lambda tx: identity.set_enabled(tx, user.id, enabled=True))
    assert again == back
    assert len(await db.read(lambda q: signing.public_keys(q, user.id))) == 2


async def test_the_last_administrator_can_not_be_lost(db: Database, vault: Vault) -> None:
    first = await add(db, vault, "first", "admin")
    assert await refusal(db.write(lambda tx: users.disable_user(tx, first.id, NOW))) == "user.last_admin"
    assert await refusal(db.write(lambda tx: users.update_user(tx, first.id, role="it"))) == "user.last_admin"
    second = await add(db, vault, "second", "admin")
    await db.write(lambda tx: users.disable_user(tx, first.id, NOW))
    assert await refusal(db.write(lambda tx: users.disable_user(tx, second.id, NOW))) == "user.last_admin"
    await db.write(lambda tx: users.update_user(tx, first.id, role="it"))


async def test_people_are_listed_in_pages(db: Database, vault: Vault) -> None:
    for name in ("cara", "ana", "bia"):
        await add(db, vault, name)
    first = await db.read(lambda q: users.list_users(q, limit=2))
    rest = await db.read(lambda q: users.list_users(q, after="bia", limit=2))
    assert [user.username for user in first + rest] == ["ana", "bia", "cara"]


async def test_a_password_for_nobody(db: Database) -> None:
    assert await refusal(db.write(lambda tx: users.set_password_hash(tx, "nobody", "x"))) == "not_found"


# -- policy ------------------------------------------------------------------------------------------------------------
def test_the_roles_are_those_of_the_house_rules() -> None:
    clinical = {
        "patient.read", "patient.write", "record.read", "record.write", "dictation.read", "dictation.write", "note.read",
        "note.write", "ai.transcribe", "ai.chat", "ai.speak", "model.read",
    }  # fmt: skip
    assert {role: set(names) for role, names in ROLES.items()} == {
        "physician": clinical | {"note.sign", "note.export"},
        "nurse": clinical,
        "auditor": {"audit.read", "node.read"},
        "admin": {
            "user.manage", "device.manage", "node.read", "node.manage", "plugin.read", "job.read", "job.manage", "model.read",
        },
        "it": {"device.manage", "node.read", "node.manage", "plugin.read", "job.read", "job.manage", "model.read"},
    }  # fmt: skip
    assert len(KNOWN) == 22


def test_an_unknown_role_may_nothing() -> None:
    assert permissions_of("intruder") == Policy().permissions_of("intruder") == frozenset()
    assert permissions_of("nurse") == ROLES["nurse"]


def test_a_plugin_adds_its_own_permission() -> None:
    policy = Policy()
    policy.register([Permission("images.view", "see", frozenset({"physician", "it"}))])
    assert "images.view" in policy.known
    assert policy.permissions_of("physician") == ROLES["physician"] | {"images.view"}
    assert policy.permissions_of("nurse") == ROLES["nurse"]
    assert "images.view" not in KNOWN


@pytest.mark.parametrize(
    ("name", "role", "reason"),
    [("note.sign", "nurse", "already exists"), ("public", "nurse", "already exists"), ("self", "nurse", "already"),
     ("images.view", "king", "unknown roles")],
)  # fmt: skip
def test_a_plugin_can_not_widen_what_exists(name: str, role: str, reason: str) -> None:
    policy = Policy()
    with pytest.raises(ValueError, match=reason):
        policy.register([Permission(name, "", frozenset({role}))])
    assert policy.permissions_of("nurse") == ROLES["nurse"]
