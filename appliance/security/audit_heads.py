"""Signed tree heads, and checking the whole log against them.

A head is kept from time to time, in the record and beside it, on both Macs (``head_memory``). Whoever rewrites an old row must
then also forge an Ed25519 signature: ``check_log`` reads every row again and compares with every head that was ever signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.config.model import Paths
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.security import audit, files
from appliance.security.audit import TreeHead, as_int
from appliance.security.merkle import Frontier, leaf_hash
from appliance.security.vault import Vault

_ROWS_A_STEP: Final = 20_000
_CONTEXT: Final = b"audit-key"


class SignedHead(msgspec.Struct, frozen=True):
    """A tree head and the node's signature over it; keys and value in hex, ``signed_at`` a FHIR instant."""

    size: int
    root: str
    signed_at: str
    key_id: str
    public_key: str
    signature: str


class Report(msgspec.Struct, frozen=True):
    """What a check of the whole log found. ``problems`` are sentences for an auditor; none means intact."""

    ok: bool
    size: int
    root: str
    heads_checked: int
    problems: tuple[str, ...]


async def nothing_remembered() -> Sequence[SignedHead]:
    """No head is kept outside the record."""
    return ()


class HeadSigner:
    """Signs heads with this node's own Ed25519 key, which lies in the secrets folder, sealed by the vault."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.remembered: Callable[[], Awaitable[Sequence[SignedHead]]] = nothing_remembered
        """Heads that are kept outside the record; set by who keeps them."""
        self.public_key = key.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)

    @classmethod
    def open(cls, paths: Paths, vault: Vault) -> HeadSigner:
        """Load the key, or make it on the first start.

        Raises:
            ProntuarioError: ``vault.damaged`` when it does not open.
        """
        path = paths.secrets / "audit.key"
        if path.exists():
            return cls(Ed25519PrivateKey.from_private_bytes(vault.open(path.read_bytes(), _CONTEXT)))
        key = Ed25519PrivateKey.generate()
        files.make_private_folder(paths.secrets)
        files.write_file(path, vault.seal(key.private_bytes_raw(), _CONTEXT))
        return cls(key)

    @property
    def trusted(self) -> frozenset[str]:
        """The keys whose heads a check may believe: this one, which both nodes of a pair have. Anybody can make another."""
        return frozenset({self.key_id})

    async def check(self, store: Store) -> Report:
        """``check_log`` by this key, also against what is remembered outside the record: asked first, for the log grows."""
        return await check_log(store, self.trusted, await self.remembered())

    def sign(self, head: TreeHead, signed_at: str) -> SignedHead:
        """Sign what ``head_text`` makes of it."""
        signature = self._key.sign(head_text(head.size, head.root, signed_at))
        return SignedHead(head.size, head.root, signed_at, self.key_id, self.public_key.hex(), signature.hex())

    def sign_document(self, kind: str, content: bytes) -> bytes:
        """This node's signature (64 bytes) over ``document_text(kind, content)``: never the text of a head."""
        return self._key.sign(document_text(kind, content))

    def keep(self, tx: Transaction, signed_at: str) -> SignedHead:
        """Sign the tree as it stands and keep that, unless the newest kept head is already of this size."""
        newest = latest(tx)
        head = audit.head(tx)
        if newest is not None and newest.size >= head.size:
            return newest
        signed = self.sign(head, signed_at)
        tx.execute(
            "INSERT INTO audit_head (size, root, signed_at, key_id, public_key, signature) VALUES (?, ?, ?, ?, ?, ?)",
            (
                signed.size, bytes.fromhex(signed.root), signed.signed_at, signed.key_id, self.public_key,
                bytes.fromhex(signed.signature),
            ),
        )  # fmt: skip
        return signed


def key_id_of(public_key: bytes) -> str:
    """The first half of the public key's SHA-256, in hex."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def head_text(size: int, root: str, signed_at: str) -> bytes:
    """The exact bytes under a head's signature."""
    return f"prontuario/audit/1\n{size}\n{root}\n{signed_at}\n".encode()


def document_text(kind: str, content: bytes) -> bytes:
    """The exact bytes under a document's signature. ``kind``: what it is, and the version of its form."""
    return f"prontuario/document/1\n{kind}\n".encode() + content


def verify_head(head: SignedHead) -> bool:
    """Whether the signature fits the head and its key."""
    try:
        public_key = bytes.fromhex(head.public_key)
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(bytes.fromhex(head.signature), head_text(head.size, head.root, head.signed_at))
    except (InvalidSignature, ValueError):
        return False
    return key_id_of(public_key) == head.key_id


