"""The weekly failover: a planned handover under writes, with a stop-watch and a count of what was acknowledged and is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from appliance.operations.drills import note, watched
from appliance.operations.drills.conductor import Drill
from appliance.operations.drills.errors import NOBODY_TOOK_OVER, NOTE_DIFFERS, WRITES_LOST
from appliance.operations.drills.note import SyntheticNote
from appliance.operations.drills.rehearsal import Rehearsal, StepFailed
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Store
from appliance.telemetry.clock import Clock

WEEK_S: Final = 7 * 24 * 3600.0
FAILOVER: Final = "failover"
ROOTS: Final = "roots"
NOTE: Final = "note"
OPEN_LIMIT_S: Final = 60.0
_PAUSE_S: Final = 0.25
ALONE: Final = ("este nó trabalha sozinho.", "this node works alone.")


class Handover(msgspec.Struct, frozen=True):
    """How it went: for how long neither node served, in seconds, and whether somebody took over."""

    outage_s: float
    ok: bool
    before: str
    after: str


class Partner(Protocol):
    """The pair, as far as a drill touches it."""

    def leads(self) -> bool:
        """Whether this node leads now."""
        ...

    async def hand_over(self, by: str) -> Handover:
        """Carry it out and measure it.

        Raises:
            ProntuarioError: ``cluster.no_drill``: it is not possible now.
        """
        ...

    async def ask(self, verb: str, body: bytes) -> bytes:
        """Ask the other node (``answer``). Raises ``ProntuarioError``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverParts:
    """``partner``: None on a node alone."""

    store: Store
    clock: Clock
    partner: Partner | None


def failover_drill(parts: FailoverParts) -> Drill:
    """Of a pair one of the two; the next one, a week later, goes the other way. On a node alone: not configured."""

    async def perform(rehearsal: Rehearsal) -> None:
        await hand_over(rehearsal, parts, FAILOVER)

    partner = parts.partner
    return Drill(
        name=FAILOVER, title_pt="troca semanal de nó", title_en="weekly failover", every_s=WEEK_S,
        about_pt="O outro Mac assume enquanto se grava; mede-se a espera e procura-se cada gravação confirmada. Ninguém volta: "
        "na semana seguinte a troca vai no outro sentido.",
        about_en="The other Mac takes over while writes go on; the wait is measured and every acknowledged write looked for. "
        "Nobody goes back: the next week's goes the other way.",
        perform=perform, disturbs=partner is not None, shared=True, here=lambda: partner is None or partner.leads(),
    )  # fmt: skip


async def hand_over(rehearsal: Rehearsal, parts: FailoverParts, drill: str) -> bool:
    """The steps of a measured handover; whether the other node leads now.

    Raises:
        StepFailed: nobody took over, or it could not begin.
    """
    pt, en = "O outro nó assume durante gravações", "The other node takes over under writes"
    if parts.partner is None:
        rehearsal.not_configured("handover", pt, en, why=ALONE)
        return False
    writer = watched.Writer(parts.store, parts.clock, drill)
    async with rehearsal.step("handover", pt, en, needed=True) as figures:
        try:
            await writer.start()
            went = await parts.partner.hand_over(rehearsal.by)
        finally:
            await writer.stop()
        figures.update(before=went.before, after=went.after or "-", outage_s=went.outage_s)
        rehearsal.measured(went.outage_s)
        if not went.ok:
            raise NOBODY_TOOK_OVER(node=went.before)
    pt, en = "Toda gravação confirmada está no nó que assumiu", "Every acknowledged write is on the node that took over"
    async with rehearsal.step("writes", pt, en) as figures:
        lost = await _missing(parts.partner, writer.acknowledged)
        rehearsal.measured(lost=lost, watched=len(writer.acknowledged))
        figures.update(watched=len(writer.acknowledged), missing=lost, audit_events=writer.acknowledged[-1].size)
        if lost:
            raise WRITES_LOST(lost=lost, watched=len(writer.acknowledged))
    return True


async def read_there(rehearsal: Rehearsal, partner: Partner, expected: SyntheticNote) -> None:
    """A step: the synthetic patient's note reads the same on the node that took over, which then deletes it."""
    pt, en = "A nota é lida no nó que assumiu", "The note is read on the node that took over"
    async with rehearsal.step("note there", pt, en) as figures:
        told = await _patiently(partner, NOTE, msgspec.msgpack.encode(expected.place))
        digest = msgspec.msgpack.decode(told, type=str)
        figures["sha256"] = digest[:16] or "-"
        if digest != expected.sha256:
            raise NOTE_DIFFERS(where=en)


async def answer(store: Store, clock: Clock, verb: str, body: bytes) -> bytes:
    """What this node tells the one that makes a drill, as the one that took over.

    Raises:
        ProntuarioError: no record is open here.
    """
    if verb == ROOTS:
        sizes = msgspec.msgpack.decode(body, type=list[int])
        return msgspec.msgpack.encode(await store.read(lambda q: watched.roots(q, sizes)))
    place = msgspec.msgpack.decode(body, type=note.Place)
    digest = await store.read(lambda q: note.digest_of(q, place))
    if digest:
        await note.forget(store, clock, place)
    return msgspec.msgpack.encode(digest)


async def _missing(partner: Partner, acknowledged: Sequence[watched.Watched]) -> int:
    told = await _patiently(partner, ROOTS, msgspec.msgpack.encode([one.size for one in acknowledged]))
    return watched.missing(acknowledged, msgspec.msgpack.decode(told, type=dict[int, str]))


async def _patiently(partner: Partner, verb: str, body: bytes) -> bytes:
    """The other node has only just opened the record."""
    try:
        async with asyncio.timeout(OPEN_LIMIT_S):
            while True:
                try:
                    return await partner.ask(verb, body)
                except ProntuarioError:
                    await asyncio.sleep(_PAUSE_S)
    except TimeoutError:
        return await partner.ask(verb, body)  # and say why not


__all__ = ["FailoverParts", "Handover", "Partner", "StepFailed", "answer", "failover_drill", "hand_over", "read_there"]
