"""Core's side of updates: their steps in the audit log, their figures for alerts, and what the two nodes tell each other.

Core only reads what root's command writes down; it installs nothing.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.api.admin_updates import FoundUpdate
from appliance.config import Config, Paths
from appliance.daemon.enrolment import OPERATOR
from appliance.daemon.record import READ_ONLY, RecordSlot
from appliance.operations.packs.places import Places
from appliance.operations.updates.journal import Place
from appliance.operations.updates.manifest import MANIFEST_NAME
from appliance.operations.updates.preparing import Preparation
from appliance.operations.updates.state import State, Step
from appliance.operations.updates.telling import UpdateReport, report
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.files import write_file
from appliance.store.threads import to_the_end
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("update")
Verb = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
CallPeer = Callable[[str, str, bytes], Awaitable[bytes]]
SERVICE: Final = "updates"
LOOK: Final = "look"
LOOK_S: Final = 5.0
MOST_FOLDERS: Final = 200
_PEER_LIMIT_S: Final = 3.0
_OK: Final = 200
_FAILED: Final = 500


class PeerLook(msgspec.Struct, frozen=True):
    """What the other node wants to know: the version that runs here, and whether this node is between two versions."""

    version: str
    at_work: bool


class Told(msgspec.Struct):
    """How many entries of each run stand in the audit log already."""

    runs: dict[str, int] = {}


class UpdatesDesk:
    """Implements ``appliance.api.admin_updates.UpdateDesk``.

    ``program``: the running one's version; ``places``: where bundles are looked for. ``place`` is found where the program lies.
    """

    def __init__(
        self,
        paths: Paths,
        slot: RecordSlot,
        metrics: Metrics,
        program: str,
        *,
        places: Places,
        place: Place | None = None,
    ) -> None:
        self._place, self._places, self._home = place or Place(own_prefix()), places, paths.home
        self._told_file = paths.home / "data" / "updates-told.json"
        self._slot, self._version = slot, program
        self._peer: CallPeer | None = None
        half = metrics.gauge("update_half_done", "Whether an update is between two versions on this node")
        half.set_function(lambda: float(self._is(lambda state: state.half_done)))
        stuck = metrics.gauge("update_stuck", "Whether an update failed and its way back, too")
        stuck.set_function(lambda: float(self._is(lambda state: state.step is Step.STUCK)))

    @classmethod
    def of(cls, paths: Paths, slot: RecordSlot, metrics: Metrics, config: Config) -> UpdatesDesk:
        """Of the running program, with bundles looked for where packs are."""
        places = Places(paths.inbox, config.models.import_from)
        return cls(paths, slot, metrics, version("prontuario"), places=places)

    # -- UpdateDesk -------------------------------------------------------------------------------------------------------
    async def look(self) -> UpdateReport:
        """See ``UpdateDesk.look``."""
        return await asyncio.to_thread(report, self._place)

    async def found(self) -> Sequence[FoundUpdate]:
        """See ``UpdateDesk.found``."""
        return await asyncio.to_thread(self._found)

    def _found(self) -> list[FoundUpdate]:
        preparation = Preparation(self._place, self._home, SystemClock())
        return [_told(folder, preparation) for place in self._places.all() for folder in bundles_in(Path(place.folder))]

    def join(self, services: dict[str, Callable[[str, bytes], Awaitable[bytes]]], call: CallPeer) -> None:
        """This node is one half of a pair: answer the other one, and be able to ask it."""
        services[SERVICE] = self._serve_peer
        self._peer = call

    def start(self, stack: AsyncExitStack) -> None:
        """Bring what root's command does into the audit log from now on; ``stack`` ends it."""
        task = asyncio.create_task(self._follow(), name="updates")

        async def end() -> None:
            task.cancel()
            await asyncio.wait({task})

        stack.push_async_callback(end)

    # -- the operator's socket ------------------------------------------------------------------------------------------
    def verbs(self) -> dict[str, Verb]:
        """For ``ControlSocket``."""
        return {"update.peer": self._on_peer}

    async def _on_peer(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The other node's version and whether it is at work; empty if it does not say."""
        if self._peer is None:
            return {}
        try:
            async with asyncio.timeout(_PEER_LIMIT_S):
                told = msgspec.msgpack.decode(await self._peer(SERVICE, LOOK, b""), type=PeerLook)
        except (ProntuarioError, TimeoutError, msgspec.MsgspecError) as error:
            log.debug("the other node's version is not known", error=type(error).__name__)
            return {}
        return {"version": told.version, "at_work": told.at_work}

    async def _serve_peer(self, _verb: str, _body: bytes) -> bytes:
        at_work = await asyncio.to_thread(self._is, lambda state: state.half_done)
        return msgspec.msgpack.encode(PeerLook(self._version, at_work))

    # -- the audit log --------------------------------------------------------------------------------------------------
    async def _follow(self) -> None:
        while True:
            try:
                await self.tell()
            except (ProntuarioError, OSError) as error:  # no record here, a full disk: next time
                log.debug("an update's steps are not in the audit log yet", error=type(error).__name__)
            await asyncio.sleep(LOOK_S)

    async def tell(self) -> int:
        """Write what is new into the audit log, where this node has the record; how many entries that were.

        Raises:
            ProntuarioError: the record can't be written now; OSError: what was told can't be noted, so it may come twice.
        """
        runs, told = await asyncio.to_thread(self._untold)
        if not runs or not self._slot.is_open or self._slot.mode == READ_ONLY:
            return 0
        events = [event for state in runs for event in events_of(state, told.runs.get(state.run, 0))]

        def change(tx: Transaction) -> None:
            for event in events:
                audit.append(tx, event)

        await self._slot.write(change)
        told.runs |= {state.run: len(state.entries) for state in runs}
        await to_the_end(write_file, self._told_file, msgspec.json.encode(told))
        return len(events)

    def _untold(self) -> tuple[list[State], Told]:
        told = Told()
        with suppress(OSError, msgspec.MsgspecError):
            told = msgspec.json.decode(self._told_file.read_bytes(), type=Told)
        state = self._place.load()
        known = {one.run: one for one in (*self._place.past().runs, *([state] if state else []))}
        return [one for one in known.values() if len(one.entries) > told.runs.get(one.run, 0)], told

    def _is(self, question: Callable[[State], bool]) -> bool:
        try:
            state = self._place.load()
        except ProntuarioError:
            return True  # a state that can't be read is no reason to be calm
        return state is not None and question(state)


def events_of(state: State, after: int) -> list[AuditEvent]:
    """The audit events of a run's entries from number ``after`` + 1 on."""
    return [
        AuditEvent(
            at=entry.at,
            action=f"update {entry.step.value} {entry.what}",
            user_id=OPERATOR,
            resource=f"updates/{state.run}",
            status=_FAILED if entry.what == "failed" else _OK,
            detail_code=entry.code,
        )
        for entry in state.entries[after:]
    ]


def bundles_in(folder: Path) -> list[Path]:
    """Where a bundle lies: the folder itself, a stick in it, or a folder on that stick."""
    first = _folders(folder)
    second = [two for one in first for two in _folders(one)]
    return [one for one in (folder, *first, *second) if _holds_one(one)]


def _folders(folder: Path) -> list[Path]:
    """What lies right in it, never a link or a name that a terminal would not show; a stick that is gone holds nothing."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(Path(one.path) for one in entries if one.is_dir(follow_symlinks=False))
    except OSError:
        return []
    return [one for one in found if not one.name.startswith(".") and one.name.isprintable()][:MOST_FOLDERS]


def _holds_one(folder: Path) -> bool:
    try:
        return (folder / MANIFEST_NAME).is_file()
    except OSError:
        return False


def _told(folder: Path, preparation: Preparation) -> FoundUpdate:
    try:
        known = preparation.look(folder)
    except ProntuarioError as error:
        pt, en = (f"{error.sentence(one)} {error.next_step(one)}" for one in ("pt", "en"))
        return FoundUpdate(folder=str(folder), refused=error.kind.code, refused_pt=pt, refused_en=en)
    except OSError as error:
        return FoundUpdate(folder=str(folder), refused="unreadable", refused_pt=str(error), refused_en=str(error))
    return FoundUpdate(
        folder=str(folder), version=known.version, made=known.made, notes_pt=known.notes_pt, notes_en=known.notes_en,
        bytes=known.size,
    )  # fmt: skip


def own_prefix(executable: Path | None = None) -> Path:
    """Where the package put this very program; a program from elsewhere has no updates, so the usual place will do."""
    found = (executable or Path(sys.executable)).resolve()
    for folder in found.parents:
        if folder.parent.name == "versions":
            return folder.parent.parent
    return Path("/Library/Prontuario")
