"""Switching AI off and on over HTTP: for oneself, for a patient, for the hospital."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from appliance.api import care_shapes as shapes
from appliance.care import ai_switches
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import SELF, AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Store, Transaction
from appliance.records import repository

TAG: Final = "ai"


class TurnSwitch(msgspec.Struct, forbid_unknown_fields=True):
    """Whether the function shall be on."""

    on: bool


class Switches(msgspec.Struct):
    """Every function as it stands for the caller, and for the patient if one was named."""

    switches: list[ai_switches.Switch]


class SwitchRoutes:
    """Handlers over one node's store; ``now`` tells the moment as a FHIR instant."""

    def __init__(self, store: Store, now: Callable[[], str]) -> None:
        self._store = store
        self._now = now

    def routes(self) -> list[AnyRoute]:
        """All of them."""
        mine, everybodys = "/api/ai/switches", "/api/ai/hospital-switches/{function}"
        patients = "/api/patients/{patient_id}/ai-switches/{function}"
        return [
            Route("GET", mine, SELF, self.read, "Which AI functions are on (?patient=)", None, Switches, TAG),
            Route("PUT", mine + "/{function}", SELF, self.turn_mine, "Switch an AI function off or on for oneself",
                  TurnSwitch, Switches, TAG),
            Route("PUT", patients, "note.write", self.turn_patients, "Switch an AI function off or on for a patient",
                  TurnSwitch, Switches, TAG),
            Route("PUT", everybodys, "node.manage", self.turn_everybodys, "Switch an AI function off or on for the hospital",
                  TurnSwitch, Switches, TAG),
        ]  # fmt: skip

    async def read(self, request: Request) -> Reply:
        """``GET /api/ai/switches?patient=``. Whoever may not read patients is told only of themselves."""
        patient = request.query.get("patient", "") if request.principal.may("patient.read") else ""
        patient_id = shapes.bare_id(patient, "Patient")
        if patient_id:
            request.about(patient=f"Patient/{patient_id}")
        find = partial(ai_switches.state, user_id=request.principal.user_id, patient_id=patient_id)
        return Reply(body=Switches(await self._store.read(find)))

    async def turn_mine(self, request: Request) -> Reply:
        """``PUT /api/ai/switches/{function}``."""
        return await self._turn(request, "person", request.principal.user_id)

    async def turn_patients(self, request: Request) -> Reply:
        """``PUT /api/patients/{id}/ai-switches/{function}``: the patient has refused it, or agrees again."""
        patient_id = request.parameters["patient_id"]
        request.about(patient=f"Patient/{patient_id}", resource=f"Patient/{patient_id}")
        await self._store.read(lambda q: repository.read_stored(q, "Patient", patient_id))
        return await self._turn(request, "patient", patient_id)

    async def turn_everybodys(self, request: Request) -> Reply:
        """``PUT /api/ai/hospital-switches/{function}``."""
        return await self._turn(request, "hospital", "")

    async def _turn(self, request: Request, scope: ai_switches.Scope, subject: str) -> Reply:
        asked = await request.body(TurnSwitch)
        function = next((one for one in ai_switches.FUNCTIONS if one == request.parameters["function"]), None)
        if function is None:
            known = ", ".join(ai_switches.FUNCTIONS)
            raise INVALID(field="function", name="function", reason=f"one of {known}")
        who = request.principal.user_id

        def change(tx: Transaction) -> Reply:
            ai_switches.turn(tx, scope, subject, function, on=asked.on, who=who, now=self._now())
            patient_id = subject if scope == "patient" else ""
            return Reply(body=Switches(ai_switches.state(tx, user_id=who, patient_id=patient_id)))

        return await request.commit(change)
