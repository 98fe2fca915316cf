"""What the role loop has this node do: implements ``appliance.cluster.hands.NodeHands`` over the daemon's own parts."""

from __future__ import annotations

import asyncio
import shutil
from typing import Final

from appliance.cluster.hands import NodeReport
from appliance.cluster.model import Position
from appliance.cluster.replication_errors import PEER_AWAY
from appliance.cluster.vip_client import VipClient
from appliance.daemon.assembly import Core
from appliance.daemon.dashboard import prepare_dashboard_device
from appliance.daemon.pair.divergences import Comparison
from appliance.daemon.pair.fitness import Fitness
from appliance.daemon.pair.following import Following
from appliance.daemon.pair.primacy import Ground, Primacy
from appliance.daemon.pair.reign import Reign
from appliance.daemon.record import OpenRecord
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.threads import to_the_end
from appliance.telemetry.logs import get_logger

log = get_logger("pair")
_BEGIN_AGAIN_S: Final = 1.0
SICK_QUIESCE_S: Final = 1.0
"""A node whose disk fails does not make everybody wait for its last words."""


class Hands:
    """One per node. The role loop calls one slow hand at a time; ``report`` and the address may be asked meanwhile."""

    def __init__(
        self,
        *,
        core: Core,
        ground: Ground,
        reign: Reign,
        following: Following,
        comparison: Comparison,
        fitness: Fitness,
        vip: VipClient | None,
    ) -> None:
        self._core = core
        self._ground = ground
        self._neighbour = ground.neighbour
        self._reign = reign
        self._following = following
        self._comparison = comparison
        self._fitness = fitness
        self._vip = vip
        self._primacy: Primacy | None = None
        self._own = following.own()
        self._quiesced: Position | None = None
        """Where our own record stood when it fell quiet, in case it was closed like that: nobody has anything else."""
        self._work: asyncio.Task[None] | None = None

    @property
    def primacy(self) -> Primacy | None:
        """The open record, while there is one."""
        return self._primacy

    def report(self) -> NodeReport:
        """See ``NodeHands.report``."""
        primacy, receiver = self._primacy, self._neighbour.receiver
        sick = self._fitness.sick_because
        follower = self._following.follower
        lag = follower.lag_s if follower is not None else None
        if primacy is not None:
            lag = primacy.shipper.lag_s
        return NodeReport(
            fence=receiver.epoch,
            held=self._held(),
            record_epoch=self._reign.epoch,
            peer_held=primacy.shipper.held if primacy is not None else None,
            peer_reachable=self._neighbour.link.is_up,
            healthy=not sick,
            sick_because=sick,
            vip=self._vip.up if self._vip is not None else None,
            unreplicated_rows=primacy.barrier.unreplicated_rows if primacy is not None else 0,
            lag_s=lag,
            mode=primacy.barrier.mode if primacy is not None else "read-only",
            trouble=primacy.trouble if primacy is not None else "",
            peer_refused=primacy.shipper.refused if primacy is not None else "",
            peer_lacks_models=primacy is not None and not primacy.models_copied,
        )

    def _held(self) -> Position:
        if self._primacy is not None:
            return self._primacy.position
        return self._own if self._reign.epoch is not None else self._following.held

    # -- taking over ----------------------------------------------------------------------------------------------------
    async def fence(self, epoch: int) -> None:
        """See ``NodeHands.fence``."""
        if self._neighbour.receiver.epoch < epoch:
            self._following.keep_in_mind()
            await self._neighbour.receiver.fence(epoch)
            self._neighbour.server.cut()

    async def drain_received(self, *, accept_loss: bool = False) -> Position:
        """See ``NodeHands.drain_received``."""
        if self._primacy is not None:
            return self._primacy.position
        if self._reign.epoch is None and self._following.held.txid:
            warm, held = await self._following.finish(accept_loss=accept_loss)
            await to_the_end(self._reign.adopt, warm, held.epoch)
            self._own = held
            return held
        self._own = await asyncio.to_thread(self._following.own)
        return self._own

    async def open_record(self, epoch: int) -> None:
        """See ``NodeHands.open_record``."""
        if self._primacy is not None and self._primacy.epoch == epoch:
            return
        await self.close_record()
        await self._following.stop()
        self._comparison.cancel()
        await to_the_end(self._reign.begin, epoch)
        primacy = Primacy(self._ground, epoch)
        await primacy.open()
        try:
            await self._core.record.open(OpenRecord(primacy.database, primacy.litestream, primacy.close))
        except BaseException:
            await primacy.close()
            raise
        self._primacy, self._quiesced = primacy, None
        self._work = asyncio.create_task(self._take_up_work(), name="take up work")

    async def _take_up_work(self) -> None:
        """Jobs, dictations under way, the dashboard's device. Clients need not wait for it."""
        core = self._core
        while True:
            try:
                await core.record.begin()
                await prepare_dashboard_device(core.identity, core.store, core.paths, core.clock.now())
            except ProntuarioError as error:
                log.warning("the work in the record waits", code=error.kind.code)
                await core.record.rest(for_good=False)
                await asyncio.sleep(_BEGIN_AGAIN_S)
            else:
                return

    # -- stepping down --------------------------------------------------------------------------------------------------
    async def close_record(self) -> None:
        """See ``NodeHands.close_record``."""
        if self._primacy is None:
            return
        self._primacy.barrier.leave()
        await self._stop_work()
        self._core.store.put(None)
        self._core.application.hand_over()
        await self._core.record.rest(for_good=False)
        await self._core.record.close()
        self._primacy = None
        self._own = await asyncio.to_thread(self._following.own)
        if self._own != self._quiesced:
            self._quiesced = None

    async def quiesce(self) -> Position:
        """See ``NodeHands.quiesce``."""
        primacy = self._primacy
        if primacy is None:
            return self._own
        primacy.barrier.leave()
        limit_s = SICK_QUIESCE_S if self._fitness.sick_because else None
        try:
            async with asyncio.timeout(limit_s):  # a full disk: whoever writes waits for room that does not come
                await self._stop_work()
                await self._core.record.rest(for_good=False)
                await self._core.store.fall_quiet()
                self._quiesced = await primacy.everything_held()
        except TimeoutError:
            raise PEER_AWAY(retry_after=1.0) from None
        return self._quiesced

    async def resume(self) -> None:
        """See ``NodeHands.resume``."""
        self._quiesced = None
        if self._primacy is not None:
            self._primacy.barrier.stay()
            self._core.store.speak_again()
            if self._work is None:
                self._work = asyncio.create_task(self._take_up_work(), name="take up work")

    async def _stop_work(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.wait({work})

    # -- following ------------------------------------------------------------------------------------------------------
    async def follow(self, epoch: int, base: Position) -> None:
        """See ``NodeHands.follow``."""
        del base  # an epoch begins with a whole image: nothing of an older one is needed
        await self._following.follow(epoch)

    async def set_aside_and_compare(self, base: Position) -> None:
        """See ``NodeHands.set_aside_and_compare``."""
        await self.close_record()
        epoch = self._reign.epoch
        old = await to_the_end(self._reign.set_aside)
        self._own = Position(0, 0)
        if old is None or epoch is None:
            return
        if self._quiesced == base:
            log.info("the old record is what the new one began with; it is not kept", epoch=epoch)
            await asyncio.to_thread(shutil.rmtree, old.parent, ignore_errors=True)
        else:
            self._comparison.begin(old, epoch, base)

    # -- the address ----------------------------------------------------------------------------------------------------
    async def acquire_vip(self, epoch: int, deadline_s: float) -> None:
        """See ``NodeHands.acquire_vip``."""
        if self._vip is not None:
            await self._vip.acquire(epoch, deadline_s)

    async def renew_vip(self, epoch: int, deadline_s: float) -> None:
        """See ``NodeHands.renew_vip``."""
        if self._vip is not None:
            await self._vip.renew(epoch, deadline_s)

    async def release_vip(self) -> None:
        """See ``NodeHands.release_vip``."""
        if self._vip is not None:
            await self._vip.release()

    # -- the end --------------------------------------------------------------------------------------------------------
    async def close(self) -> None:
        """The process ends: close whatever is open."""
        self._comparison.cancel()
        await self.close_record()
        await self._following.stop()
        if self._vip is not None:
            await self._vip.close()
