"""Putting a pack to work while people use the one before it, and going back by itself when it is no good.

A candidate is read byte by byte, loaded beside the model that serves, and has to answer a synthetic request; only then the
link ``active`` moves and new requests go to it. Until then nothing that serves is touched, so a failure has nothing to undo.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from appliance.operations.packs.errors import BUSY, GATE, NO_PREVIOUS, OLDER, UNREADABLE, UNUSED
from appliance.operations.packs.manifest import PackManifest
from appliance.operations.packs.shelf import OnBytes, Shelf
from appliance.plugin_host.host import PluginHost
from appliance.plugin_host.renewal import GateError
from appliance.store import durable
from appliance.store.threads import to_the_end
from appliance.telemetry.logs import get_logger

log = get_logger("packs")


class Activated(msgspec.Struct, frozen=True):
    """What serves now, and what served before; ``before`` is empty when that was the demonstration."""

    capability: str
    pack: str
    before: str


class Activation:
    """One for each node; ``host`` is what loads models and hands requests to them."""

    def __init__(self, shelf: Shelf, host: PluginHost) -> None:
        self._shelf = shelf
        self._host = host
        self._turn = asyncio.Lock()

    async def activate(self, pack: str, on_bytes: OnBytes = lambda _: None) -> Activated:
        """Put ``pack`` to work. ``on_bytes``: for a progress bar; what it raises ends the attempt before anything was touched.

        Raises:
            ProntuarioError: ``pack.unknown`` (404); ``pack.older``, ``pack.busy``, ``pack.unused``, ``pack.by_hand`` (409);
                ``pack.gate`` and whatever ``Shelf.verify`` finds (422); ``pack.unreadable`` (500). What served before goes on.
        """
        async with self._alone(pack):
            folder = await asyncio.to_thread(self._shelf.find, pack)
            known = await asyncio.to_thread(self._shelf.manifest, folder)
            name, _, version = (await asyncio.to_thread(self._shelf.active, known.capability)).rpartition("-")
            # Told by its name alone: a pack that is damaged, gone or trusted no more must not stand in its successor's way.
            if name == known.name and version.isdecimal() and int(version) > known.version:
                raise OLDER(name=known.name, version=known.version, newest=int(version))
            return await self._switch(pack, on_bytes)

    async def rollback(self, capability: str, on_bytes: OnBytes = lambda _: None) -> Activated:
        """Go back to the pack that served before; it has to pass the same test.

        Raises:
            ProntuarioError: ``pack.no_previous`` (409), or as for ``activate``.
        """
        async with self._alone(capability):
            previous = (await asyncio.to_thread(self._shelf.memory, capability)).previous
            if previous in {"", await asyncio.to_thread(self._shelf.active, capability)}:
                raise NO_PREVIOUS(capability=capability)
            return await self._switch(previous, on_bytes)

    @asynccontextmanager
    async def _alone(self, what: str) -> AsyncIterator[None]:
        """One change at a time; a disk that can't be read is an answer, too."""
        if self._turn.locked():
            raise BUSY()
        async with self._turn:
            try:
                yield
            except OSError as error:
                raise UNREADABLE(pack=what, reason=errno.errorcode.get(error.errno or 0, "?")) from error

    async def _switch(self, pack: str, on_bytes: OnBytes) -> Activated:
        known = await to_the_end(self._shelf.verify, pack, on_bytes)
        capability, folder = known.capability, await asyncio.to_thread(self._shelf.find, pack)
        await asyncio.to_thread(self._shelf.refuse_by_hand, capability)
        before = await asyncio.to_thread(self._shelf.active, capability)
        if before == pack:
            return Activated(capability, pack, pack)
        await self._try_and_use(known, folder)
        log.info("a model pack was activated", capability=capability, model=pack)
        return Activated(capability, pack, before)

    async def _try_and_use(self, known: PackManifest, folder: Path) -> None:
        with self._shelf.as_if_active(known.capability, folder) as models_dir:
            try:
                tried = await self._host.try_models(known.capability, models_dir)
            except GateError as error:
                log.warning("a model pack failed its test", model=known.pack, reason_code=str(error))
                raise GATE(pack=known.pack, reason=str(error)) from error
        if not tried:
            raise UNUSED(capability=known.capability)
        try:
            await to_the_end(self._shelf.point, known.capability, known.pack)
        except BaseException as error:
            await asyncio.shield(self._host.drop_models(tried))
            if isinstance(error, OSError):
                raise durable.as_failure(error) from error
            raise
        self._host.use_models(tried)
