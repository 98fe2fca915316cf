"""Templates at rest: AES-256-GCM under a data key of the person's own, bound to person and model version.

A row that is moved to another person, or relabelled with another model's version, does not open. Deleting a template destroys its
key (crypto-erasure): what backups and the other Mac still hold of it becomes noise once their copies of the key have aged out.
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Transaction
from appliance.security.faces import vectors
from appliance.security.faces.errors import NOT_ENROLLED, TEMPLATE_INVALID
from appliance.security.faces.judging import Template
from appliance.security.vault import NONCE_BYTES, Vault

_FORMAT: Final = b"\x01"


def keep(tx: Transaction, vault: Vault, user_id: str, template: Template, *, now: str) -> None:
    """Enrol a person; what was enrolled before is destroyed first."""
    destroy(tx, vault, user_id)
    key = vault.data_key(tx, scope_of(user_id))
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = AESGCM(key.secret).encrypt(nonce, vectors.encode(template.vector), _aad(user_id, template.model_version))
    tx.execute(
        "INSERT INTO security_face_template (user_id, model_version, key_id, sealed, enrolled_at) VALUES (?, ?, ?, ?, ?)",
        (user_id, template.model_version, key.key_id, _FORMAT + nonce + sealed, now),
    )


def find(q: Query, vault: Vault, user_id: str) -> Template:
    """The person's template.

    Raises:
        ProntuarioError: ``faces.not_enrolled`` 409; ``faces.template_invalid`` 409 when it is damaged, moved or relabelled.
    """
    row = q.one("SELECT model_version, key_id, sealed FROM security_face_template WHERE user_id = ?", (user_id,))
    if row is None:
        raise NOT_ENROLLED()
    version, sealed = str(row["model_version"]), row["sealed"]
    if not isinstance(sealed, bytes) or sealed[:1] != _FORMAT:
        raise TEMPLATE_INVALID()
    nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        key = vault.find_key(q, str(row["key_id"]))
        packed = AESGCM(key.secret).decrypt(nonce, body, _aad(user_id, version))
        return Template(version, vectors.decode(packed))
    except (InvalidTag, ValueError, ProntuarioError) as error:
        raise TEMPLATE_INVALID() from error


def enrolled(q: Query, user_id: str) -> tuple[str, str] | None:
    """(model version, when) of the person's template, without opening it; None when there is none."""
    row = q.one("SELECT model_version, enrolled_at FROM security_face_template WHERE user_id = ?", (user_id,))
    return None if row is None else (str(row[0]), str(row[1]))


def destroy(tx: Transaction, vault: Vault, user_id: str) -> bool:
    """Delete the person's template and destroy its key; whether there was one."""
    vault.erase(tx, scope_of(user_id))
    return tx.execute("DELETE FROM security_face_template WHERE user_id = ?", (user_id,)) > 0


def scope_of(user_id: str) -> str:
    """The vault's scope of the person's face."""
    return f"face/{user_id}"


def _aad(user_id: str, model_version: str) -> bytes:
    return b"\x00".join((b"prontuario/face/1", user_id.encode(), model_version.encode()))
