"""People: functions on a transaction."""

from __future__ import annotations

import re
import secrets
from typing import Final

import msgspec

from appliance.plugin_api.errors import INVALID, NOT_FOUND
from appliance.plugin_api.storage import Query, Row, Transaction
from appliance.security import signing
from appliance.security.errors import LAST_ADMIN, USER_EXISTS
from appliance.security.policy import ROLES
from appliance.security.vault import Vault

_USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")
_COLUMNS: Final = "id, username, display_name, role, practitioner_id, created_at, disabled_at"


class User(msgspec.Struct, frozen=True):
    """A person, without secrets. ``practitioner_id`` is the FHIR Practitioner that stands for them in the record."""

    id: str
    username: str
    display_name: str
    role: str
    practitioner_id: str | None
    created_at: str
    disabled_at: str | None


def create_user(  # the password is hashed off the loop before: see Identity.hash_new_password
    tx: Transaction,
    vault: Vault,
    *,
    username: str,
    role: str,
    display_name: str,
    now: str,
    password_hash: str | None = None,
    practitioner_id: str | None = None,
) -> User:
    """Make a person and their signing key. Without a password they can't log in until one is set.

    Raises:
        ProntuarioError: ``invalid`` 422 (username, role), ``user.exists`` 409.
    """
    name = username.casefold()
    if not _USERNAME.fullmatch(name):
        raise INVALID(field="username", name="username", reason="2-64 of a-z 0-9 . _ -")
    _check_role(role)
    if find_by_name(tx, name) is not None:
        raise USER_EXISTS(field="username")
    user_id = secrets.token_hex(16)
    tx.execute(
        "INSERT INTO security_user (id, username, display_name, role, password_hash, practitioner_id, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (user_id, name, display_name, role, password_hash, practitioner_id, now),
    )
    signing.create_key(tx, vault, user_id, now)
    return get_user(tx, user_id)


def get_user(q: Query, user_id: str) -> User:
    """A person by id.

    Raises:
        ProntuarioError: ``not_found`` 404.
    """
    row = q.one(f"SELECT {_COLUMNS} FROM security_user WHERE id = ?", (user_id,))  # noqa: S608  fixed column names
    if row is None:
        raise NOT_FOUND(what=f"user/{user_id}")
    return _user(row)


def find_by_name(q: Query, username: str) -> User | None:
    """A person by username, in any case."""
    row = q.one(f"SELECT {_COLUMNS} FROM security_user WHERE username = ?", (username.casefold(),))  # noqa: S608  fixed
    return None if row is None else _user(row)


def list_users(q: Query, *, after: str = "", limit: int = 200) -> list[User]:
    """People by username, after ``after``."""
    sql = f"SELECT {_COLUMNS} FROM security_user WHERE username > ? ORDER BY username LIMIT ?"  # noqa: S608  fixed
    return [_user(row) for row in q.all(sql, (after, limit))]


def update_user(
    tx: Transaction,
    user_id: str,
    *,
    display_name: str | None = None,
    role: str | None = None,
    practitioner_id: str | None = None,
) -> User:
    """Change what is given. A changed role takes effect on the next request (see ``Identity.forget``).

    Raises:
        ProntuarioError: ``not_found`` 404, ``invalid`` 422, ``user.last_admin`` 409.
    """
    before = get_user(tx, user_id)
    if role is not None:
        _check_role(role)
        if role != "admin":
            _keep_an_admin(tx, before)
    tx.execute(
        "UPDATE security_user SET display_name = coalesce(?, display_name), role = coalesce(?, role),"
        " practitioner_id = coalesce(?, practitioner_id) WHERE id = ?",
        (display_name, role, practitioner_id, user_id),
    )
    return get_user(tx, user_id)


def disable_user(tx: Transaction, user_id: str, now: str) -> User:
    """No log-in and no new signature any more; what they wrote and signed stays. Sessions are ended by ``Identity``.

    Raises:
        ProntuarioError: ``not_found`` 404, ``user.last_admin`` 409.
    """
    _keep_an_admin(tx, get_user(tx, user_id))
    tx.execute("UPDATE security_user SET disabled_at = ? WHERE id = ? AND disabled_at IS NULL", (now, user_id))
    signing.retire_keys(tx, now, user_id=user_id)
    return get_user(tx, user_id)


def enable_user(tx: Transaction, vault: Vault, user_id: str, now: str) -> User:
    """Let a disabled person in again, with a new signing key."""
    if get_user(tx, user_id).disabled_at is not None:
        tx.execute("UPDATE security_user SET disabled_at = NULL WHERE id = ?", (user_id,))
        signing.create_key(tx, vault, user_id, now)
    return get_user(tx, user_id)


def password_hash_of(q: Query, user_id: str) -> str | None:
    """The encoded argon2id hash, or None when no password was set."""
    row = q.one("SELECT password_hash FROM security_user WHERE id = ?", (user_id,))
    return None if row is None or row[0] is None else str(row[0])


def set_password_hash(tx: Transaction, user_id: str, password_hash: str) -> None:
    """Replace the password."""
    if not tx.execute("UPDATE security_user SET password_hash = ? WHERE id = ?", (password_hash, user_id)):
        raise NOT_FOUND(what=f"user/{user_id}")


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise INVALID(field="role", name="role", reason=" | ".join(ROLES))


def _keep_an_admin(tx: Transaction, leaving: User) -> None:
    if leaving.role != "admin" or leaving.disabled_at is not None:
        return
    sql = "SELECT 1 FROM security_user WHERE role = 'admin' AND disabled_at IS NULL AND id <> ? LIMIT 1"
    if tx.one(sql, (leaving.id,)) is None:
        raise LAST_ADMIN()


def _user(row: Row) -> User:
    return msgspec.convert(dict(zip(User.__struct_fields__, row, strict=True)), User)
