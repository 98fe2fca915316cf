"""Core's side of ``prontuario models``: changing what serves, audited as the operator's act."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from appliance.config import Paths
from appliance.daemon.enrolment import OPERATOR
from appliance.daemon.record import RecordSlot
from appliance.operations.packs.activation import Activated, Activation
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_host.host import PluginHost
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.steady_time import SteadyTime

Verb = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class PacksDesk:
    """The verbs ``models.activate`` and ``models.rollback`` of the operator's socket. Made while the node starts: blocks a little."""

    def __init__(self, paths: Paths, host: PluginHost, slot: RecordSlot, time: SteadyTime) -> None:
        shelf = Shelf(paths.models, paths.pack_keys)
        shelf.tidy()
        self._activation = Activation(shelf, host)
        self._slot = slot
        self._time = time

    def verbs(self) -> dict[str, Verb]:
        """For ``ControlSocket``."""
        return {"models.activate": self._on_activate, "models.rollback": self._on_rollback}

    async def _on_activate(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        pack = str(request.get("pack", ""))
        return await self._told("activate model", pack, self._activation.activate(pack))

    async def _on_rollback(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        capability = str(request.get("capability", ""))
        return await self._told("roll model back", capability, self._activation.rollback(capability))

    async def _told(self, action: str, what: str, work: Awaitable[Activated]) -> Mapping[str, Any]:
        try:
            done = await work
        except ProntuarioError as error:
            await self._record(action, what, error.kind.status, error.kind.code)
            raise
        await self._record(action, done.pack, 200, "")
        answer: dict[str, Any] = msgspec.to_builtins(done)
        return answer

    async def _record(self, action: str, what: str, status: int, code: str) -> None:
        """In the audit log where there is a record to write it to; a standby's log file has it anyway."""
        event = AuditEvent(
            at=self._time.instant(), action=action, user_id=OPERATOR, resource=f"models/{what}", status=status,
            detail_code=code,
        )  # fmt: skip
        if self._slot.is_open:
            await self._slot.note(lambda tx: audit.append(tx, event))
