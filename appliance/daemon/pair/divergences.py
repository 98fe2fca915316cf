"""What a returning old primary had written that the record lacks: compared here, kept for people on the new primary."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from appliance.cluster.divergence import DivergenceQueue, DivergentRow, compare_tail, from_report, to_reports
from appliance.cluster.follow import restore_copy
from appliance.cluster.model import Position
from appliance.cluster.replication_errors import COPY_DAMAGED
from appliance.config import Paths
from appliance.daemon.pair import fence_image
from appliance.daemon.pair.neighbour import Neighbour
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Store
from appliance.security.files import write_file
from appliance.store.sqlite import Error
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger

log = get_logger("pair")
SERVICE: Final = "divergences"
ADD: Final = "add"
_PENDING: Final = "comparison.json"
_FENCE: Final = "fence-"
_RETRY_S: Final = 5.0
_POLL_S: Final = 0.5
_FIRST_IMAGE: Final = 1
"""TXID 1 of an epoch is a whole image of the record as the new primary opened it."""


class Report(msgspec.Struct, frozen=True):
    """Rows that ``node`` wrote beyond ``base``; ``rows`` is a piece of ``divergence.to_reports``."""

    node: str
    base: Position
    rows: bytes


def review_service(store: Store, clock: Clock) -> Callable[[str, bytes], asyncio.Future[bytes]]:
    """The primary's side: keeps what arrives in the record's review queue."""
    queue = DivergenceQueue(store)

    async def serve(verb: str, body: bytes) -> bytes:
        del verb
        report = msgspec.msgpack.decode(body, type=Report)
        added = await queue.add(report.node, report.base, from_report(report.rows), clock.now())
        if added:
            log.warning("rows of an old primary wait for review", count=added, epoch=report.base.epoch)
        return b""

    return serve  # type: ignore[return-value]


class _Pending(msgspec.Struct, frozen=True):
    """What a comparison needs, in a file beside the database until it is through: a restart takes it up again."""

    old_epoch: int
    base: Position
    fence: int
    """The epoch that begins at ``base``."""


class Comparison:
    """Runs beside the following, until the primary has every row. One at a time."""

    def __init__(self, paths: Paths, node: str, neighbour: Neighbour) -> None:
        self._paths = paths
        self._node = node
        self._neighbour = neighbour
        neighbour.services[fence_image.SERVICE] = fence_image.FenceImages(paths).serve
        self._task: asyncio.Task[None] | None = None

    def begin(self, old: Path, old_epoch: int, base: Position) -> None:
        """Compare the database ``old``, last written in ``old_epoch``, with the history up to ``base``."""
        self.cancel()
        pending = _Pending(old_epoch, base, self._neighbour.receiver.epoch)
        self._task = asyncio.create_task(self._note_and_run(old, pending), name="comparison")

    def resume(self) -> None:
        """Take up what an earlier process of this node left."""
        self.cancel()
        self._task = asyncio.create_task(self._run_all(), name="comparison")

    def cancel(self) -> None:
        """Stop; begun anew it finds the same."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _note_and_run(self, old: Path, pending: _Pending) -> None:
        await asyncio.to_thread(write_file, old.with_name(_PENDING), msgspec.json.encode(pending))
        await self._run_all()

    async def _run_all(self) -> None:
        aside = self._paths.home / "data" / "set-aside"
        for note in sorted(await asyncio.to_thread(lambda: list(aside.glob(f"*/{_PENDING}")))):
            pending = msgspec.json.decode(await asyncio.to_thread(note.read_bytes), type=_Pending)
            await self._run(note.with_name(self._paths.database.name), pending)
            note.unlink(missing_ok=True)

    async def _run(self, old: Path, pending: _Pending) -> None:
        while True:
            try:
                rows = await self._compare(old, pending)
                for piece in to_reports(rows):
                    report = msgspec.msgpack.encode(Report(self._node, pending.base, piece))
                    await self._neighbour.call(SERVICE, ADD, report)
            except (ProntuarioError, OSError, Error) as error:
                code = error.kind.code if isinstance(error, ProntuarioError) else type(error).__name__
                log.info("the comparison with the old record waits", code=code, epoch=pending.old_epoch)
                await asyncio.sleep(_RETRY_S)
            else:
                log.warning("the old record was compared", count=len(rows), epoch=pending.old_epoch)
                if not rows:  # the record has everything that is in it
                    await asyncio.to_thread(shutil.rmtree, old.parent, ignore_errors=True)
                return

    async def _compare(self, old: Path, pending: _Pending) -> list[DivergentRow]:
        for path in old.parent.glob(f"{_FENCE}*"):
            path.unlink()
        fence = old.with_name(
            f"{_FENCE}{secrets.token_hex(4)}.sqlite"
        )  # a restore that was given up may still be writing
        try:
            await self._first_image(pending.fence, fence)
        except ProntuarioError:
            # The first image was joined into a larger file before it came here: whoever leads still has what it began with.
            log.info("the record as it was at the fence comes from the other node", epoch=pending.base.epoch)
            await fence_image.fetch_image(self._ask_image, pending.base, fence)
        rows = await asyncio.to_thread(compare_tail, old, fence)
        fence.unlink(missing_ok=True)
        return rows

    async def _first_image(self, epoch: int, to: Path) -> None:
        """What this node receives of ``epoch``, as it began. Raises ``cluster.copy_damaged``: it is not here (any more)."""
        receiver = self._neighbour.receiver
        while receiver.epoch == epoch and receiver.position.txid < _FIRST_IMAGE:  # noqa: ASYNC110  it has no event
            await asyncio.sleep(_POLL_S)
        if receiver.epoch != epoch:
            raise COPY_DAMAGED(reason="a later epoch has begun")
        await asyncio.to_thread(restore_copy, receiver.folder, to, txid=_FIRST_IMAGE)

    async def _ask_image(self, body: bytes) -> bytes:
        return await self._neighbour.call(fence_image.SERVICE, fence_image.READ, body)
