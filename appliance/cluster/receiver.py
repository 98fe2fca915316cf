"""The standby's half of replication: keeps what the primary of the current epoch sends, and says up to where it is whole.

The rules (DESIGN §3): a name once given never gets another content; no epoch but the current one is taken, and a lower one
never again, also after a restart; an answer counts only what is durable and has no hole.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from appliance.cluster.assembly import Assembled, Assembler
from appliance.cluster.held_files import HeldFiles
from appliance.cluster.ltx import HEADER_BYTES, LtxFile, fits, level_folder, parse, parse_key
from appliance.cluster.model import Position
from appliance.cluster.peer_messages import (
    OLDEST_PROTOCOL,
    PROTOCOL,
    AskHeld,
    Held,
    Hello,
    Missing,
    PutLtx,
    Question,
    Retain,
)
from appliance.cluster.peer_server import Handler
from appliance.cluster.replication_errors import BAD_PART, EPOCH_AHEAD, OTHER_BODY, PEER_MISUNDERSTOOD, STALE_EPOCH
from appliance.plugin_api.errors import ProntuarioError
from appliance.store import durable
from appliance.telemetry.logs import get_logger

log = get_logger("receiver")
_FENCE: Final = "fence.json"
_INCOMING: Final = "incoming"
_HOUSEKEEPING_S: Final = 0.1
"""Often and little: a second's files at once held the writers up for a tenth of it and more."""


class _Fence(msgspec.Struct):
    epoch: int


@dataclass(slots=True, eq=False)
class _Arrival:
    """A whole file that waits to be kept; ``content`` is its bytes, or where they lie, durable already."""

    epoch: int
    file: LtxFile
    content: bytes | Assembled
    answer: asyncio.Future[Position]


