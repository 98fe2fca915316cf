"""Budgets of memory and the forecast of disk and memory, for the dashboard."""

from __future__ import annotations

from typing import Final, Protocol

from appliance.operations.budgets import CapacityReport
from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route

PATH: Final = "/api/admin/capacity"


class CapacityDesk(Protocol):
    """This node's ledger (``operations.budgets.CapacityLedger``)."""

    async def report(self) -> CapacityReport:
        """As it stands now."""
        ...


def capacity_routes(desk: CapacityDesk | None) -> list[AnyRoute]:
    """``GET`` it. ``desk``: None where nobody keeps a ledger."""

    async def capacity(_request: Request) -> Reply:
        if desk is None:
            raise NOT_FOUND(what="capacity")
        return Reply(body=await desk.report())

    return [
        Route(
            "GET", PATH, "node.read", capacity, "Memory budgets as they stand, and days until disk and memory are full",
            response=CapacityReport, tag="admin",
        ),
    ]  # fmt: skip
