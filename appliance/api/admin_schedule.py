"""Recurring work for the dashboard: what ran when, what it found, what failed and why; and running one now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from appliance.api.admin_shapes import Done
from appliance.operations.schedule_memory import TaskReport
from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Transaction

PREFIX: Final = "/api/admin/schedule"
TAG: Final = "admin"
ACCEPTED: Final = 202


class ScheduleDesk(Protocol):
    """The schedule of this node, and of the other one of a pair as far as it answers."""

    async def report(self) -> Sequence[TaskReport]:
        """Every task; of both nodes if there are two."""
        ...

    def check(self, name: str) -> None:
        """Raise what speaks against running ``name`` here: ``schedule.unknown|elsewhere|running``."""
        ...

    def run_soon(self, name: str) -> None:
        """Run it as soon as nothing else runs."""
        ...


def schedule_routes(desk: ScheduleDesk | None) -> list[AnyRoute]:
    """``GET`` the tasks; ``POST`` to run one now. ``desk``: None where nothing recurs."""

    async def listing(_request: Request) -> Reply:
        return Reply(body=list(await desk.report()) if desk is not None else [])

    async def run(request: Request) -> Reply:
        name = request.parameters["name"]
        request.about(resource=f"schedule/{name}")
        if desk is None:
            raise NOT_FOUND(what=f"schedule/{name}")
        check, soon = partial(desk.check, name), partial(desk.run_soon, name)

        def change(tx: Transaction) -> Reply:
            check()  # here, so that a repeat gets the first answer although it runs by now
            tx.after_commit(soon)
            return Reply(ACCEPTED, Done(name, "soon"))

        return await request.commit(change)

    return [
        Route(
            "GET", PREFIX, "job.read", listing, "Recurring work: last run, what it found, what failed and why",
            response=list[TaskReport], tag=TAG,
        ),
        Route("POST", PREFIX + "/{name}/run", "job.manage", run, "Run recurring work of this node now", response=Done, tag=TAG),
    ]  # fmt: skip
