"""The recurring work of one half of a pair: the standby proves what it received, a primary whose standby is away its own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from appliance.daemon.assembly import Core
from appliance.daemon.drills import SERVICE as DRILLS
from appliance.daemon.pair.drill_partner import PairPartner
from appliance.daemon.pair.following import Following
from appliance.daemon.pair.hands import Hands
from appliance.daemon.pair.neighbour import Neighbour
from appliance.daemon.recurring import DAY_S, PROOF_EN, PROOF_PT, RESTORE_PROOF, SERVICE, copy_guard, scratch
from appliance.operations.copy_manifest import CopyGuard
from appliance.operations.drills.failover import FAILOVER
from appliance.operations.proof import prove_own_copy, prove_received
from appliance.operations.schedule import Task
from appliance.operations.schedule_memory import Figure

LONELY_PROOF: Final = "lonely-proof"


def furnish(core: Core, hands: Hands, following: Following, neighbour: Neighbour) -> None:
    """Give the node its recurring work, and let the other node ask how it goes."""
    guard = copy_guard(core.paths)
    tasks = [_received_proof(core, hands, following, neighbour, guard), _lonely_proof(core, hands, guard)]
    core.recurring.furnish(core.blobs, core.store, tasks, partial(_ask, neighbour))
    neighbour.services[SERVICE] = core.recurring.serve_peer


def furnish_drills(core: Core, partner: PairPartner, neighbour: Neighbour) -> None:
    """Give the node its drills, and let the other one ask for reports and for what a drill needs to know."""
    core.drills.furnish(scratch(core.paths), partner.copy, partner, partner.ask)
    partner.on_order(partial(core.drills.conductor.make, FAILOVER))
    neighbour.services[DRILLS] = core.drills.serve_peer


async def _ask(neighbour: Neighbour, verb: str) -> bytes:
    return await neighbour.call(SERVICE, verb, b"")


def _received_proof(core: Core, hands: Hands, following: Following, neighbour: Neighbour, guard: CopyGuard) -> Task:
    async def prove() -> Mapping[str, Figure]:
        receiver = neighbour.receiver
        warm = core.paths.warm_copies / f"{receiver.position.epoch:08d}" / core.paths.database.name
        return await prove_received(
            receiver.folder, receiver.position, scratch(core.paths), warm, core.clock, guard=guard
        )

    return Task(
        name=RESTORE_PROOF,
        title_pt=PROOF_PT,
        title_en=PROOF_EN,
        every_s=DAY_S,
        run=prove,
        here=lambda: hands.primacy is None and following.follower is not None and neighbour.receiver.position.txid > 0,
    )


def _lonely_proof(core: Core, hands: Hands, guard: CopyGuard) -> Task:
    """No renewal here: in a pair a damaged spool is mended by a new epoch, which a handover begins."""

    async def prove() -> Mapping[str, Figure]:
        primacy = hands.primacy
        assert primacy is not None  # noqa: S101  ``here`` says so
        paths = core.paths
        return await prove_own_copy(
            paths.replica(primacy.epoch), scratch(paths), paths.database, core.store,
            sync=primacy.litestream.barrier.sync, guard=guard,
        )  # fmt: skip

    return Task(
        name=LONELY_PROOF,
        title_pt=f"{PROOF_PT} enquanto a reserva está fora",
        title_en=f"{PROOF_EN}, while the standby is away",
        every_s=DAY_S,
        run=prove,
        here=lambda: hands.primacy is not None and core.store.mode == "degraded",
    )
