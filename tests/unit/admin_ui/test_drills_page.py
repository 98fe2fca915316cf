"""The page of drills in real Chromium: made by a button, seen in the history, the report saved as a file that proves itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from appliance.operations.drills.signing import verify
from tests.fakes.chromium import chromium
from tests.fakes.drill_desk import RehearsedDesk
from tests.unit.admin_ui.test_cluster_page import PATIENCE_MS
from tests.unit.admin_ui.test_operations_pages import page_of
from tests.unit.admin_ui.test_process import Dashboard, dashboard
from tests.unit.operations.drills.conftest import seal_in

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    folder = tmp_path_factory.mktemp("drills")
    desk = RehearsedDesk(folder / "desk", seal_in(folder / "seal"))
    desk.schedule.start()
    async with dashboard(folder, drills=desk) as one, chromium() as one.chromium:
        yield one
    await desk.schedule.stop()


async def test_a_drill_is_made_measured_and_its_report_saved(running: Dashboard, tmp_path: Path) -> None:
    async with page_of(running, "it", "/drills") as page:
        row = page.get_by_role("row", name="Sobre failover.")
        await row.get_by_role("button", name="Fazer agora").click()
        await page.get_by_role("dialog").get_by_role("button", name="Fazer agora").click()
        made = page.get_by_role("row", name="0 de 24 gravações")
        await expect(made).to_contain_text("0,730 s", timeout=PATIENCE_MS)
        await expect(made).to_contain_text("aprovado")
        async with page.expect_download(timeout=PATIENCE_MS) as saved:
            await made.get_by_role("button", name="PDF").click()
        await (await saved.value).save_as(tmp_path / "report.pdf")
        assert verify((tmp_path / "report.pdf").read_bytes()).ok
