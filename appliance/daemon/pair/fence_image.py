"""The record as it was where an epoch began: only the node that leads it has that, a returning old primary needs it to compare.

The old primary's own history does not end there (it committed on, and Litestream has joined the files since), and the new
epoch's first image is soon part of a larger file. What the leader had received when it took over ends exactly there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from appliance.cluster.follow import check_quickly, restore_copy
from appliance.cluster.model import Position
from appliance.config import Paths
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.files import make_private_folder
from appliance.telemetry.logs import get_logger

log = get_logger("pair")
SERVICE: Final = "fence-image"
READ: Final = "read"
PIECE_BYTES: Final = 512 << 10
Ask = Callable[[bytes], Awaitable[bytes]]


class Piece(msgspec.Struct, frozen=True):
    """Which image, and from where on."""

    base: Position
    offset: int


class FenceImages:
    """The leader's side. One image at a time lies on the disk; it goes once it was read to its end."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._folder = paths.home / "data" / "fence"
        self._making: dict[Position, asyncio.Task[Path]] = {}

    async def serve(self, verb: str, body: bytes) -> bytes:
        """A piece of an image; empty: that was all. Restoring it takes as long as a cold restore: the first call waits.

        Raises:
            ProntuarioError: ``cluster.copy_damaged``: its history is not here any more.
        """
        del verb
        wanted = msgspec.msgpack.decode(body, type=Piece)
        piece = await asyncio.to_thread(_read, await self._image(wanted.base), wanted.offset)
        if not piece:
            self._making.clear()
            await asyncio.to_thread(self._clear)
        return piece

    async def _image(self, base: Position) -> Path:
        if base not in self._making:
            self._making = {base: asyncio.create_task(asyncio.to_thread(self._restore, base), name="fence image")}
        task = self._making[base]
        try:
            return await asyncio.shield(task)  # whoever asks may lose patience and ask again: it goes on
        except (ProntuarioError, OSError):
            self._making.pop(base, None)
            raise

    def _restore(self, base: Position) -> Path:
        self._clear()
        make_private_folder(self._folder)
        image = self._folder / f"{base.epoch:08d}-{base.txid:016x}.sqlite"
        restore_copy(self._paths.replica(base.epoch), image, txid=base.txid)
        log.info("the record as it was at the fence is there for comparison", epoch=base.epoch, sequence=base.txid)
        return image

    def _clear(self) -> None:
        for path in self._folder.glob("*"):
            path.unlink(missing_ok=True)


async def fetch_image(ask: Ask, base: Position, to: Path) -> None:
    """Write the leader's image of ``base`` to ``to``; ``ask`` brings a request to the leader's ``FenceImages``.

    Raises:
        ProntuarioError: ``cluster.peer_away``; ``cluster.copy_damaged``: it has none, or what came is not whole.
        OSError: it can't be written.
    """
    offset = 0
    with await asyncio.to_thread(to.open, "wb") as file:
        while piece := await ask(msgspec.msgpack.encode(Piece(base, offset))):
            await asyncio.to_thread(file.write, piece)
            offset += len(piece)
    await asyncio.to_thread(check_quickly, to)


def _read(image: Path, offset: int) -> bytes:
    with image.open("rb") as file:
        file.seek(offset)
        return file.read(PIECE_BYTES)
