"""One piece of work on the shelf at a time, told as it goes: import, verify, activate, roll back, remove.

Each takes longer than a request may last. It is begun by one, goes on whether or not anybody looks, and what became of it stays to
be seen until the next one begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal, Protocol

import msgspec
from msgspec.structs import replace

from appliance.operations.packs.activation import Activated
from appliance.operations.packs.errors import BUSY, IN_USE
from appliance.operations.packs.examination import Told, Wrong, examine, told
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.places import Places
from appliance.operations.packs.shelf import OnBytes, Shelf
from appliance.plugin_api.capabilities import CAPABILITIES
from appliance.plugin_api.errors import INTERNAL, ProntuarioError, catalogue
from appliance.store import durable
from appliance.store.threads import to_the_end
from appliance.telemetry.logs import get_logger

log = get_logger("packs")
Kind = Literal["import", "verify", "activate", "rollback", "remove"]
STOPPABLE: Final = frozenset({"import", "verify", "activate"})
_OK: Final = 200
_STOPPED: Final = 499


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked for. ``what``: a pack, or an ability for a rollback; an import has ``place`` and ``path``."""

    id: str
    kind: Kind
    what: str = ""
    place: str = ""
    path: str = ""
    by: str = ""
    by_id: str = ""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """How an order stands. ``done_bytes`` of ``all_bytes`` were read; when all are, an activation tests the model.

    ``pack`` and ``capability`` are what it is about, once known; ``serving`` the pack that serves after it, ``before`` the one
    that did before. ``wrong``: files that are not as signed. ``told``: why it failed.
    """

    id: str
    kind: Kind
    what: str
    by: str
    began: str
    state: Literal["running", "done", "failed", "stopped"] = "running"
    ended: str = ""
    done_bytes: int = 0
    all_bytes: int = 0
    pack: str = ""
    capability: str = ""
    before: str = ""
    serving: str = ""
    wrong: tuple[Wrong, ...] = ()
    told: Told = Told()


class Switch(Protocol):
    """Exchanges what serves (``Activation``)."""

    async def activate(self, pack: str, on_bytes: OnBytes = ...) -> Activated:
        """See ``Activation.activate``."""
        ...

    async def rollback(self, capability: str, on_bytes: OnBytes = ...) -> Activated:
        """See ``Activation.rollback``."""
        ...


class StoppedError(Exception):
    """Somebody stopped it. What an import has copied stays, and the next attempt goes on from there."""


class Meter:
    """Counts bytes for a thread that reads them, and stops it."""

    def __init__(self) -> None:
        self.done = 0
        self.all = 0
        self.stopped = False

    def add(self, more: int) -> None:
        """Raises ``StoppedError`` once somebody said so."""
        self.done += more
        if self.stopped:
            raise StoppedError


Record = Callable[[Order, str, int, str], Awaitable[None]]
"""(order, what it was about, status, code): the audit log's."""


