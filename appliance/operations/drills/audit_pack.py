"""The yearly audit pack: the whole log checked, a year of it with proofs, who did what by role, and every key and certificate.

The events come in the same self-proving form as ``/api/audit/export``, so ``prontuario audit verify`` checks each part.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from appliance.operations.drills.conductor import Drill
from appliance.operations.drills.inventory import inventory
from appliance.operations.drills.rehearsal import Rehearsal, StepFailed
from appliance.operations.errors import AUDIT_DAMAGED
from appliance.plugin_api.storage import Query, Store
from appliance.security import audit, audit_heads
from appliance.security.audit import as_int
from appliance.security.audit_export import AuditExport, Filter, ProvenEvent, prove, select, verify_export
from appliance.security.audit_heads import HeadSigner, Report, SignedHead
from appliance.telemetry.clock import Clock, instant

YEAR_S: Final = 365 * 24 * 3600.0
PART: Final = 10_000
MAX_PARTS: Final = 20
"""What is older within the year is named in the report and had by ``/api/audit/export``: proofs of millions fit no report."""
_PROOFS: Final = 250
"""Made in one go: a reader is held for some tens of milliseconds."""
_ROWS: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditParts:
    """``secrets``: the folder of keys and certificates, of which only public facts are told."""

    store: Store
    clock: Clock
    signer: HeadSigner
    secrets: Path
    node: str
    here: Callable[[], bool]


def audit_drill(parts: AuditParts) -> Drill:
    """Of a pair the node with the record."""

    async def perform(rehearsal: Rehearsal) -> None:
        await _Pack(rehearsal, parts).make()

    return Drill(
        name="audit", title_pt="pacote anual de auditoria", title_en="yearly audit pack", every_s=YEAR_S,
        about_pt="A auditoria inteira é conferida e o ano é exportado com provas, resumo por função, chaves e certificados.",
        about_en="The whole audit log is checked and the year exported with proofs, a summary by role, keys and certificates.",
        perform=perform, shared=True, here=parts.here,
    )  # fmt: skip


class _Pack:
    def __init__(self, rehearsal: Rehearsal, parts: AuditParts) -> None:
        self._rehearsal, self._parts = rehearsal, parts
        self._check: Report | None = None

    async def make(self) -> None:
        """Check, export, summarise, list."""
        since = instant(self._parts.clock.now() - timedelta(seconds=YEAR_S))
        async with self._rehearsal.step(
            "chain", "Cadeia de auditoria conferida por inteiro", "The whole audit chain is checked"
        ) as told:
            self._check = await self._parts.signer.check(self._parts.store)
            told.update(events=self._check.size, heads=self._check.heads_checked)
            if not self._check.ok:
                raise AUDIT_DAMAGED(count=len(self._check.problems))
        if self._check is None:
            raise StepFailed("chain")
        async with self._rehearsal.step(
            "export", "Um ano exportado com provas e cabeças assinadas", "A year exported with proofs and heads"
        ) as told:
            told.update(await self._export(since, self._check))
        async with self._rehearsal.step("access", "Resumo de acessos por função", "Accesses by role") as told:
            summary = await by_role(self._parts.store, since)
            self._attach("access-by-role.json", summary)
            told.update({role or "?": sum(actions.values()) for role, actions in summary.items()})
        async with self._rehearsal.step("keys", "Inventário de chaves e certificados", "Keys and certificates") as told:
            found = await asyncio.to_thread(inventory, self._parts.secrets)
            self._attach("keys-and-certificates.json", found)
            told.update(certificates=len(found.certificates), keys=len(found.keys))

    async def _export(self, since: str, check: Report) -> dict[str, int | str]:
        parts = self._parts
        now = instant(parts.clock.now())
        heads = await parts.store.read(audit_heads.every_head)
        head = parts.signer.sign(await parts.store.read(audit.head), now)
        self._attach("signed-heads.json", [*heads, head])
        before, count = head.size + 1, 0
        complete = False
        for number in range(1, MAX_PARTS + 1):
            part = await self._part(Filter(since=since, before=before), head, check, now)
            body = msgspec.json.encode(part)
            verdict = await asyncio.to_thread(verify_export, body, head.key_id)
            if not verdict.ok:
                raise AUDIT_DAMAGED(count=len(verdict.problems))
            count += len(part.events)
            self._rehearsal.attach(f"audit-events-{number:02d}.json", body)
            complete = part.complete
            if complete:
                break
            before = part.events[-1].seq
        return {"exported": count, "complete": "sim" if complete else f"não: anteriores a {before} pela exportação"}

    async def _part(self, wanted: Filter, head: SignedHead, check: Report, now: str) -> AuditExport:
        store = self._parts.store
        rows = await store.read(lambda q: select(q, wanted, head.size, PART + 1))
        complete, rows = len(rows) <= PART, rows[:PART]
        events: list[ProvenEvent] = []
        for start in range(0, len(rows), _PROOFS):
            events += await store.read(partial(prove, rows=rows[start : start + _PROOFS], size=head.size))
        return AuditExport(
            made_at=now, made_by=f"drill on {self._parts.node}", wanted=wanted, head=head, check=check, complete=complete,
            events=tuple(events),
        )  # fmt: skip

    def _attach(self, name: str, content: object) -> None:
        self._rehearsal.attach(name, msgspec.json.format(msgspec.json.encode(content)))


async def by_role(store: Store, since: str) -> dict[str, dict[str, int]]:
    """How often each role did what since an instant; "" is whoever has no account (the node itself, or one who was refused)."""
    roles = await store.read(_roles)
    counts: dict[str, Counter[str]] = {}
    after = 0
    while True:
        rows = await store.read(partial(_rows_after, after=after))
        for seq, body in rows:
            after = seq
            event = audit.decode_body(body)
            if event.at >= since:
                counts.setdefault(roles.get(event.user_id, ""), Counter())[event.action] += 1
        if len(rows) < _ROWS:
            return {role: dict(sorted(actions.items())) for role, actions in sorted(counts.items())}


def _rows_after(q: Query, *, after: int) -> list[tuple[int, str]]:
    rows = q.all("SELECT seq, body FROM audit_event WHERE seq > ? ORDER BY seq LIMIT ?", (after, _ROWS))
    return [(as_int(row[0]), str(row[1])) for row in rows]


def _roles(q: Query) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in q.all("SELECT id, role FROM security_user")}
