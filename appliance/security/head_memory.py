"""The newest signed head that this machine has seen, kept beside the record and not in it.

Who cuts the end off the log with its heads, or puts an old record in place of the new one, leaves a record that agrees with
itself. It does not agree with this file, nor with the other Mac's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from appliance.security import files
from appliance.security.audit_heads import SignedHead, verify_head
from appliance.security.merkle import verify_consistency


def read_head(path: Path) -> SignedHead | None:
    """The head in a file; None: there is none whose signature is right. Blocks a little."""
    try:
        head = msgspec.json.decode(path.read_bytes(), type=SignedHead)
    except (OSError, msgspec.DecodeError):
        return None
    return head if verify_head(head) else None


def _goes_on(known: SignedHead, head: SignedHead, proof: Sequence[str]) -> bool:
    if head.size <= known.size:
        return (head.size, head.root) == (known.size, known.root)
    try:
        hashes, roots = [bytes.fromhex(one) for one in proof], [bytes.fromhex(one.root) for one in (known, head)]
    except ValueError:
        return False
    return known.size == 0 or verify_consistency(known.size, head.size, hashes, *roots)


class HeadMemory:
    """One file, replaced whole. ``trusted``: whose heads are believed. Every call blocks a little."""

    def __init__(self, path: Path, trusted: frozenset[str]) -> None:
        self._path, self._trusted = path, trusted

    def newest(self) -> SignedHead | None:
        """What is remembered; None: nothing, or nothing that a key of ours has signed."""
        head = read_head(self._path)
        return head if head is not None and head.key_id in self._trusted else None

    def remember(self, head: SignedHead, proof: Sequence[str] = ()) -> bool:
        """Whether ``head`` is remembered now, or was already. Only a log that goes on from the remembered one takes its place.

        ``proof``: that it does (``audit.prove_consistency`` from what is remembered, hashes in hex; RFC 6962 §2.1.2). Otherwise
        a log that was cut would only have to grow again to be believed.

        Raises:
            OSError: it can't be written.
        """
        if head.key_id not in self._trusted or not verify_head(head):
            return False
        known = self.newest()
        if known is not None and not _goes_on(known, head, proof):
            return False
        if known is None or head.size > known.size:
            files.write_file(self._path, msgspec.json.encode(head))
        return True

    def forget(self) -> SignedHead | None:
        """A person has said that the record was restored; what was remembered. Raises ``OSError``."""
        known = self.newest()
        self._path.unlink(missing_ok=True)
        return known
