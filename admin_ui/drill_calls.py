"""What the pages of drills and capacity ask of core."""

from __future__ import annotations

from urllib.parse import quote

from admin_ui.client import AdminClient
from admin_ui.shapes_drills import CapacityPicture, DrillFile, DrillPicture


class DrillCalls:
    """Typed calls of one person; each raises what ``AdminClient.get`` raises."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client

    async def picture(self) -> DrillPicture:
        """Every drill, and the reports of both nodes."""
        return await self._client.get("/api/admin/drills", DrillPicture)

    async def run(self, name: str) -> None:
        """Make a drill as soon as nobody dictates."""
        await self._client.change("POST", f"/api/admin/drills/{quote(name, safe='')}/run", object)

    async def report(self, report_id: str) -> DrillFile:
        """A report's signed PDF."""
        return await self._client.get(f"/api/admin/drills/reports/{quote(report_id, safe='')}", DrillFile)

    async def capacity(self) -> CapacityPicture:
        """Budgets and forecasts of the answering node."""
        return await self._client.get("/api/admin/capacity", CapacityPicture)
