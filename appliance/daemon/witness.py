"""Heads of the audit log kept outside the record, on both Macs: what was signed can't be taken back unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from appliance.config.model import Paths
from appliance.daemon.control import Verb
from appliance.daemon.enrolment import OPERATOR
from appliance.daemon.record import RecordSlot
from appliance.operations.errors import AUDIT_DAMAGED
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.security import audit
from appliance.security.audit_heads import HeadSigner, SignedHead, check_log
from appliance.security.head_memory import HeadMemory
from appliance.store.threads import to_the_end
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("audit")
SERVICE: Final = "audit-heads"
REMEMBER: Final = "remember"
NEWEST: Final = "newest"
ACCEPT: Final = "audit.accept-restored"
_DURABLE: Final = frozenset({"single", "paired"})
"""A head that is on this Mac only is not remembered: if this Mac burns before the other has it, nobody cut anything off."""
_PEER_LIMIT_S: Final = 3.0
AskPeer = Callable[[str, str, bytes], Awaitable[bytes]]


class Grown(msgspec.Struct, frozen=True):
    """A newer head, and the proof that its log goes on from the one that is remembered (hashes in hex)."""

    head: SignedHead
    proof: tuple[str, ...] = ()


class Witness:
    """Remembers heads as they are signed, has the other node remember them, and tells what both remember. ``join`` a pair."""

    def __init__(self, paths: Paths, slot: RecordSlot, signer: HeadSigner, clock: Clock) -> None:
        """From now on the signer's checks ask it."""
        self._memory = HeadMemory(paths.audit_head, signer.trusted)
        self._slot, self._signer, self._clock = slot, signer, clock
        signer.remembered = self.remembered
        self._ask_peer: AskPeer | None = None

    def join(self, services: dict[str, Callable[[str, bytes], Awaitable[bytes]]], ask: AskPeer) -> None:
        """This node is one half of a pair: remember what the other one signs."""
        services[SERVICE] = self._serve_peer
        self._ask_peer = ask

    async def saw(self, head: SignedHead) -> None:
        """A head was signed and is in the record. Raises ``OSError``, ``ProntuarioError``."""
        if self._slot.mode not in _DURABLE:
            return
        own = await self._grown(head, await asyncio.to_thread(self._memory.newest))
        if not await to_the_end(self._memory.remember, own.head, own.proof):
            log.error(
                "the audit log is not the one that was signed before; the next check of it tells", count=head.size
            )
        if self._ask_peer is not None:
            await self._asked(REMEMBER, msgspec.json.encode(await self._grown(head, await self._newest_of_peer())))

    async def _grown(self, head: SignedHead, known: SignedHead | None) -> Grown:
        if known is None or not 0 < known.size < head.size:
            return Grown(head)
        old = known.size
        proof = await self._slot.read(lambda q: audit.prove_consistency(q, old, head.size))
        return Grown(head, proof.hashes)

    async def _newest_of_peer(self) -> SignedHead | None:
        told = await self._asked(NEWEST, b"")
        try:
            return msgspec.json.decode(told, type=SignedHead) if told else None
        except msgspec.DecodeError:
            return None

    async def remembered(self) -> tuple[SignedHead, ...]:
        """This node's, and the other one's if it answers."""
        own, theirs = await asyncio.to_thread(self._memory.newest), await self._newest_of_peer()
        return tuple(head for head in (own, theirs) if head is not None and head.key_id in self._signer.trusted)

    def verbs(self) -> Mapping[str, Verb]:
        """The operator's."""
        return {ACCEPT: self._accept}

    async def _accept(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The record was restored from a copy: begin anew with what it has, and say so in the log itself."""
        if self._slot.is_open:
            report = await check_log(self._slot, self._signer.trusted)
            if not report.ok:
                raise AUDIT_DAMAGED(count=len(report.problems))
            known = await asyncio.to_thread(self._memory.newest)
            await self._slot.write(lambda tx: self._note(tx, known))
        forgotten = await to_the_end(self._memory.forget)
        log.warning("an operator accepted a restored audit log", forgotten=forgotten.size if forgotten else 0)
        return {"forgotten": forgotten.size if forgotten else 0, "record_here": self._slot.is_open}

    def _note(self, tx: Transaction, known: SignedHead | None) -> None:
        resource = f"audit/{known.size}" if known is not None else "audit"
        event = audit.AuditEvent(
            at=instant(self._clock.now()), action="audit log restored", user_id=OPERATOR, resource=resource, status=200
        )
        audit.append(tx, event)

    async def _serve_peer(self, verb: str, body: bytes) -> bytes:
        if verb == REMEMBER:
            grown = msgspec.json.decode(body, type=Grown)
            if not await to_the_end(self._memory.remember, grown.head, grown.proof):
                log.error("the other node's audit log is not the one that it signed before", count=grown.head.size)
            return b""
        newest = await asyncio.to_thread(self._memory.newest)
        return msgspec.json.encode(newest) if newest is not None else b""

    async def _asked(self, verb: str, body: bytes) -> bytes:
        """The other node's answer; empty: there is none, it is away, or of an earlier version."""
        if self._ask_peer is None:
            return b""
        try:
            async with asyncio.timeout(_PEER_LIMIT_S):
                return await self._ask_peer(SERVICE, verb, body)
        except (ProntuarioError, TimeoutError):
            return b""