class Workbench:
    """One for each node. ``now`` gives a FHIR instant; ``record`` is called once for each order that ended."""

    def __init__(
        self,
        shelf: Shelf,
        switch: Switch,
        intake: Intake,
        places: Places,
        *,
        now: Callable[[], str],
        record: Record,
    ) -> None:
        self._shelf = shelf
        self._exchange = switch
        self._intake = intake
        self._places = places
        self._now = now
        self._record = record
        self._meter = Meter()
        self._latest: Work | None = None
        self._task: asyncio.Task[None] | None = None

    def latest(self) -> Work | None:
        """The work that goes on, or the last one that ended."""
        work = self._latest
        if work is None or work.state != "running":
            return work
        return replace(work, done_bytes=self._meter.done, all_bytes=self._meter.all)

    def check(self, order: Order) -> None:
        """Raise what speaks against it: ``pack.busy``, ``pack.in_use`` (409), ``pack.unknown``, ``pack.place`` (404)."""
        if self._task is not None:
            raise BUSY()
        if order.kind == "import":
            self._places.check(order.place, order.path)
        elif order.kind != "rollback":
            folder = self._shelf.find(order.what)
            if order.kind == "remove" and self._shelf.active(folder.parent.name) == folder.name:
                raise IN_USE(pack=folder.name)

    def begin(self, order: Order) -> None:
        """Carry it out in the background; one that lost a race for the bench is told as refused."""
        work = Work(id=order.id, kind=order.kind, what=order.what or order.path, by=order.by, began=self._now())
        if self._task is not None:
            log.warning("a change of models was refused: another goes on", step=order.kind)
            return
        self._meter, self._latest = Meter(), work
        self._task = asyncio.create_task(self._carry_out(order, work, self._meter), name=f"packs {order.kind}")

    def stop(self, work_id: str) -> bool:
        """Stop this work if it still goes on and can be; what it changed is nothing, and what it copied stays."""
        running = self._task is not None and self._latest is not None and self._latest.id == work_id
        if running and self._latest is not None and self._latest.kind in STOPPABLE:
            self._meter.stopped = True
            return True
        return False

    async def close(self) -> None:
        """Stop what goes on, and return when it is over."""
        self._meter.stopped = True
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _carry_out(self, order: Order, work: Work, meter: Meter) -> None:
        unforeseen = INTERNAL(incident=order.id)
        ended, status = replace(work, state="failed", told=told(unforeseen)), INTERNAL.status
        try:
            ended = await self._do(order, work, meter)
            status = _OK if ended.state == "done" else catalogue()[ended.told.code].status
        except (StoppedError, asyncio.CancelledError):  # cancelled by ``close`` only, which waits for what follows
            ended, status = replace(work, state="stopped"), _STOPPED
        except ProntuarioError as error:
            ended, status = await asyncio.to_thread(self._failed, work, error), error.kind.status
        except OSError as error:
            failure = durable.as_failure(error)
            ended, status = await asyncio.to_thread(self._failed, work, failure), failure.kind.status
        except Exception:  # what nobody foresaw goes on to the loop, which reports it
            ended = await asyncio.to_thread(self._failed, work, unforeseen)
            raise
        finally:  # the bench has to be free for the next order, whatever happened
            await self._settle(order, replace(ended, done_bytes=meter.done, all_bytes=meter.all), status)

    async def _settle(self, order: Order, ended: Work, status: int) -> None:
        ended = replace(ended, ended=self._now())
        log.info("work on the shelf of models ended", step=order.kind, status=status, code=ended.told.code)
        try:
            await self._record(order, ended.pack or ended.what, status, ended.told.code)
        finally:
            self._latest, self._task = ended, None

    def _failed(self, work: Work, error: ProntuarioError) -> Work:
        """``work`` as it ended; what serves is what served before."""
        capability = work.what if work.kind == "rollback" else self._capability(work.what)
        serving = self._shelf.active(capability) if capability in CAPABILITIES else ""
        return replace(work, state="failed", told=told(error), capability=capability, before=serving, serving=serving)

    def _capability(self, pack: str) -> str:
        return next((folder.parent.name for folder in self._shelf.folders() if folder.name == pack), "")

    async def _do(self, order: Order, work: Work, meter: Meter) -> Work:
        if order.kind == "import":
            return await to_the_end(self._import, order, work, meter)
        if order.kind == "verify":
            return await to_the_end(self._verify, work, meter)
        if order.kind == "remove":
            capability = await asyncio.to_thread(self._capability, order.what)
            meter.done = meter.all = await to_the_end(self._shelf.remove, order.what)
            return replace(work, state="done", pack=order.what, capability=capability)
        return await self._switch(work, meter)

    def _import(self, order: Order, work: Work, meter: Meter) -> Work:
        source = self._places.find(order.place, order.path)
        meter.all = self._intake.look(source).size
        taken = self._intake.take_in(source, meter.add)
        return replace(work, state="done", pack=taken.pack, capability=taken.capability)

    def _verify(self, work: Work, meter: Meter) -> Work:
        meter.all = self._size(work.what)
        wrong = examine(self._shelf, work.what, meter.add)
        ended = replace(work, pack=work.what, capability=self._capability(work.what), wrong=wrong)
        return replace(ended, state="failed", told=wrong[0].told) if wrong else replace(ended, state="done")

    async def _switch(self, work: Work, meter: Meter) -> Work:
        if work.kind == "rollback":
            previous = await asyncio.to_thread(lambda: self._shelf.memory(work.what).previous)
            meter.all = await asyncio.to_thread(self._size, previous)
            done = await self._exchange.rollback(work.what, meter.add)
        else:
            meter.all = await asyncio.to_thread(self._size, work.what)
            done = await self._exchange.activate(work.what, meter.add)
        return replace(
            work, state="done", pack=done.pack, capability=done.capability, before=done.before, serving=done.pack
        )

    def _size(self, pack: str) -> int:
        return sum(row.bytes for row in self._shelf.rows() if row.pack == pack)
