"""The standby's half: the warm copy of what is received, and what this node could open if it had to."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Final

from appliance.cluster.follow import Follower, check_quickly, restore_copy
from appliance.cluster.ltx import listing, reach
from appliance.cluster.model import NOTHING, Position
from appliance.cluster.receiver import Receiver
from appliance.cluster.replication_errors import NOT_DRAINED
from appliance.config import Paths
from appliance.daemon.pair.reign import Reign
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Health
from appliance.store.threads import to_the_end
from appliance.telemetry.logs import get_logger

log = get_logger("pair")
DRAIN_S: Final = 60.0
LOSS_DRAIN_S: Final = 20.0
"""With an operator waiting who accepted loss."""
KEPT_EPOCHS: Final = 2
"""How many epochs before the current one keep their files: a comparison may still need them."""


class Following:
    """One follower at a time, and the best position on this disk. Making it lists the replicas: blocks a little."""

    def __init__(self, paths: Paths, receiver: Receiver, reign: Reign, *, loss_drain_s: float = LOSS_DRAIN_S) -> None:
        self._paths = paths
        self._loss_drain_s = loss_drain_s
        self._receiver = receiver
        self._reign = reign
        self._follower: Follower | None = None
        self._epoch = 0
        self._settled = _best(paths, receiver.epoch)

    @property
    def follower(self) -> Follower | None:
        """The one that runs."""
        return self._follower

    @property
    def held(self) -> Position:
        """What was received without a hole: of the current epoch if its first image is here, else of the last one before."""
        now = self._receiver.position
        return now if now.txid else self._settled

    def own(self) -> Position:
        """Where this node's own, closed record stands. Blocks: lists a folder."""
        epoch = self._reign.epoch
        return NOTHING if epoch is None else Position(epoch, reach(listing(self._paths.replica(epoch))))

    def keep_in_mind(self) -> None:
        """Before the fence is raised: what was held in the old epoch can still be opened."""
        self._settled = max(self._settled, self._receiver.position if self._receiver.position.txid else NOTHING)

    async def follow(self, epoch: int) -> None:
        """Follow what is received in ``epoch``; nothing changes when that is followed already."""
        if self._follower is not None and self._epoch == epoch:
            return
        await self.stop()
        self._epoch = epoch
        self._follower = self._make(epoch)
        await self._follower.start()
        await asyncio.to_thread(_forget_old, self._paths, epoch, self._settled.epoch)

    async def finish(self, *, accept_loss: bool = False) -> tuple[Path, Position]:
        """Drain everything that was received and stop: a checked database, ready to be the record's, and where it stands.

        A file that is missing below others is a failure, not an end: what it and the later ones hold was acknowledged.
        ``accept_loss``: an operator takes what can be restored.

        Raises:
            ProntuarioError: ``cluster.not_drained``, ``cluster.copy_damaged``; following goes on.
        """
        wanted = self.held
        if self._follower is None or self._epoch != wanted.epoch:
            await self.stop()
            self._epoch = wanted.epoch
            self._follower = self._make(wanted.epoch)
            await self._follower.start()
        replica = self._paths.replica(wanted.epoch)
        files = await asyncio.to_thread(listing, replica)
        reached = max(wanted.txid, reach(files, self._follower.at))
        highest = max((file.last for file in files), default=0)
        if accept_loss:
            return await self._finish_with_loss(self._follower, replica, Position(wanted.epoch, reached))
        if reached < highest:
            raise NOT_DRAINED(retry_after=1.0, at=reached, wanted=highest)
        path = await self._follower.finish(reached, deadline_s=DRAIN_S)
        self._follower = None
        return path, Position(wanted.epoch, reached)

    async def _finish_with_loss(self, follower: Follower, replica: Path, best: Position) -> tuple[Path, Position]:
        try:
            path = await follower.finish(best.txid, deadline_s=self._loss_drain_s)
        except ProntuarioError as error:
            if error.kind is not NOT_DRAINED:
                raise
            log.warning("the copy can't be completed; what there is, is taken", sequence=follower.at, epoch=best.epoch)
            at = follower.at
            await follower.close()
            if at:
                path, best = await follower.finish(at, deadline_s=DRAIN_S), Position(best.epoch, at)
            else:
                path = await to_the_end(_restore_anew, replica, follower.database, best.txid)
        self._follower = None
        return path, best

    async def stop(self) -> None:
        """End the follower; its copy stays."""
        follower, self._follower = self._follower, None
        if follower is not None:
            await follower.close()

    async def health(self) -> Health:
        """Whether the warm copy keeps up."""
        if self._follower is None:
            return Health("not_configured", "this node follows nobody", message_pt="este nó não acompanha ninguém")
        return await self._follower.health()

    def _make(self, epoch: int) -> Follower:
        def held() -> int:
            return self.held.txid if self.held.epoch == epoch else 0

        return Follower(self._paths.replica(epoch), self._paths.warm_copies / f"{epoch:08d}", held)


def _best(paths: Paths, fence: int) -> Position:
    """The newest epoch, up to the fence, of which a whole image is here."""
    epochs = sorted((int(path.name) for path in paths.replicas.glob("[0-9]" * 8) if path.is_dir()), reverse=True)
    for epoch in epochs:
        if epoch <= fence and (txid := reach(listing(paths.replica(epoch)))):
            return Position(epoch, txid)
    return NOTHING


def _restore_anew(replica: Path, to: Path, txid: int) -> Path:
    """A checked database from the files up to ``txid``, where no follower could make one. Blocks."""
    for path in to.parent.glob(f"{to.name}*"):
        path.unlink()
    restore_copy(replica, to, txid=txid)
    check_quickly(to)
    return to


def _forget_old(paths: Paths, epoch: int, settled: int) -> None:
    """Files of long-gone epochs; what could still be opened or compared stays."""
    for folder in (paths.replicas, paths.warm_copies):
        for path in folder.glob("[0-9]" * 8):
            if int(path.name) < min(epoch, settled or epoch) - KEPT_EPOCHS:
                shutil.rmtree(path, ignore_errors=True)
                log.info("files of an old epoch are deleted", epoch=int(path.name))
