"""Drills for the dashboard: what comes when, what the last ones measured, one made now, a report as PDF."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

import msgspec

from appliance.api.admin_shapes import Done
from appliance.operations.drills.model import DrillRow, Summary
from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Transaction

PREFIX: Final = "/api/admin/drills"
TAG: Final = "admin"
ACCEPTED: Final = 202


class DrillDesk(Protocol):
    """The drills of this node, and the reports of the other one of a pair as far as it answers."""

    async def drills(self) -> Sequence[DrillRow]:
        """Every drill as this node sees it."""
        ...

    async def history(self) -> Sequence[Summary]:
        """Reports of both nodes, newest first."""
        ...

    def check(self, name: str) -> None:
        """Raise what speaks against making ``name`` here: ``drill.unknown``, ``schedule.elsewhere|running``."""
        ...

    def ask(self, name: str, by: str) -> None:
        """Make it as soon as nobody dictates."""
        ...

    async def report(self, report_id: str) -> bytes:
        """The signed PDF, from whichever node made it. Raises ``drill.no_report`` (404)."""
        ...


class DrillList(msgspec.Struct, frozen=True):
    """What is to come, and what was."""

    drills: list[DrillRow]
    history: list[Summary]


class ReportFile(msgspec.Struct, frozen=True):
    """A report; ``pdf`` is base64 in JSON, and carries its own proof (``prontuario drill verify``)."""

    id: str
    pdf: bytes


def drill_routes(desk: DrillDesk | None) -> list[AnyRoute]:
    """``GET`` what there is and was; ``POST`` to make one now. ``desk``: None where no drills are made."""

    async def listing(_request: Request) -> Reply:
        if desk is None:
            return Reply(body=DrillList([], []))
        return Reply(body=DrillList(list(await desk.drills()), list(await desk.history())))

    async def run(request: Request) -> Reply:
        name = request.parameters["name"]
        request.about(resource=f"drill/{name}")
        if desk is None:
            raise NOT_FOUND(what=f"drill/{name}")
        check, ask = partial(desk.check, name), partial(desk.ask, name, request.principal.username)

        def change(tx: Transaction) -> Reply:
            check()  # here, so that a repeat gets the first answer although it runs by now
            tx.after_commit(ask)
            return Reply(ACCEPTED, Done(name, "soon"))

        return await request.commit(change)

    async def report(request: Request) -> Reply:
        report_id = request.parameters["id"]
        request.about(resource="drill/report")
        if desk is None:
            raise NOT_FOUND(what="drill/report")
        return Reply(body=ReportFile(report_id, await desk.report(report_id)))

    return [
        Route(
            "GET", PREFIX, "job.read", listing, "Drills: what comes when, and what the last ones measured",
            response=DrillList, tag=TAG,
        ),
        Route("POST", PREFIX + "/{name}/run", "job.manage", run, "Make a drill as soon as nobody dictates", response=Done, tag=TAG),
        Route(
            "GET", PREFIX + "/reports/{id}", "job.read", report, "A drill's signed report: a PDF in base64",
            response=ReportFile, tag=TAG,
        ),
    ]  # fmt: skip
