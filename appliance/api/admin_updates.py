"""Updates for the dashboard: what runs, how far an update has come, what became of those before, and bundles on a stick.

Nothing here begins one: only root installs, and root obeys nobody on the network (ADR 34). The page shows the commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from appliance.operations.updates.telling import UpdateReport
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route

PREFIX: Final = "/api/admin/updates"
TAG: Final = "admin"


class FoundUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that lies in a place from which this node imports. ``refused_*``: why it may not come; empty: it may.

    Signature, version, schema and keys were checked, the parts' bytes not: ``stage`` does that.
    """

    folder: str
    version: str = ""
    made: str = ""
    notes_pt: str = ""
    notes_en: str = ""
    bytes: int = 0
    refused: str = ""
    refused_pt: str = ""
    refused_en: str = ""


class UpdatesView(msgspec.Struct, frozen=True):
    """Everything of the page."""

    report: UpdateReport
    found: list[FoundUpdate]


class UpdateDesk(Protocol):
    """This node's updates."""

    async def look(self) -> UpdateReport:
        """How they stand. Raises ``update.state`` (500)."""
        ...

    async def found(self) -> Sequence[FoundUpdate]:
        """What lies on a stick, or in the home's inbox."""
        ...


def update_routes(desk: UpdateDesk | None) -> list[AnyRoute]:
    """``GET`` all there is to see. ``desk``: None where there are no updates."""

    async def look(_request: Request) -> Reply:
        if desk is None:
            return Reply(body=UpdatesView(UpdateReport(running=""), []))
        return Reply(body=UpdatesView(await desk.look(), list(await desk.found())))

    summary = "Updates: what runs, the step of one under way, those before, and bundles on a stick"
    return [Route("GET", PREFIX, "node.read", look, summary, response=UpdatesView, tag=TAG)]