def latest(q: Query) -> SignedHead | None:
    """The newest kept head."""
    heads = _heads(q, "ORDER BY size DESC LIMIT 1")
    return heads[0] if heads else None


def every_head(q: Query) -> list[SignedHead]:
    """Every kept head, oldest first."""
    return _heads(q, "ORDER BY size")


@dataclass
class LogCheck:
    """A check of the whole log in steps, so that a long log does not hold a reader for minutes."""

    trusted_key_ids: frozenset[str] | None = None
    """Keys that may have signed heads; None trusts every key (the signatures are checked all the same)."""
    remembered: Sequence[SignedHead] = ()
    """Heads that were kept outside the record."""
    tree: Frontier = field(default_factory=Frontier)
    problems: list[str] = field(default_factory=list)
    heads_checked: int = 0
    _heads: Mapping[int, SignedHead] | None = None

    def step(self, q: Query) -> bool:
        """Check the next rows; True while there may be more."""
        if self._heads is None:
            self._heads = {head.size: head for head in _heads(q, "ORDER BY size")}
            self.heads_checked = len(self._heads) + len(self.remembered)
            self._check_signatures((*self._heads.values(), *self.remembered))
        rows = q.all(
            "SELECT seq, body FROM audit_event WHERE seq > ? ORDER BY seq LIMIT ?", (self.tree.size, _ROWS_A_STEP)
        )
        for row in rows:
            if as_int(row[0]) != self.tree.size + 1:
                self.problems.append(f"events {self.tree.size + 1} to {as_int(row[0]) - 1} are missing")
                return False
            self._add(q, str(row[1]), self._heads)
        return len(rows) == _ROWS_A_STEP

    def report(self, q: Query) -> Report:
        """The finding, once ``step`` said that all is read."""
        for size in self._heads or {}:
            if size > self.tree.size:
                self.problems.append(f"the log was cut: a signed head counts {size} events")
        for size in sorted({head.size for head in self.remembered if head.size > self.tree.size}):
            self.problems.append(f"the log was cut: a head kept outside the record counts {size} events")
        size = audit.size_of(q)
        if self.tree.size <= size and audit.root_at(q, self.tree.size) != self.tree.root():
            self.problems.append("the stored tree does not match the events")
        return Report(
            not self.problems, self.tree.size, self.tree.root().hex(), self.heads_checked, tuple(self.problems)
        )

    def _add(self, q: Query, body: str, heads: Mapping[int, SignedHead]) -> None:
        for level, position, value in self.tree.add(leaf_hash(body.encode())):
            row = q.one("SELECT hash FROM audit_node WHERE level = ? AND position = ?", (level, position))
            if row is None or row[0] != value:
                self.problems.append(f"the stored node over event {self.tree.size} does not match")
        for head in (heads.get(self.tree.size), *self.remembered):
            if head is not None and head.size == self.tree.size and head.root != self.tree.root().hex():
                self.problems.append(f"events up to {head.size} differ from what was signed at {head.signed_at}")

    def _check_signatures(self, heads: Sequence[SignedHead]) -> None:
        for head in heads:
            if not verify_head(head):
                self.problems.append(f"the signature of the head of {head.size} events is wrong")
            elif self.trusted_key_ids is not None and head.key_id not in self.trusted_key_ids:
                self.problems.append(f"the head of {head.size} events was signed by an unknown key")


def verify(q: Query, trusted_key_ids: frozenset[str] | None = None) -> Report:
    """Check the whole log in one go."""
    check = LogCheck(trusted_key_ids)
    while check.step(q):
        pass
    return check.report(q)


async def check_log(
    store: Store, trusted_key_ids: frozenset[str] | None = None, remembered: Sequence[SignedHead] = ()
) -> Report:
    """Check the whole log beside the daily work: a reader is held for some tens of milliseconds at a time."""
    check = LogCheck(trusted_key_ids, remembered)
    while await store.read(check.step):
        pass
    return await store.read(check.report)


def _heads(q: Query, order: str) -> list[SignedHead]:
    sql = f"SELECT size, root, signed_at, key_id, public_key, signature FROM audit_head {order}"  # noqa: S608  fixed text
    return [
        SignedHead(as_int(row[0]), _hex(row[1]), str(row[2]), str(row[3]), _hex(row[4]), _hex(row[5]))
        for row in q.all(sql)
    ]


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else ""
