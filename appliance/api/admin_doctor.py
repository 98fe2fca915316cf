"""Doctor for the dashboard: what the last examination found, and having this node examined now."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, Protocol

from appliance.api.admin_shapes import Done
from appliance.operations.doctor.rounds import DoctorView
from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route

PREFIX: Final = "/api/admin/doctor"
TAG: Final = "admin"


class DoctorDesk(Protocol):
    """This node's doctor (``operations.doctor.rounds.DoctorRounds``)."""

    def view(self) -> DoctorView:
        """What it found last, and whether it examines now."""
        ...

    def begin(self, by: str) -> None:
        """Examine now, unless it does already; returns at once."""
        ...


def doctor_routes(desk: DoctorDesk | None) -> list[AnyRoute]:
    """``GET`` the findings; ``POST`` to examine. ``desk``: None where there is no doctor."""

    async def look(request: Request) -> Reply:
        request.about(resource="doctor")
        if desk is None:
            raise NOT_FOUND(what="doctor")
        return Reply(body=desk.view())

    async def run(request: Request) -> Reply:
        # No commit: a node that may only be read is one that needs to be examined. The door records who asked all the
        # same, on this node (ADR 14); a repeat begins no second examination, so it needs no Idempotency-Key.
        request.about(resource="doctor")
        if desk is None:
            raise NOT_FOUND(what="doctor")
        desk.begin(request.principal.username)
        return Reply(HTTPStatus.ACCEPTED, Done("doctor", "running"))

    return [
        Route("GET", PREFIX, "node.read", look, "Doctor's last findings on this node, each with cause and next step",
              response=DoctorView, tag=TAG),
        Route("POST", PREFIX + "/run", "node.manage", run, "Have doctor examine this node now; it changes nothing",
              response=Done, tag=TAG),
    ]  # fmt: skip
