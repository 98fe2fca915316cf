"""Restarting an engine by hand: what IT does when one hangs in a way that its own watch does not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from appliance.api.admin_shapes import Done
from appliance.engines.fleet import EngineReport
from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Transaction

TAG: Final = "admin"
ACCEPTED: Final = 202


def engine_routes(engines: Callable[[], Sequence[EngineReport]], restart: Callable[[str], object]) -> list[AnyRoute]:
    """``POST /api/admin/engines/{name}/restart``. ``restart``: see ``EngineFleet.restart``."""

    async def begin(request: Request) -> Reply:
        name = request.parameters["name"]
        request.about(resource=f"engine/{name}")
        if name not in {engine.name for engine in engines()}:
            raise NOT_FOUND(what=f"engine/{name}")

        def again() -> None:
            restart(name)

        def change(tx: Transaction) -> Reply:
            tx.after_commit(again)
            return Reply(ACCEPTED, Done(name, "restarting"))

        return await request.commit(change)

    return [
        Route(
            "POST", "/api/admin/engines/{name}/restart", "node.manage", begin,
            "End an engine's process and start another; what waits is answered by the new one", response=Done, tag=TAG,
        ),
    ]  # fmt: skip
