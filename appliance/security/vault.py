"""The vault: one master key, and under it a data key for each scope (a patient, a dictation) that can be destroyed alone.

The master key never lies on disk in the clear (see ``master_key``). From it two keys are derived (HKDF-SHA-256): one wraps
data keys, one seals small secrets. Erasing a scope destroys the wrapped keys and leaves tombstones: the ciphertext that
others still hold (the peer, old backups) becomes noise once those copies of the key rows have aged out.
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.plugin_api.errors import NOT_FOUND, ProntuarioError
from appliance.plugin_api.storage import Query, Row, Transaction
from appliance.security.errors import VAULT_DAMAGED, VAULT_ERASED, VAULT_LOCKED
from appliance.store.blobs import DataKey
from appliance.telemetry.clock import Clock, SystemClock, instant

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_FORMAT: Final = b"\x01"
_PROOF: Final = b"vault proof"


class Vault:
    """Opened with the master key. Stateless beyond it, so any thread may call it inside its own transaction."""

    def __init__(self, master_key: bytes, clock: Clock | None = None) -> None:
        if len(master_key) != KEY_BYTES:
            raise ValueError("the master key must have 32 bytes")
        self._wrapping = AESGCM(_derive(master_key, b"prontuario/vault/wrap/1"))
        self._sealing = AESGCM(_derive(master_key, b"prontuario/vault/seal/1"))
        self._clock = clock or SystemClock()

    def data_key(self, tx: Transaction, scope: str) -> DataKey:
        """The scope's current key, made on first use. After an erasure the scope gets a new key, never the old one."""
        row = tx.one(
            "SELECT id, scope, version, wrapped FROM security_data_key WHERE scope = ? ORDER BY version DESC LIMIT 1",
            (scope,),
        )
        if row is not None and row["wrapped"] is not None:
            return self._unwrap(row)
        version = 1 if row is None else _integer(row) + 1
        key_id, secret = secrets.token_hex(16), secrets.token_bytes(KEY_BYTES)
        wrapped = _encrypt(self._wrapping, secret, _key_context(scope, key_id, version))
        tx.execute(
            "INSERT INTO security_data_key (id, scope, version, wrapped, created_at) VALUES (?, ?, ?, ?, ?)",
            (key_id, scope, version, wrapped, instant(self._clock.now())),
        )
        return DataKey(key_id, secret)

    def find_key(self, q: Query, key_id: str) -> DataKey:
        """The key that a blob names.

        Raises:
            ProntuarioError: ``not_found`` 404; ``vault.erased`` 410; ``vault.damaged`` 500.
        """
        row = q.one("SELECT id, scope, version, wrapped FROM security_data_key WHERE id = ?", (key_id,))
        if row is None:
            raise NOT_FOUND(what="key")
        if row["wrapped"] is None:
            raise VAULT_ERASED()
        return self._unwrap(row)

    def erase(self, tx: Transaction, scope: str) -> int:
        """Destroy every key of ``scope`` (crypto-erasure); the number destroyed. Tombstones stay."""
        return tx.execute(
            "UPDATE security_data_key SET wrapped = NULL, erased_at = ? WHERE scope = ? AND wrapped IS NOT NULL",
            (instant(self._clock.now()), scope),
        )

    def check(self, tx: Transaction) -> None:
        """Prove that this is the master key that this database was written with (the first call notes it).

        Raises:
            ProntuarioError: ``vault.locked`` when it is another one: a new key must not be used beside the old one.
        """
        if not self.recognises(tx):
            tx.execute("INSERT INTO security_vault (id, proof) VALUES (1, ?)", (self.seal(b"", _PROOF),))

    def recognises(self, q: Query) -> bool:
        """As ``check``, without writing: False when the database has not noted any master key yet."""
        row = q.one("SELECT proof FROM security_vault")
        if row is None:
            return False
        proof = row["proof"]
        self.verify_proof(proof if isinstance(proof, bytes) else b"")
        return True

    def verify_proof(self, proof: bytes) -> None:
        """As ``check``, with what the database keeps (``security_vault.proof``)."""
        try:
            self.open(proof, _PROOF)
        except ProntuarioError as error:
            raise VAULT_LOCKED(reason="this is not the master key of this database") from error

    def seal(self, plaintext: bytes, aad: bytes) -> bytes:
        """Encrypt a small secret; ``aad`` says what it is and whose, and must be the same at ``open``."""
        return _encrypt(self._sealing, plaintext, aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """The secret again.

        Raises:
            ProntuarioError: ``vault.damaged`` when a bit, or the ``aad``, differs.
        """
        return _decrypt(self._sealing, sealed, aad)

    def _unwrap(self, row: Row) -> DataKey:
        key_id, scope, wrapped = str(row["id"]), str(row["scope"]), row["wrapped"]
        if not isinstance(wrapped, bytes):
            raise VAULT_DAMAGED()
        return DataKey(key_id, _decrypt(self._wrapping, wrapped, _key_context(scope, key_id, _integer(row))))


def _derive(master_key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=purpose).derive(master_key)


def _key_context(scope: str, key_id: str, version: int) -> bytes:
    return b"\x00".join((scope.encode(), key_id.encode(), str(version).encode()))


def _integer(row: Row) -> int:
    version = row["version"]
    if not isinstance(version, int):
        raise VAULT_DAMAGED()
    return version


def _encrypt(cipher: AESGCM, plaintext: bytes, aad: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return _FORMAT + nonce + cipher.encrypt(nonce, plaintext, _FORMAT + aad)


def _decrypt(cipher: AESGCM, sealed: bytes, aad: bytes) -> bytes:
    if sealed[:1] != _FORMAT:
        raise VAULT_DAMAGED()
    nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
    try:
        return cipher.decrypt(nonce, body, _FORMAT + aad)
    except (InvalidTag, ValueError) as error:
        raise VAULT_DAMAGED() from error
