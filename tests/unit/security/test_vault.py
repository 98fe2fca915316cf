from __future__ import annotations

import re

import pytest
from pysqlite3 import dbapi2

from appliance.config.model import Paths
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.vault import Vault
from appliance.store.database import Database


def refused(code: str) -> object:
    return pytest.raises(ProntuarioError, match=rf"^{re.escape(code)}:")


async def test_a_scope_keeps_its_key_and_scopes_have_different_ones(db: Database, vault: Vault) -> None:
    first = await db.write(lambda tx: vault.data_key(tx, "Patient/1"))
    again = await db.write(lambda tx: vault.data_key(tx, "Patient/1"))
    other = await db.write(lambda tx: vault.data_key(tx, "Patient/2"))
    assert (first.key_id, first.secret) == (again.key_id, again.secret)
    assert first.secret != other.secret
    found = await db.read(lambda q: vault.find_key(q, first.key_id))
    assert found.secret == first.secret
    assert len(found.secret) == 32


async def test_an_unknown_key(db: Database, vault: Vault) -> None:
    with refused("not_found"):
        await db.read(lambda q: vault.find_key(q, "nothing"))


async def test_erasure_destroys_the_key_and_leaves_a_tombstone(db: Database, vault: Vault) -> None:
    key = await db.write(lambda tx: vault.data_key(tx, "Patient/1"))
    other = await db.write(lambda tx: vault.data_key(tx, "Patient/2"))
    assert await db.write(lambda tx: vault.erase(tx, "Patient/1")) == 1
    assert await db.write(lambda tx: vault.erase(tx, "Patient/1")) == 0
    with refused("vault.erased"):
        await db.read(lambda q: vault.find_key(q, key.key_id))
    assert (await db.read(lambda q: vault.find_key(q, other.key_id))).secret == other.secret
    row = await db.read(lambda q: q.one("SELECT wrapped, erased_at FROM security_data_key WHERE id = ?", (key.key_id,)))
    assert row is not None
    assert row["wrapped"] is None
    assert str(row["erased_at"]).startswith("2026-03-02T12:00")


async def test_after_an_erasure_the_scope_starts_over_with_a_new_key(db: Database, vault: Vault) -> None:
    old = await db.write(lambda tx: vault.data_key(tx, "Patient/1"))
    await db.write(lambda tx: vault.erase(tx, "Patient/1"))
    new = await db.write(lambda tx: vault.data_key(tx, "Patient/1"))
    assert new.secret != old.secret
    assert new.key_id != old.key_id
    versions = await db.read(lambda q: q.all("SELECT version FROM security_data_key ORDER BY version"))
    assert [row[0] for row in versions] == [1, 2]


async def test_every_flipped_bit_of_a_wrapped_key_is_noticed(db: Database, vault: Vault) -> None:
    key = await db.write(lambda tx: vault.data_key(tx, "Patient/1"))
    row = await db.read(lambda q: q.one("SELECT wrapped FROM security_data_key"))
    assert row is not None
    assert isinstance(row[0], bytes)
    wrapped = row[0]
    for position in range(len(wrapped)):
        damaged = wrapped[:position] + bytes([wrapped[position] ^ 1]) + wrapped[position + 1 :]
        await db.write(lambda tx, d=damaged: tx.execute("UPDATE security_data_key SET wrapped = ?", (d,)))
        with refused("vault.damaged"):
            await db.read(lambda q: vault.find_key(q, key.key_id))
    for shortened in (b"", wrapped[:1], wrapped[:20], wrapped[:-1]):
        await db.write(lambda tx, d=shortened: tx.execute("UPDATE security_data_key SET wrapped = ?", (d,)))
        with refused("vault.damaged"):
            await db.read(lambda q: vault.find_key(q, key.key_id))


@pytest.mark.parametrize("column", ["scope = 'Patient/2'", "version = 2", "id = 'another'"])
async def test_a_wrapped_key_can_not_be_moved_to_another_place(db: Database, vault: Vault, column: str) -> None:
    key = await db.write(lambda tx: vault.data_key(tx, "Patient/1"))
    await db.write(lambda tx: tx.execute(f"UPDATE security_data_key SET {column}"))
    with refused("vault.damaged"):
        await db.read(lambda q: vault.find_key(q, "another" if column.startswith("id") else key.key_id))


async def test_another_master_key_opens_nothing_and_is_told_at_start(db: Database, vault: Vault) -> None:
    await db.write(vault.check)
    await db.write(vault.check)
    key = await db.write(lambda tx: vault.data_key(tx, "Patient/1"))
    stranger = Vault(b"o" * 32)
    with refused("vault.damaged"):
        await db.read(lambda q: stranger.find_key(q, key.key_id))
    with refused("vault.locked"):
        await db.write(stranger.check)


def test_sealing_binds_a_secret_to_its_context(vault: Vault) -> None:
    sealed = vault.seal(b"secret", b"user 1")
    assert vault.open(sealed, b"user 1") == b"secret"
    assert vault.seal(b"secret", b"user 1") != sealed
    with refused("vault.damaged"):
        vault.open(sealed, b"user 2")


def test_sealing_and_wrapping_use_different_keys(vault: Vault) -> None:
    sealed = vault.seal(b"k" * 32, b"x")
    with refused("vault.damaged"):
        Vault(b"n" * 32).open(sealed, b"x")


def test_a_short_master_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Vault(b"short")


async def test_no_key_lies_in_the_database_file_in_the_clear(db: Database, vault: Vault, paths: Paths) -> None:
    key = await db.write(lambda tx: vault.data_key(tx, "Patient/1"))
    files = [path.read_bytes() for path in paths.database.parent.iterdir() if path.is_file()]
    assert sum(key.key_id.encode() in content for content in files) >= 1
    assert not any(key.secret in content or b"m" * 32 in content for content in files)


async def test_two_keys_of_one_version_are_impossible(db: Database, vault: Vault) -> None:
    await db.write(lambda tx: vault.data_key(tx, "Patient/1"))
    sql = (
        "INSERT INTO security_data_key (id, scope, version, wrapped, created_at)"
        " SELECT 'x', scope, version, wrapped, created_at FROM security_data_key"
    )
    with pytest.raises(dbapi2.IntegrityError):
        await db.write(lambda tx: tx.execute(sql))
