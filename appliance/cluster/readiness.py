"""Why the standby can't take over by itself right now: one answer, the most useful one, from what a node knows. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.cluster.decisions import Observation
from appliance.cluster.etcd_keys import ClusterView, Sync
from appliance.cluster.model import ClusterStatus
from appliance.cluster.reasons import Reason, reason, sickness
from appliance.cluster.replication_errors import EPOCH_AHEAD, OTHER_BODY


def why_no_takeover(seen: Observation) -> Reason | None:
    """None: the standby holds everything and may lead the moment it has to; or nobody leads, which is another question.

    The node that leads knows most: it judges its peer. A standby judges itself.
    """
    view = seen.view
    if view is None or view.sync is None:
        return reason("voters_silent") if view is None else reason("not_initialised")
    if view.leader is None:
        return None
    judged = _of_the_peer if view.leader.node == seen.node else _of_itself
    standby = seen.peer if view.leader.node == seen.node else seen.node
    lost = view.lost
    if lost is not None and lost.node == standby:
        return reason("marked_lost", node=standby, since=lost.at)
    since = None if standby in view.sync.holders else view.sync.since
    return next(judged(seen, view.sync, view, since), None)


def not_in_step(status: ClusterStatus) -> Reason:
    """Why the leader's peer can't be handed over to, where it can't."""
    known = status.reason if status.in_sync is None else None
    return known or reason("out_of_sync", node=status.peer)


def _of_the_peer(seen: Observation, sync: Sync, view: ClusterView, since: str | None) -> Iterator[Reason]:
    report, peer = seen.report, seen.peer
    if not report.peer_reachable:
        yield reason("away", node=peer, since=since)
    if report.trouble:
        yield reason("other_content" if report.trouble == OTHER_BODY.code else "hole", node=peer, since=since)
    if report.peer_refused and report.peer_refused != EPOCH_AHEAD.code:
        yield sickness(peer, report.peer_refused, since=since)
    if peer not in sync.holders:
        yield _on_the_way(seen, view.epoch, since)
    elif report.peer_lacks_models:
        yield reason("models_pending", node=peer)


def _on_the_way(seen: Observation, epoch: int, since: str | None) -> Reason:
    held, peer_held = seen.report.held, seen.report.peer_held
    if peer_held is None or peer_held.epoch != held.epoch:
        return reason("not_following", node=seen.peer, epoch=epoch, since=since)
    missing = held.txid - peer_held.txid
    return (
        reason("behind", node=seen.peer, count=missing, since=since)
        if missing > 0
        else reason("finishing", node=seen.peer, since=since)
    )


def _of_itself(seen: Observation, sync: Sync, view: ClusterView, since: str | None) -> Iterator[Reason]:
    report, node = seen.report, seen.node
    if not report.healthy:
        yield sickness(node, report.sick_because, since=since)
    if node in sync.holders:
        return
    if not report.peer_reachable:
        yield reason("away", node=seen.peer, since=since)
    following = report.fence == view.epoch == report.held.epoch
    yield (
        reason("out_of_sync", node=node, since=since)
        if following
        else reason("not_following", node=node, epoch=view.epoch, since=since)
    )