class Receiver:
    """Keeps epochs below ``root`` (``Paths.replicas``). One process owns the folder. Making it reads the fence: blocks.

    Raises:
        OSError, msgspec.DecodeError: the fence can't be read; nothing may be received then.
    """

    def __init__(self, root: Path, *, tidy_every_s: float = _HOUSEKEEPING_S) -> None:
        self._root = root
        self._tidy_every_s = tidy_every_s
        self._assembler = Assembler(root / _INCOMING)
        self._mutex = threading.Lock()
        """Held while anything gets its name, and while the fence is raised: no file slips in behind it."""
        fence = root / _FENCE
        self._epoch = msgspec.json.decode(fence.read_bytes(), type=_Fence).epoch if fence.exists() else 0
        self._files = HeldFiles(self._folder(self._epoch))
        self._unsynced: set[int] = set()
        self._arrivals: list[_Arrival] = []
        self._keeping: asyncio.Task[None] | None = None
        self._tidied_at = time.monotonic()
        self.last_kept_s: float | None = None
        """When the last file was kept (``time.monotonic``)."""

    @property
    def epoch(self) -> int:
        """The fence: the only epoch that is taken."""
        return self._epoch

    @property
    def position(self) -> Position:
        """What is held without a hole, as of the last look."""
        return Position(self._epoch, self._files.reach)

    @property
    def folder(self) -> Path:
        """The current epoch's replica, for ``litestream restore``."""
        return self._folder(self._epoch)

    def handlers(self) -> dict[type[Question], Handler]:
        """What it answers on the peer link."""
        return {Hello: self._on_hello, AskHeld: self._on_ask, PutLtx: self._on_put, Retain: self._on_retain}

    async def fence(self, epoch: int) -> None:
        """Take only ``epoch`` from now on, durably. Once it returns no file of a lower epoch is kept any more.

        Raises:
            ProntuarioError: ``cluster.stale_epoch``: the fence is higher already; ``store.full``, ``store.failed``.
        """
        await asyncio.to_thread(self._raise_fence, epoch)

    async def look(self) -> Position:
        """What is held without a hole, looked up on the disk now."""
        return await asyncio.to_thread(self._look)

    # -- questions ------------------------------------------------------------------------------------------------------
    async def _on_hello(self, hello: Hello) -> Held:
        if not OLDEST_PROTOCOL <= hello.protocol <= PROTOCOL:
            raise PEER_MISUNDERSTOOD(question=f"protocol {hello.protocol}")
        self._admit(hello.epoch)
        return Held(await self.look())

    async def _on_ask(self, ask: AskHeld) -> Held:
        self._admit(ask.epoch)
        return Held(await self.look())

    async def _on_put(self, put: PutLtx) -> Held:
        file = parse(put.level, put.name)
        if file is None or (put.offset == 0 and not fits(file, put.body[:HEADER_BYTES])):
            raise BAD_PART(name=put.name)
        self._admit(put.epoch)
        if put.offset == 0 and len(put.body) == put.size:
            return Held(await self._keep(put.epoch, file, put.body))
        whole = await self._assembler.take(f"{put.epoch}/{file.key}", put.offset, put.size, put.body)
        return Held(self.position if whole is None else await self._keep(put.epoch, file, whole))

    async def _on_retain(self, retain: Retain) -> Missing:
        self._admit(retain.epoch)
        wanted = [file for file in map(parse_key, retain.names) if file is not None]
        return Missing(await asyncio.to_thread(self._retain, retain.epoch, wanted))

    def _admit(self, epoch: int) -> None:
        if epoch < self._epoch:
            raise STALE_EPOCH(epoch=epoch, fence=self._epoch)
        if epoch > self._epoch:
            raise EPOCH_AHEAD(retry_after=0.2, epoch=epoch, fence=self._epoch)

    # -- keeping --------------------------------------------------------------------------------------------------------
    async def _keep(self, epoch: int, file: LtxFile, content: bytes | Assembled) -> Position:
        answer: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._arrivals.append(_Arrival(epoch, file, content, answer))
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_arrivals(), name="receiver")
        return await answer

    async def _keep_arrivals(self) -> None:
        """Until nothing is left: whatever arrives while this task lives relies on it, also while it only tidies up."""
        while self._arrivals:
            await self._keep_all()
            if time.monotonic() - self._tidied_at > self._tidy_every_s:
                self._tidied_at = time.monotonic()
                try:
                    await asyncio.to_thread(self._tidy)
                except OSError as error:
                    log.warning("files that are no longer needed could not be removed", error=str(error))

    async def _keep_all(self) -> None:
        """Whatever arrived while the last group was written shares the next group's fsync of the folder."""
        while self._arrivals:
            group, self._arrivals = self._arrivals, []
            try:
                outcomes = await asyncio.to_thread(self._keep_group, group)
            except OSError as error:
                outcomes = [durable.as_failure(error)] * len(group)
            for one, outcome in zip(group, outcomes, strict=True):
                if one.answer.done():
                    continue
                if isinstance(outcome, ProntuarioError):
                    one.answer.set_exception(outcome)
                else:
                    one.answer.set_result(outcome)
            self.last_kept_s = time.monotonic()

    def _keep_group(self, group: Sequence[_Arrival]) -> list[Position | ProntuarioError]:
        with self._mutex:
            self._settle()  # before our own names hide that somebody else changed a folder
            outcomes = [self._give_name(one) for one in group]
            self._unsynced |= {one.file.level for one, outcome in zip(group, outcomes, strict=True) if outcome is None}
            self._settle()
            return [self.position if outcome is None else outcome for outcome in outcomes]

    def _settle(self) -> None:
        """Make the names durable, then count them."""
        for level in list(self._unsynced):
            durable.sync_folder(level_folder(self.folder, level))
            self._unsynced.discard(level)
        self._files.look()

    def _give_name(self, one: _Arrival) -> ProntuarioError | None:
        try:
            self._admit(one.epoch)
            target = one.file.path(self.folder)
            if target.exists():
                _expect_same(target, one)
                return None
            durable.make_folder(target.parent)
            if isinstance(one.content, Assembled):
                one.content.path.rename(target)
            else:
                durable.write_aside(self._root / _INCOMING / f"{one.file.level}-{one.file.name}", one.content).rename(
                    target
                )
            self._files.expect(one.file)
        except ProntuarioError as error:
            return error
        except OSError as error:
            return durable.as_failure(error)
        return None

    # -- on a thread ----------------------------------------------------------------------------------------------------
    def _look(self) -> Position:
        with self._mutex:
            self._settle()
            return self.position

    def _tidy(self) -> None:
        with self._mutex:
            self._files.drop_covered(now_s=time.time())

    def _retain(self, epoch: int, wanted: list[LtxFile]) -> tuple[str, ...]:
        with self._mutex:
            self._admit(epoch)
            return tuple(file.key for file in self._files.retain(wanted))

    def _raise_fence(self, epoch: int) -> None:
        with self._mutex:
            if epoch < self._epoch:
                raise STALE_EPOCH(epoch=epoch, fence=self._epoch)
            if epoch == self._epoch and (self._root / _FENCE).exists():
                return
            try:
                content = msgspec.json.encode(_Fence(epoch))
                durable.write_aside(self._root / f"{_FENCE}.new", content).rename(self._root / _FENCE)
                durable.sync_folder(self._root)
            except OSError as error:
                raise durable.as_failure(error) from error
            self._epoch = epoch
            self._unsynced.clear()
            self._files = HeldFiles(self._folder(epoch))
        log.info("the receiver takes only a new epoch", epoch=epoch)

    def _folder(self, epoch: int) -> Path:
        return self._root / f"{epoch:08d}"


def _expect_same(target: Path, one: _Arrival) -> None:
    """A name never gets another content; the same content may come again (an answer was lost)."""
    if isinstance(one.content, Assembled):
        with target.open("rb") as kept, one.content.path.open("rb") as new:
            same = True
            while same and (piece := kept.read(1 << 20)):
                same = piece == new.read(len(piece))
            same = same and not new.read(1)
        one.content.path.unlink()
    else:
        same = target.read_bytes() == one.content
    if not same:
        log.error("the peer sends another content under a name that is taken", epoch=one.epoch, sequence=one.file.last)
        raise OTHER_BODY(name=one.file.key)
