"""The pages in real Chromium when things go wrong: dead jobs, a quarantined plugin, a core that dies and comes back."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from appliance.store import jobs
from tests.api.admin_harness import PASSWORD, QUARANTINE, admin_api
from tests.fakes.chromium import chromium, visit
from tests.unit.admin_ui.test_process import Dashboard, dashboard

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
PATIENCE_MS = 60_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    async with dashboard(tmp_path_factory.mktemp("pages")) as one, chromium() as one.chromium:
        yield one


@asynccontextmanager
async def signed_in(one: Dashboard, role: str) -> AsyncIterator[Page]:
    """A browser in which a person of this role is signed in."""
    if role not in one.people:
        one.people.add(await one.api.person(role))
    context = await one.chromium.new_context(ignore_https_errors=True, base_url=one.url, locale="pt-BR")
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await visit(page, "/login")
    await page.get_by_label("Usuário").fill(role)
    await page.get_by_label("Senha").fill(PASSWORD)
    await page.get_by_role("button", name="Entrar", exact=True).click()
    await expect(page.locator("#content h1")).to_be_visible(timeout=PATIENCE_MS)
    yield page
    await context.close()


async def bury(one: Dashboard, *kinds: str) -> None:
    """Jobs that have failed for good."""
    for kind in kinds:
        await one.api.store.write(lambda tx, kind=kind: jobs.enqueue(tx, kind, {}))
    await one.api.store.write(
        lambda tx: tx.execute("UPDATE store_job SET state = 'dead', attempt = 8, error = 'engine.died'")
    )


async def test_dead_jobs_call_for_a_decision_and_get_one(running: Dashboard) -> None:
    await bury(running, "care.transcribe", "care.draft")
    async with signed_in(running, "admin") as page:
        await expect(page.get_by_role("link", name=re.compile("Tarefas"))).to_contain_text("2", timeout=PATIENCE_MS)
        await visit(page, "/jobs")
        again = page.get_by_role("row", name="care.transcribe")
        await expect(again).to_contain_text("engine.died")
        await again.get_by_role("button", name="Tentar de novo").click()
        await expect(again).to_have_count(0, timeout=PATIENCE_MS)
        gone = page.get_by_role("row", name="care.draft")
        await gone.get_by_role("button", name="Descartar").click()
        question = page.get_by_role("alertdialog")
        await question.get_by_role("button", name="Cancelar").click()
        await expect(question).to_have_count(0)
        assert (await running.api.store.read(jobs.counts))["dead"] == 1
        await gone.get_by_role("button", name="Descartar").click()
        await question.get_by_role("button", name="Descartar").click()
        await expect(page.locator("#content")).to_contain_text("Nenhuma tarefa neste estado", timeout=PATIENCE_MS)
    counts = await running.api.store.read(jobs.counts)
    assert (counts["ready"], counts["dead"]) == (1, 0)


async def test_a_quarantined_plugin_says_why_and_its_words_stay_words(running: Dashboard) -> None:
    async with signed_in(running, "admin") as page:
        await visit(page, "/plugins")
        broken = page.locator(".card", has=page.get_by_role("heading", name="broken"))
        await expect(broken).to_contain_text("em quarentena")
        await expect(broken.locator(".notice")).to_contain_text(QUARANTINE)
        assert await broken.locator(".notice b").count() == 0


async def test_a_plugin_s_page_is_shown_from_its_data(running: Dashboard) -> None:
    async with signed_in(running, "it") as page:
        await visit(page, "/plugins")
        await page.get_by_role("link", name="Motores", exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Motores")
        row = page.get_by_role("row", name="speech")
        await expect(row).to_contain_text("sim")
        await expect(row).to_contain_text("demo-speech")
        await visit(page, "/plugins/whisper_stt/none")
        await expect(page.locator("#content")).to_contain_text("não existe mais")


async def test_an_open_circuit_is_shown_with_its_reason(running: Dashboard) -> None:
    async with signed_in(running, "it") as page:
        await expect(page.locator(".tile").first).to_contain_text("Há falha", timeout=PATIENCE_MS)
        await visit(page, "/engines")
        ill = page.locator(".card", has=page.get_by_role("heading", name="chat"))
        await expect(ill).to_contain_text("parado após quedas")
        await expect(ill.locator(".notice")).to_have_text("exit code -9")


async def test_it_sees_devices_but_no_people(running: Dashboard) -> None:
    async with signed_in(running, "it") as page:
        await visit(page, "/people")
        await expect(page.get_by_role("row", name="dashboard")).to_be_visible()
        await expect(page.get_by_role("heading", name="Pessoas", exact=True)).to_have_count(0)
        await expect(page.get_by_role("link", name="Auditoria")).to_have_count(0)


async def test_an_auditor_reads_further_back_and_checks_the_log(running: Dashboard) -> None:
    async with signed_in(running, "auditor") as page:
        async with running.browser() as http:
            for _ in range(25):
                await running.sign_in(http, "auditor")
                await http.post("/logout")
        await visit(page, "/audit")
        rows = page.locator("#content tbody tr")
        await expect(rows).to_have_count(50)
        await page.get_by_role("button", name="Ver mais antigos").click()
        await expect(page.locator("#content")).to_contain_text(re.compile(r"(5[1-9]|[6-9]\d|100) registros"))
        await page.get_by_role("button", name="Conferir integridade").click()
        await expect(page.locator(".q-notification")).to_contain_text("Registro íntegro", timeout=PATIENCE_MS)
        await expect(page.get_by_role("link", name="Tarefas")).to_have_count(0)


async def test_a_core_that_dies_is_told_and_its_return_needs_no_hand(tmp_path: Path) -> None:
    async with dashboard(tmp_path) as one, chromium() as one.chromium, signed_in(one, "admin") as page:
        await expect(page.locator(".topbar")).to_contain_text("ao vivo", timeout=PATIENCE_MS)
        port = one.api.server.port
        await one.api.server.drain()
        await expect(page.locator(".lost")).to_contain_text("Sem resposta do núcleo", timeout=PATIENCE_MS)
        await expect(page.locator(".topbar")).to_contain_text("sem resposta")
        await visit(page, "/people")
        await expect(page.locator("#content .notice").first).to_contain_text("O núcleo não respondeu")
        async with admin_api(tmp_path, port=port):
            await expect(page.locator(".lost")).to_be_hidden(timeout=PATIENCE_MS)
            await page.get_by_role("button", name="Tentar de novo").first.click()
            await expect(page.get_by_role("row", name="admin")).to_be_visible()
