"""Capacity in real Chromium: what is fine, what is full soon, and the next step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from appliance.operations.budgets import Budget, CapacityReport
from appliance.operations.forecast import DAY_S, forecast
from tests.fakes.chromium import chromium
from tests.unit.admin_ui.test_cluster_page import PATIENCE_MS
from tests.unit.admin_ui.test_operations_pages import page_of
from tests.unit.admin_ui.test_process import Dashboard, dashboard

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
GIB = 1 << 30


def crowded() -> CapacityReport:
    """Models near their limit, the API over it, a disk that lasts 24 days, and memory that nobody has watched for long."""
    disk = [(day * DAY_S, (520.0 + 20 * day) * GIB) for day in range(10)]
    memory = [(day * DAY_S, 300.0 * GIB) for day in range(2)]
    figures = (("ai", 300, 288, 274), ("api", 100, 0, 104), ("data", 100, 0, 3))
    return CapacityReport(
        machine_bytes=512 * GIB,
        budgets=tuple(
            Budget(name=name, budget_bytes=limit * GIB, declared_bytes=declared * GIB, used_bytes=used * GIB)
            for name, limit, declared, used in figures
        ),
        forecasts=(forecast("disk", disk, 1200.0 * GIB), forecast("memory", memory, 500.0 * GIB)),
    )


@dataclass
class Ledger:
    """``appliance.api.admin_capacity.CapacityDesk``."""

    told: CapacityReport = field(default_factory=crowded)

    async def report(self) -> CapacityReport:
        return self.told


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Dashboard]:
    async with dashboard(folder, capacity=Ledger()) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    async with serving(tmp_path_factory.mktemp("node-pages")) as one, chromium() as one.chromium:
        yield one


async def test_capacity_says_what_is_full_when_and_what_to_do(running: Dashboard) -> None:
    async with page_of(running, "auditor", "/") as page:
        card = page.locator(".card", has=page.get_by_role("heading", name="Capacidade"))
        line = {name: card.locator("li", has_text=name) for name in ("Modelos de IA", "API e painel", "Disco")}
        await expect(line["API e painel"]).to_contain_text("passou do limite", timeout=PATIENCE_MS)
        await expect(line["API e painel"].locator(".advice")).to_contain_text("Reinicie o nó")
        await expect(line["Modelos de IA"]).to_contain_text("288 GiB reservados")
        await expect(line["Disco"]).to_contain_text("Cheio em 25 dias neste ritmo (20 GiB por dia).")
        await expect(line["Disco"].get_by_role("meter")).to_have_attribute("aria-valuenow", "58")
        await expect(card).to_contain_text("Histórico insuficiente: 2 de 7 dias.")
