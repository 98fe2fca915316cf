"""Core's side of the packs: ``prontuario models`` at the operator's socket, and the dashboard's page; each change is audited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from appliance.api.admin_packs_shapes import Offer, PlaceList, Shelved
from appliance.config import Config, Paths
from appliance.daemon.enrolment import OPERATOR
from appliance.daemon.record import RecordSlot
from appliance.operations.packs.activation import Activated, Activation
from appliance.operations.packs.examination import told
from appliance.operations.packs.intake import Intake, Outlook, free_bytes
from appliance.operations.packs.picture import PackText, mac_only, picture, text
from appliance.operations.packs.places import Listing, Places
from appliance.operations.packs.shelf import Shelf
from appliance.operations.packs.signing import key_id
from appliance.operations.packs.work import Order, Work, Workbench
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_host.host import PluginHost
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.files import make_private_folder
from appliance.security.steady_time import SteadyTime
from appliance.store import durable
from appliance.telemetry.logs import get_logger

log = get_logger("packs")
Verb = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
ACTIONS = {
    "import": "import model",
    "verify": "verify model",
    "activate": "activate model",
    "rollback": "roll model back",
    "remove": "remove model",
}
"""What the audit log calls each kind of order."""


class PacksDesk:
    """Implements ``PackDesk``, and the verbs ``models.*`` of the operator's socket. Made while the node starts: blocks a little."""

    def __init__(self, paths: Paths, host: PluginHost, slot: RecordSlot, time: SteadyTime, config: Config) -> None:
        self._shelf = Shelf(paths.models, paths.pack_keys)
        self._shelf.tidy()
        make_private_folder(paths.inbox)
        self._activation, self._intake = Activation(self._shelf, host), Intake(self._shelf)
        self._places = Places(paths.inbox, config.models.import_from)
        self._paired = config.cluster.mode == "paired"
        self._slot = slot
        self._time = time
        self._bench = Workbench(
            self._shelf, self._activation, self._intake, self._places, now=time.instant, record=self._record_order
        )

    # -- the operator's socket ---------------------------------------------------------------------------------------------
    def verbs(self) -> dict[str, Verb]:
        """For ``ControlSocket``."""
        return {"models.activate": self._on_activate, "models.rollback": self._on_rollback}

    async def _on_activate(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        pack = str(request.get("pack", ""))
        return await self._told(ACTIONS["activate"], pack, self._activation.activate(pack))

    async def _on_rollback(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        capability = str(request.get("capability", ""))
        return await self._told(ACTIONS["rollback"], capability, self._activation.rollback(capability))

    async def _told(self, action: str, what: str, work: Awaitable[Activated]) -> Mapping[str, Any]:
        try:
            done = await work
        except ProntuarioError as error:
            await self._record(action, what, error.kind.status, error.kind.code)
            raise
        await self._record(action, done.pack, 200, "")
        answer: dict[str, Any] = msgspec.to_builtins(done)
        return answer

    # -- the dashboard -----------------------------------------------------------------------------------------------------
    async def shelf(self) -> Shelved:
        """See ``PackDesk.shelf``."""
        return await asyncio.to_thread(self._look)

    async def text(self, pack: str) -> PackText:
        """See ``PackDesk.text``."""
        return await asyncio.to_thread(text, self._shelf, pack)

    async def places(self) -> PlaceList:
        """See ``PackDesk.places``."""
        return PlaceList(await asyncio.to_thread(self._places.all))

    async def listing(self, place: str, path: str) -> Listing:
        """See ``PackDesk.listing``."""
        return await asyncio.to_thread(self._places.listing, place, path)

    async def offer(self, place: str, path: str) -> Offer:
        """See ``PackDesk.offer``."""
        return await asyncio.to_thread(self._offer, place, path)

    def check(self, order: Order) -> None:
        """See ``Workbench.check``."""
        self._bench.check(order)

    def begin(self, order: Order) -> None:
        """See ``Workbench.begin``."""
        self._bench.begin(order)

    def latest(self) -> Work | None:
        """See ``Workbench.latest``."""
        return self._bench.latest()

    def stop(self, work_id: str) -> bool:
        """See ``Workbench.stop``."""
        return self._bench.stop(work_id)

    async def close(self) -> None:
        """Stop what goes on; before engines and record go."""
        await self._bench.close()

    def _look(self) -> Shelved:
        try:
            trusted = tuple(key_id(key) for key in self._shelf.trusted())
        except ProntuarioError:  # a damaged key: every pack tells it as its trouble
            trusted = ()
        return Shelved(
            packs=picture(self._shelf), trusted=trusted, free_bytes=free_bytes(self._shelf.models), paired=self._paired
        )

    def _offer(self, place: str, path: str) -> Offer:
        source = self._places.find(place, path)
        try:
            outlook = self._intake.outlook(source)
        except ProntuarioError as error:
            return Offer(refused=told(error))
        except OSError as error:
            return Offer(refused=told(durable.as_failure(error)))
        return self._offered(outlook)

    def _offered(self, outlook: Outlook) -> Offer:
        known = outlook.manifest
        offer = Offer(
            pack=known.pack, capability=known.capability, version=known.version, bytes=known.size, files=len(known.files),
            footprint_bytes=known.footprint_bytes, licence=known.licence, intended_use=known.intended_use,
            signed_by=outlook.signed_by, mac_only=mac_only(known), serving=self._shelf.active(known.capability),
            there_bytes=outlook.there_bytes, needed_bytes=outlook.needed_bytes, free_bytes=outlook.free_bytes,
        )  # fmt: skip
        try:
            self._intake.refuse(outlook)
        except ProntuarioError as error:
            return msgspec.structs.replace(offer, refused=told(error))
        return offer

    # -- audit -------------------------------------------------------------------------------------------------------------
    async def _record_order(self, order: Order, what: str, status: int, code: str) -> None:
        try:
            await self._record(ACTIONS[order.kind], what, status, code, order.by_id)
        except (
            ProntuarioError
        ) as error:  # nobody waits for an answer that could be withheld; the order itself was recorded
            log.error("what became of an order could not be recorded", step=order.kind, code=error.kind.code)  # noqa: TRY400

    async def _record(self, action: str, what: str, status: int, code: str, user_id: str = OPERATOR) -> None:
        """In the audit log where there is a record to write it to; a standby's log file has it anyway."""
        event = AuditEvent(
            at=self._time.instant(), action=action, user_id=user_id, resource=f"models/{what}", status=status,
            detail_code=code,
        )  # fmt: skip
        if self._slot.is_open:
            await self._slot.note(lambda tx: audit.append(tx, event))
