"""The operator's desk: what each action would do, in words, and doing it. The dashboard and the command line share it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from appliance.api.admin_cluster import ACTIONS, Action, Preview
from appliance.cluster import operator
from appliance.cluster.decide import NOT_DRAINED
from appliance.cluster.divergence import DivergenceQueue
from appliance.cluster.errors import CONFIRMATION, NO_HANDOVER, NO_PROMOTION, NOT_INITIALISED
from appliance.cluster.model import ClusterStatus
from appliance.cluster.readiness import not_in_step
from appliance.cluster.reasons import Reason, reason
from appliance.cluster.roles import RoleLoop
from appliance.daemon.enrolment import OPERATOR
from appliance.daemon.pair.computing import Computing
from appliance.daemon.pair.drill import Drills
from appliance.daemon.record import RecordSlot
from appliance.plugin_api.errors import INVALID, ProntuarioError
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("cluster")
Verb = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
_WORDS: Final[dict[str, tuple[str, str]]] = {
    "handover": (
        "{other} passa a atender; {leader} vira reserva. Quem está usando espera até um segundo. Nada se perde.",
        "{other} takes over and {leader} becomes the standby. People wait a second at most. Nothing is lost.",
    ),
    "drill": (
        "Simulado: {other} assume e o tempo sem atendimento é medido. Espera as consultas em andamento. Nada se perde.",
        "Drill: {other} takes over and the outage is measured. It waits for consults under way. Nothing is lost.",
    ),
    "promote": (
        "{node} passa a atender sem o outro nó. Só faça isto se {peer} estiver desligado.",
        "{node} leads without the other node. Do this only if {peer} is switched off.",
    ),
    "mark-lost": (
        "{peer} deixa de poder assumir sozinho até estar em dia de novo.",
        "{peer} can no longer take over by itself until it is up to date again.",
    ),
}


class PairDesk:
    """Implements ``appliance.api.admin_cluster.ClusterDesk``; ``sit`` gives it the role loop once that exists."""

    def __init__(self, slot: RecordSlot, clock: Clock) -> None:
        self._slot = slot
        self._clock = clock
        self._loop: RoleLoop | None = None
        self._drill_desk: Drills | None = None
        self.computing: Computing | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    def sit(self, loop: RoleLoop, drills: Drills) -> None:
        """The role loop runs from now on, and drills can be made."""
        self._loop = loop
        self._drill_desk = drills

    @property
    def _roles(self) -> RoleLoop:
        if self._loop is None:
            raise NOT_INITIALISED()
        return self._loop

    @property
    def _drills(self) -> Drills:
        if self._drill_desk is None:
            raise NOT_INITIALISED()
        return self._drill_desk

    # -- looking --------------------------------------------------------------------------------------------------------
    def status(self) -> ClusterStatus:
        """How things stand, from memory."""
        status = operator.status(self._roles)
        return msgspec.structs.replace(status, computes=self.computing.told()) if self.computing else status

    def previews(self) -> Sequence[Preview]:
        """One for each action."""
        return [self.preview(action) for action in ACTIONS]

    def preview(self, action: Action) -> Preview:
        """What ``action`` would do now."""
        status = self.status()
        leader = status.leader or "?"
        words = {
            "node": status.node,
            "peer": status.peer,
            "leader": leader,
            "other": status.peer if leader == status.node else status.node,
        }
        pt, en = (sentence.format(**words) for sentence in _WORDS[action])
        refused = self._drills.refusal(status) if action == "drill" else _refusal(action, status)
        return Preview(
            action=action,
            sentence_pt=pt,
            sentence_en=en,
            refused=refused.en if refused else "",
            refused_pt=refused.pt if refused else "",
            refused_code=refused.code if refused else "",
            phrase=_phrase(action, status),
            target=words["other"] if action in {"handover", "drill"} else "",
        )

    # -- doing ----------------------------------------------------------------------------------------------------------
    def check(self, action: Action, typed: str) -> None:
        """See ``ClusterDesk.check``."""
        if action == "drill":
            self._drills.check(self.status())
        preview = self.preview(action)
        if preview.refused:
            raise (NO_HANDOVER if action == "handover" else NO_PROMOTION)(
                reason_code=preview.refused_code, reason_pt=preview.refused_pt, reason=preview.refused
            )
        if preview.phrase and typed != preview.phrase:
            pt, en = preview.sentence_pt.rstrip("."), preview.sentence_en.rstrip(".")
            raise CONFIRMATION(field="typed", reason_pt=pt, reason=en, phrase=preview.phrase)

    def begin(self, action: Action, by: str, typed: str) -> None:
        """See ``ClusterDesk.begin``."""
        task = asyncio.create_task(self._carry_out(action, by, typed), name=f"cluster {action}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _carry_out(self, action: Action, by: str, typed: str) -> None:
        try:
            await self.act(action, by, typed)
        except ProntuarioError as error:
            log.warning("an operator's order could not be carried out", step=action, code=error.kind.code)

    async def act(self, action: Action, by: str, typed: str) -> None:
        """Give the order; it is in etcd when this returns.

        Raises:
            ProntuarioError: see ``appliance.cluster.operator``.
        """
        roles = self._roles
        if action == "drill":
            self._drills.begin(by)
        elif action == "handover":
            await operator.handover(roles, by)
        elif action == "promote":
            await operator.promote(roles, by, typed)
        else:
            await operator.mark_lost(roles, roles.settings.peer, by, typed)

    # -- the operator's socket ------------------------------------------------------------------------------------------
    def verbs(self) -> dict[str, Verb]:
        """For ``ControlSocket``."""
        return {
            "cluster.status": self._on_status,
            "cluster.preview": self._on_preview,
            "cluster.act": self._on_act,
            "cluster.divergences": self._on_divergences,
            "cluster.resolve": self._on_resolve,
        }

    async def _on_status(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"status": msgspec.to_builtins(self.status())}

    async def _on_preview(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"preview": msgspec.to_builtins(self.preview(_action(request)))}

    async def _on_act(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        action, typed = _action(request), str(request.get("typed", ""))
        self.check(action, typed)
        await self._record(action)
        await self.act(action, OPERATOR, typed)
        return {"begun": action}

    async def _on_divergences(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        queue = DivergenceQueue(self._slot)
        rows = await queue.pending()
        counts = {subject.name.lower(): count for subject, count in (await queue.counts()).items()}
        return {"count": await queue.count(), "subjects": counts, "rows": msgspec.to_builtins(rows)}

    async def _on_resolve(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        resolution = str(request["resolution"])
        await DivergenceQueue(self._slot).resolve(
            str(request["id"]), by=OPERATOR, resolution=resolution, now=self._clock.now()
        )
        await self._record("resolve divergence")
        return {"resolved": str(request["id"])}

    async def _record(self, action: str) -> None:
        """In the audit log, where there is a record to write it to; the timeline in etcd and on disk has it anyway."""
        event = AuditEvent(
            at=instant(self._clock.now()), action=f"cluster {action}", user_id=OPERATOR, resource="cluster", status=202
        )
        if self._slot.is_open:
            await self._slot.write(lambda tx: audit.append(tx, event))


def _action(request: Mapping[str, Any]) -> Action:
    for action in ACTIONS:
        if action == request.get("action"):
            return action
    raise INVALID(field="action", name="action", reason=" | ".join(ACTIONS))


def _refusal(action: Action, status: ClusterStatus) -> Reason | None:
    """Why ``action`` can't be done now."""
    if action == "handover":
        if status.leader is None:
            return reason("nobody_leads")
        ready = status.in_sync is not None or status.leader != status.node
        return None if ready else not_in_step(status)
    stuck = action == "promote" and status.prompt == NOT_DRAINED and status.leader == status.node
    leads = status.leader is not None if action == "promote" else status.leader == status.peer
    return reason("leads", node=status.leader) if leads and not stuck else None


def _phrase(action: Action, status: ClusterStatus) -> str:
    """What must be typed, as ``appliance.cluster.operator`` asks for it."""
    if action == "promote":
        return status.node
    return status.peer if action == "mark-lost" else ""
