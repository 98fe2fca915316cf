"""Alerts in real Chromium: what is on with its runbook, what is over, and a person who sees to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import expect

from appliance.operations.watching.feed import Alert
from tests.fakes.chromium import chromium
from tests.unit.admin_ui.test_cluster_page import PATIENCE_MS
from tests.unit.admin_ui.test_operations_pages import page_of
from tests.unit.admin_ui.test_process import Dashboard, dashboard

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
ON = Alert(
    id="1", node="mac-b", rule="EngineCircuitOpen", severity="critical", labels={"engine": "chat"}, pt="Um modelo parou.",
    en="A model stopped.", runbook="engine-down", began="2026-11-21T03:00:00.000Z",
)  # fmt: skip
OVER = msgspec.structs.replace(
    ON, id="2", severity="warning", pt="Faltou energia.", ended="2026-11-21T04:00:00.000Z", seen_by="ana"
)


class OneDesk:
    """Two alerts, and whoever says that they have seen one."""

    def __init__(self) -> None:
        self.rows = [ON, OVER]

    async def alerts(self) -> Sequence[Alert]:
        return self.rows

    def check(self, alert_id: str) -> None:
        assert alert_id in {row.id for row in self.rows}

    def acknowledge(self, alert_id: str, by: str) -> None:
        self.rows = [msgspec.structs.replace(row, seen_by=by) if row.id == alert_id else row for row in self.rows]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    async with dashboard(tmp_path_factory.mktemp("alerts"), alerts=OneDesk()) as one, chromium() as one.chromium:
        yield one


async def test_an_alert_is_read_and_seen_to(running: Dashboard) -> None:
    async with page_of(running, "it", "/alerts") as page:
        row = page.get_by_role("row", name="Um modelo parou.")
        await expect(row).to_contain_text("crítico", timeout=PATIENCE_MS)
        await expect(row).to_contain_text("engine chat")
        await expect(row).to_contain_text("docs/runbooks/engine-down.md")
        await expect(page.get_by_role("row", name="Faltou energia.")).to_contain_text("ana")
        await row.get_by_role("button", name="Estou vendo").click()
        await expect(row.get_by_role("cell", name="it", exact=True)).to_be_visible(timeout=PATIENCE_MS)
