"""What a person may order: handover, promotion, counting a node as lost. Each tells its price before it is carried out."""

from __future__ import annotations

from typing import Final

from appliance.cluster.decide import NOT_DRAINED, why_not
from appliance.cluster.decisions import Observation, Tell
from appliance.cluster.errors import CONFIRMATION, NO_HANDOVER, NO_PROMOTION, NOT_INITIALISED
from appliance.cluster.etcd_keys import ClusterView, Request
from appliance.cluster.events import in_words
from appliance.cluster.model import ClusterStatus, Mode, Role
from appliance.cluster.readiness import why_no_takeover
from appliance.cluster.reasons import reason, refusal, sickness
from appliance.cluster.roles import RoleLoop
from appliance.telemetry.clock import instant

COSTS_DATA: Final = frozenset({"not_in_sync", "history_missing", "marked_lost", NOT_DRAINED})
"""Why a node may not lead by itself, where leading anyway can lose acknowledged rows."""
_MODES: Final[dict[str, Mode]] = {"paired": "paired", "degraded": "degraded"}


async def handover(loop: RoleLoop, by: str) -> None:
    """Ask the primary to hand over to the other node; returns when the order is in etcd.

    Raises:
        ProntuarioError: ``cluster.no_handover`` with the reason, ``cluster.no_quorum``.
    """
    view = await _view(loop)
    if view.leader is None or view.sync is None:
        raise refusal(NO_HANDOVER, reason("nobody_leads"))
    target = other(loop, view.leader.node)
    if target not in view.sync.holders:
        raise refusal(NO_HANDOVER, reason("out_of_sync", node=target))
    await loop.keys.ask("handover", Request(target, by, instant(loop.clock.now()), view.epoch))


async def promote(loop: RoleLoop, by: str, confirm: str = "") -> None:
    """Order this node to lead a pair that nobody leads. ``confirm``: its name, typed, where rows could be lost or doubled.

    Raises:
        ProntuarioError: ``cluster.no_promotion``, ``cluster.confirmation`` (what must be typed), ``cluster.no_quorum``.
    """
    view = await _view(loop)
    stuck = loop.prompt == NOT_DRAINED and loop.role is not Role.PRIMARY
    if view.leader is not None and not (stuck and view.leader.node == loop.settings.node):
        raise refusal(NO_PROMOTION, reason("leads", node=view.leader.node))
    doubt = why_not(_observation(loop, view), view) or (NOT_DRAINED if stuck else None)
    if doubt == "sick":
        raise refusal(NO_PROMOTION, sickness(loop.settings.node, loop.hands.report().sick_because))
    if doubt is not None and confirm != loop.settings.node:
        price = reason(doubt, node=loop.settings.node, other=loop.settings.peer)
        raise refusal(CONFIRMATION, price, field="confirm", phrase=loop.settings.node)
    order = Request(loop.settings.node, by, instant(loop.clock.now()), view.epoch, doubt in COSTS_DATA)
    await loop.keys.ask("promote", order)


async def mark_lost(loop: RoleLoop, node: str, by: str, confirm: str = "") -> None:
    """Count ``node`` as lost: it never leads by itself until it is in sync again. ``confirm``: its name, typed.

    Raises:
        ProntuarioError: ``cluster.no_promotion`` when it leads or answers, ``cluster.confirmation``.
    """
    view = await _view(loop)
    if view.leader is not None and view.leader.node == node:
        raise refusal(NO_PROMOTION, reason("leads", node=node))
    if node != loop.settings.peer or loop.hands.report().peer_reachable:
        raise refusal(NO_PROMOTION, reason("answers", node=node))
    if confirm != node:
        raise refusal(CONFIRMATION, reason("only_here", node=node), field="confirm", phrase=node)
    await loop.keys.ask("lost", Request(node, by, instant(loop.clock.now()), view.epoch))
    loop.tell(Tell("counted_lost", view.epoch, node))


def status(loop: RoleLoop) -> ClusterStatus:
    """The pair as this node sees it; asks nobody."""
    report, view = loop.hands.report(), loop.view or ClusterView()
    leader, sync, drill = view.leader, view.sync, view.drill
    comparable = report.peer_held is not None and report.peer_held.epoch == report.held.epoch
    asked = in_words(loop.prompt, loop.settings.node, loop.settings.peer) if loop.prompt else ("", "")
    writes = loop.role in {Role.PRIMARY, Role.DRAINING} and loop.keeper.valid()
    return ClusterStatus(
        node=loop.settings.node,
        peer=loop.settings.peer,
        role=loop.role,
        mode=_MODES.get(report.mode, "read-only") if writes else "read-only",
        epoch=loop.epoch,
        leader=leader.node if leader else None,
        leader_since=leader.since if leader else None,
        own=report.held,
        peer_held=report.peer_held,
        lag_txids=report.held.txid - report.peer_held.txid if comparable and report.peer_held else None,
        lag_s=report.lag_s,
        in_sync=sync.holders[1] if sync is not None and len(sync.holders) > 1 else None,
        reason=why_no_takeover(loop.observe()),
        unreplicated_rows=report.unreplicated_rows,
        voters=(loop.voters.healthy, loop.voters.total),
        silent_voters=loop.voters.silent,
        vip=report.vip,
        last_drill=drill.at if drill else None,
        drill=drill,
        prompt=loop.prompt,
        prompt_pt=asked[0],
        prompt_en=asked[1],
        events=loop.timeline.latest(),
    )


def other(loop: RoleLoop, node: str) -> str:
    """The node that ``node`` is not."""
    return loop.settings.peer if node == loop.settings.node else loop.settings.node


async def _view(loop: RoleLoop) -> ClusterView:
    view = await loop.keys.view()
    if view.sync is None:
        raise NOT_INITIALISED()
    return view


def _observation(loop: RoleLoop, view: ClusterView) -> Observation:
    settings = loop.settings
    return Observation(
        now=loop.clock.monotonic(), node=settings.node, peer=settings.peer, view=view, lease=None,
        report=loop.hands.report(), voters=settings.voters,
    )  # fmt: skip
