"""Alerts for the dashboard: what is on and what was, on both nodes of a pair, and a person who says "I have seen it"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, Protocol

from appliance.api.admin_shapes import Done
from appliance.operations.errors import ALERT_UNKNOWN
from appliance.operations.watching.feed import Alert
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Transaction

PREFIX: Final = "/api/admin/alerts"
TAG: Final = "admin"


class AlertDesk(Protocol):
    """The alerts of this node, and of the other one of a pair as far as it answers."""

    async def alerts(self) -> Sequence[Alert]:
        """Of both nodes; what is on first."""
        ...

    def check(self, alert_id: str) -> None:
        """Raise ``alerts.unknown`` (404) for one that neither node has told of."""
        ...

    def acknowledge(self, alert_id: str, by: str) -> None:
        """Somebody has seen it; returns at once, the other node is told in the background."""
        ...


def alert_routes(desk: AlertDesk | None) -> list[AnyRoute]:
    """``GET`` the alerts; ``POST`` to acknowledge one. ``desk``: None where nothing is watched."""

    async def listing(_request: Request) -> Reply:
        return Reply(body=list(await desk.alerts()) if desk is not None else [])

    async def acknowledge(request: Request) -> Reply:
        alert_id = request.parameters["id"]
        request.about(resource=f"alert/{alert_id}")
        if desk is None:
            raise ALERT_UNKNOWN()
        check, seen = partial(desk.check, alert_id), partial(desk.acknowledge, alert_id, request.principal.username)

        def change(tx: Transaction) -> Reply:
            check()
            tx.after_commit(seen)
            return Reply(body=Done(alert_id, "seen"))

        return await request.commit(change)

    return [
        Route("GET", PREFIX, "node.read", listing, "Alerts that are on, and those of the last week", response=list[Alert], tag=TAG),
        Route(
            "POST", PREFIX + "/{id}/acknowledge", "node.manage", acknowledge, "Say that somebody sees to an alert",
            response=Done, tag=TAG,
        ),
    ]  # fmt: skip
