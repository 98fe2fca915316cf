"""The record on this node: open while the node may serve it, and a clear refusal for everybody else's calls meanwhile.

Everything above the store is made once and speaks to ``RecordSlot``; with the role the database behind it comes and goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from appliance.care.service import Consults
from appliance.cluster.errors import READ_ONLY as CLUSTER_READ_ONLY
from appliance.daemon.background import SignedHeads
from appliance.plugin_api.errors import ProntuarioError, define
from appliance.plugin_api.hooks import Health
from appliance.plugin_api.storage import Query, Transaction
from appliance.security.identity import Identity
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.store.jobs import JobQueue
from appliance.store.litestream import Litestream
from appliance.telemetry.logs import get_logger

T = TypeVar("T")
log = get_logger("record")
RETRY_AFTER_S: Final = 1.0
READ_ONLY: Final = "read-only"

STANDBY = define(
    "cluster.standby",
    503,
    pt=("Este nó é a reserva; o prontuário é servido por {primary}.", "Repita o pedido no endereço do hospital."),
    en=(
        "This node is the standby; the record is served by {primary}.",
        "Repeat the request at the hospital's address.",
    ),
)
NOBODY: Final = "?"
"""Where the record is served, while nobody knows."""


class RecordSlot:
    """Implements ``plugin_api.storage.Store`` over the database of the moment, or says ``cluster.standby``."""

    def __init__(self, primary: Callable[[], str | None] = lambda: None) -> None:
        """``primary`` tells at which address the record is served, as far as this node knows."""
        self._primary = primary
        self._database: Database | None = None
        self._quiet = False
        self._writing = 0
        self._still = asyncio.Event()
        self._still.set()

    @property
    def mode(self) -> str:
        """The database's; without one this node acknowledges nothing."""
        return READ_ONLY if self._database is None else self._database.mode

    @property
    def is_open(self) -> bool:
        return self._database is not None

    def put(self, database: Database | None) -> None:
        """From now on calls go to ``database``; None: they are refused."""
        self._database = database
        self._quiet = False

    async def fall_quiet(self) -> None:
        """Take no more writes (``cluster.read_only``), and return once those under way are answered."""
        self._quiet = True
        await self._still.wait()

    def speak_again(self) -> None:
        """Take writes again."""
        self._quiet = False

    def refusal(self) -> ProntuarioError | None:
        """``cluster.standby`` while no record is open here."""
        if self._database is not None:
            return None
        return STANDBY(primary=self._primary() or NOBODY, retry_after=RETRY_AFTER_S)

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """See ``plugin_api.storage.Store.write``.

        Raises:
            ProntuarioError: besides, ``cluster.standby``, ``cluster.read_only`` (503): nothing was written.
        """
        database = self._current()
        if self._quiet or database.mode == READ_ONLY:
            raise CLUSTER_READ_ONLY(retry_after=RETRY_AFTER_S)
        self._writing += 1
        self._still.clear()
        try:
            return await database.write(change)
        finally:
            self._writing -= 1
            if not self._writing:
                self._still.set()

    async def note(self, change: Callable[[Transaction], T]) -> T:
        """Durable on the pair while this node leads; on this node alone once it may only be read from.

        Raises:
            ProntuarioError: as ``write``; ``cluster.read_only`` only during a handover, after which nothing may be added.
        """
        database = self._current()
        if database.mode == READ_ONLY and not self._quiet:
            return await database.write_here(change)
        return await self.write(change)

    async def read(self, query: Callable[[Query], T]) -> T:
        """See ``plugin_api.storage.Store.read``. Raises ``cluster.standby`` (503) besides."""
        return await self._current().read(query)

    def _current(self) -> Database:
        if self._database is None:
            raise STANDBY(primary=self._primary() or NOBODY, retry_after=RETRY_AFTER_S)
        return self._database


@dataclass(frozen=True, slots=True)
class OpenRecord:
    """A database that may be written, and what replicates it (None in unit tests and tools)."""

    database: Database
    litestream: Litestream | None
    close: Callable[[], Awaitable[None]]
    """Answers who waits and closes the database and everything behind it."""


class RecordSession:
    """Opens and closes the record: ``open`` → ``begin`` → ``rest`` → ``close``, and again with the next role."""

    def __init__(
        self,
        slot: RecordSlot,
        *,
        vault: Vault,
        identity: Identity,
        jobs: JobQueue,
        consults: Consults,
        heads: SignedHeads,
    ) -> None:
        self.slot = slot
        self._vault = vault
        self._identity = identity
        self._jobs = jobs
        self._consults = consults
        self._heads = heads
        self._record: OpenRecord | None = None
        self._busy = False
        self._resting: asyncio.Task[None] | None = None

    @property
    def record(self) -> OpenRecord | None:
        """What is open now."""
        return self._record

    @property
    def works(self) -> bool:
        """Whether the work that waits in the record is taken up."""
        return self._busy

    async def open(self, record: OpenRecord) -> None:
        """Serve ``record``; it belongs to this session from now on, also when this fails.

        Raises:
            ProntuarioError: ``vault.locked`` when it was written with another master key.
        """
        self._record = record
        self._identity.forget()
        try:
            if not await record.database.read(self._vault.recognises):
                await record.database.write(self._vault.check)
        except BaseException:
            await self.close()
            raise
        self.slot.put(record.database)

    async def begin(self) -> None:
        """Take up the work that waits in the record: jobs, dictations under way, signed audit heads."""
        if self._resting is not None:
            await asyncio.shield(self._resting)
        self._busy, self._resting = True, None
        await self._jobs.start()
        await self._consults.start()
        self._heads.start()

    async def rest(self, *, for_good: bool = True) -> None:
        """Let go of that work; jobs wait for whoever opens the record next. Safe to call twice.

        ``for_good``: False when the record goes on elsewhere, whose business the next signed head is.
        """
        if self._busy:
            self._busy = False
            self._resting = asyncio.create_task(self._rest(for_good=for_good), name="rest")
        if self._resting is not None:
            await asyncio.shield(self._resting)  # whoever loses patience leaves it going on: nobody begins it twice

    async def _rest(self, *, for_good: bool) -> None:
        await self._consults.stop()
        await self._jobs.stop()
        await self._heads.stop(last=for_good)

    async def close(self) -> None:
        """Refuse new calls, answer who waits, close everything. Safe to call twice."""
        self.slot.put(None)
        record, self._record = self._record, None
        if record is None:
            return
        try:
            with suppress(ProntuarioError):
                await self.rest()
        finally:
            try:
                await record.close()
            finally:
                self._identity.forget()

    async def health(self) -> Health:
        """Litestream's health; a check for the registry."""
        if self._record is None or self._record.litestream is None:
            return Health(
                "not_configured", "no record is open on this node", message_pt="nenhum prontuário está aberto neste nó"
            )
        return await self._record.litestream.health()
