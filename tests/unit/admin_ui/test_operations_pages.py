"""Capacity, doctor, review, routine, restarts, passwords, sessions and the auditor's questions in real Chromium."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from appliance.api.admin_updates import FoundUpdate
from appliance.api.care_templates import HOSPITAL, TemplateRoutes, check_route
from appliance.api.care_words import WordRoutes
from appliance.care import ai_switches, hospital_words
from appliance.care.templates import shelf
from appliance.config.model import Paths
from appliance.daemon.recurring import Recurring
from appliance.operations.backup import NOT_RESTORABLE
from appliance.operations.doctor.rounds import DoctorRounds
from appliance.operations.doctor.run import Report
from appliance.operations.schedule import Schedule, Task
from appliance.operations.schedule_memory import Figure
from appliance.operations.updates.state import Entry, Step
from appliance.operations.updates.telling import UpdateReport
from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.http import AnyRoute
from appliance.security.audit_export import verify_export
from appliance.store.database import Database
from appliance.telemetry.clock import SystemClock
from tests.api.admin_harness import PASSWORD
from tests.fakes import split_rows
from tests.fakes.chromium import chromium, visit
from tests.fakes.node_desks import REPORT, Ledger
from tests.system.test_dashboard_browser import TEXT_CONTRAST
from tests.unit.admin_ui.test_cluster_page import PATIENCE_MS
from tests.unit.admin_ui.test_process import Dashboard, dashboard
from tests.unit.operations.doctor.test_rounds import saying

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
NEW_PASSWORD = "Chuva-na-Serra-31"
NOW = "2026-01-02T03:04:05.000Z"


async def prove() -> Mapping[str, Figure]:
    return {"bytes": 3 << 20, "rows": 18422, "read": "Observation"}


async def fail() -> Mapping[str, Figure]:
    raise NOT_RESTORABLE(exit_code=3)


def of_notes(store: Database, *_: object) -> list[AnyRoute]:
    """Note templates and words, with a speech model that brought a word of its own."""
    heard = ModelInfo("whisper", "a" * 64, "speech_to_text", False, True, vocabulary=True, terms=("nebulização",))
    words = WordRoutes(store, lambda: [heard], lambda: NOW).routes()
    return [
        *TemplateRoutes(store, lambda: NOW, "soap", HOSPITAL).routes(),
        check_route(),
        *words,
        *split_rows.routes(store),
    ]


class Updates:
    """An update that went back, one before it, and two bundles on a stick whose folder has a name that a shell would obey."""

    async def look(self) -> UpdateReport:
        before = UpdateReport(
            running="1.2.0", version="1.2.0", before="1.1.0", step="done", step_pt="concluída", step_en="done"
        )
        return UpdateReport(
            running="1.2.0", version="1.3.0", before="1.2.0", step="stuck", step_pt="parada: chame o suporte", half_done=True,
            failure="update.consult", failure_pt="A consulta sintética não chegou a uma nota assinada.", past=(before,),
            entries=(Entry(1, NOW, Step.SWITCH, "done"), Entry(2, NOW, Step.PROVE, "failed", "update.consult")),
        )  # fmt: skip

    async def found(self) -> list[FoundUpdate]:
        return [
            FoundUpdate(
                folder="/Volumes/PEN/it's 1.4.0",
                version="1.4.0",
                made="2026-11-21",
                notes_pt="Mais rápido.",
                bytes=1 << 20,
            ),
            FoundUpdate(
                folder="/Volumes/PEN/old", refused="update.older", refused_pt="A versão 1.1.0 não é mais nova."
            ),
        ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    folder = tmp_path_factory.mktemp("operations")
    schedule = Schedule(folder / "s.json", SystemClock(), settle_s=1e9, poll_s=0.05)
    for name, pt, en, run in (
        ("restore-proof", "Prova de restauração da cópia", "Proof that the copy can be restored", prove),
        ("blob-check", "Leitura de todos os arquivos", "Reading every file", fail),
    ):
        schedule.add(Task(name=name, title_pt=pt, title_en=en, every_s=86400.0, run=run))
    schedule.start()
    doctor = DoctorRounds(folder / "doctor.json", "mac-a", saying(REPORT, folder), SystemClock())
    async with (
        dashboard(
            folder,
            schedule=Recurring(Paths(folder), schedule, SystemClock(), "mac-a"),
            updates=Updates(),
            capacity=Ledger(),
            doctor=doctor,
            more=of_notes,
        ) as one,
        chromium() as one.chromium,
    ):
        yield one
    await schedule.stop()
    await doctor.close()


@asynccontextmanager
async def page_of(one: Dashboard, role: str, path: str) -> AsyncIterator[Page]:
    if role not in one.people:
        one.people.add(await one.api.person(role))
    context = await one.chromium.new_context(
        ignore_https_errors=True, base_url=one.url, locale="pt-BR", viewport={"width": 1360, "height": 900}
    )
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await visit(page, "/login")
    await page.locator("input[name=username]").fill(role)
    await page.locator("input[name=password]").fill(PASSWORD)
    await page.locator("button[type=submit]").click()
    await visit(page, path)
    yield page
    assert await page.evaluate(TEXT_CONTRAST) == []
    await photograph(page)
    await context.close()


async def photograph(page: Page) -> None:
    """For people who look at the dashboard: SCREENSHOTS names a folder."""
    if os.environ.get("SCREENSHOTS"):
        folder = Path(os.environ["SCREENSHOTS"])
        await page.screenshot(path=folder / f"op-{len(list(folder.iterdir()))}.png", full_page=True)


async def test_routine_work_is_run_and_a_failure_says_cause_and_step(running: Dashboard) -> None:
    async with page_of(running, "it", "/jobs") as page:
        good = page.get_by_role("row", name="Prova de restauração")
        await good.get_by_role("button", name="Executar agora").click()
        await expect(good).to_contain_text("18.422 registros", timeout=PATIENCE_MS)
        await expect(good).to_contain_text("leitura FHIR: Observation")
        bad = page.get_by_role("row", name="Leitura de todos")
        await bad.get_by_role("button", name="Executar agora").click()
        await expect(bad).to_contain_text("A cópia não pôde ser restaurada (código 3).", timeout=PATIENCE_MS)
        await expect(bad).to_contain_text("Confira a pasta da cópia")


async def test_updates_tell_the_step_the_reason_and_what_is_on_the_stick(running: Dashboard) -> None:
    async with page_of(running, "it", "/updates") as page:
        now = page.locator(".card", has=page.get_by_role("heading", name="Agora"))
        await expect(now).to_contain_text("de 1.2.0 para 1.3.0", timeout=PATIENCE_MS)
        await expect(now).to_contain_text("não chegou a uma nota assinada")
        await expect(now).to_contain_text("docs/runbooks/update-half-done.md")
        await expect(now.get_by_role("row", name="prove")).to_contain_text("update.consult")
        stick = page.locator(".card", has=page.get_by_role("heading", name="No pendrive"))
        good, old = stick.get_by_role("row", name="1.4.0"), stick.get_by_role("row", name="old")
        await expect(good).to_contain_text("assinada, pode vir")
        await expect(good).to_contain_text("""sudo prontuario update stage '/Volumes/PEN/it'"'"'s 1.4.0'""")
        await expect(old).to_contain_text("A versão 1.1.0 não é mais nova.")
        await expect(page.get_by_role("row", name="de 1.1.0 para 1.2.0")).to_contain_text("concluída")


async def test_health_is_told_in_portuguese_and_an_engine_is_restarted(running: Dashboard) -> None:
    async with page_of(running, "it", "/") as page:
        await expect(page.locator(".parts")).to_contain_text("o motor caiu", timeout=PATIENCE_MS)
        await expect(page.locator(".parts .advice")).to_have_text("reinicie o motor")
        await visit(page, "/engines")
        card = page.locator(".card", has=page.get_by_role("heading", name="chat"))
        await card.get_by_role("button", name="Reiniciar").click()
        await page.get_by_role("alertdialog").get_by_role("button", name="Reiniciar").click()
        await expect(page.locator(".q-notification")).to_contain_text("está reiniciando", timeout=PATIENCE_MS)
    assert running.api.restarted == ["chat"]


async def test_it_switches_an_ai_function_off_for_the_hospital_and_on_again(running: Dashboard) -> None:
    async with page_of(running, "it", "/engines") as page:
        row = page.get_by_role("row", name="Rascunho da nota")
        await row.get_by_role("button", name="Desligar").click()
        await page.get_by_role("alertdialog").get_by_role("button", name="Desligar").click()
        await expect(row).to_contain_text("desligada", timeout=PATIENCE_MS)
        await photograph(page)
        assert {switch.function for switch in await switched_off(running)} == {"draft"}
        await row.get_by_role("button", name="Ligar").click()
        await expect(row.get_by_role("button", name="Desligar")).to_be_visible(timeout=PATIENCE_MS)
        assert await switched_off(running) == []


async def switched_off(running: Dashboard) -> list[ai_switches.Switch]:
    found = await running.api.store.read(lambda q: ai_switches.state(q, user_id="somebody-else"))
    return [switch for switch in found if not switch.on]


async def test_it_edits_a_note_template_is_told_the_line_at_fault_and_returns_to_the_products(
    running: Dashboard,
) -> None:
    async with page_of(running, "it", "/note-templates") as page:
        row = page.get_by_role("row", name="evolucao")
        await row.get_by_role("button", name="Editar").click()
        editor = page.get_by_role("dialog", name="Modelo de nota evolucao")
        text = editor.get_by_role("textbox", name="Texto do modelo")
        products = await text.input_value()
        await text.fill(products.replace('takes = ["S"]', 'takes = ["X"]'))
        line = products[: products.index('takes = ["S"]')].count("\n") + 1
        await editor.get_by_role("button", name="Guardar").click()
        told = editor.get_by_role("alert")
        await expect(told).to_contain_text(f"linha {line}, 1º título, takes: “X” não serve", timeout=PATIENCE_MS)
        await photograph(page)
        await text.fill(products.replace('title = "Conduta"', 'title = "Plano do dia"'))
        await editor.get_by_role("button", name="Conferir").click()
        await expect(told).to_contain_text("Pode ser usado. Títulos:", timeout=PATIENCE_MS)
        await editor.get_by_role("button", name="Guardar").click()
        await expect(row).to_contain_text("do hospital", timeout=PATIENCE_MS)
        seen = await running.api.store.read(lambda q: shelf.get(q, "a-clinician", "evolucao"))
        assert (seen.source, [one.title for one in seen.layout.headings][-1]) == ("hospital", "Plano do dia")
        await row.get_by_role("button", name="Voltar ao do produto").click()
        await page.get_by_role("alertdialog").get_by_role("button", name="Voltar ao do produto").click()
        await expect(row).to_contain_text("do produto", timeout=PATIENCE_MS)
        assert (await running.api.store.read(lambda q: shelf.get(q, "a-clinician", "evolucao"))).source == "product"


async def test_it_keeps_the_hospitals_words_and_sees_those_of_the_model(running: Dashboard) -> None:
    async with page_of(running, "it", "/note-templates") as page:
        card = page.locator(".card", has=page.get_by_role("heading", name="Palavras do hospital"))
        await expect(card).to_contain_text("nebulização", timeout=PATIENCE_MS)
        await card.get_by_role("textbox").fill("Xarelto\n" + "x" * 61)
        await card.get_by_role("button", name="Guardar").click()
        await expect(card.get_by_role("alert")).to_contain_text("A palavra 2 não pode ser usada", timeout=PATIENCE_MS)
        await card.get_by_role("textbox").fill("Xarelto\n\n UTI neonatal ")
        await card.get_by_role("button", name="Guardar").click()
        await expect(card).to_contain_text("Versão 1", timeout=PATIENCE_MS)
        kept = await running.api.store.read(hospital_words.current)
        assert (kept.words, kept.version) == (("Xarelto", "UTI neonatal"), 1)


async def test_an_auditor_sees_a_template_and_has_nothing_to_change_it_with(running: Dashboard) -> None:
    async with page_of(running, "auditor", "/note-templates") as page:
        row = page.get_by_role("row", name="soap")
        await row.get_by_role("button", name="Ver").click()
        editor = page.get_by_role("dialog", name="Modelo de nota soap")
        await expect(editor.get_by_role("textbox")).not_to_be_editable(timeout=PATIENCE_MS)
        await expect(editor.get_by_role("button")).to_have_count(1)
        await expect(page.get_by_role("button", name="Novo modelo")).to_have_count(0)


async def test_sessions_end_and_a_new_password_lets_in(running: Dashboard) -> None:
    if "nurse" not in running.people:
        running.people.add(await running.api.person("nurse"))
    async with page_of(running, "admin", "/people") as page:
        row = page.get_by_role("row", name="nurse")
        await row.get_by_role("button", name="Sessões").click()
        dialog = page.get_by_role("dialog", name="Sessões abertas de nurse")
        await expect(dialog).to_contain_text("Nenhuma sessão aberta", timeout=PATIENCE_MS)
        await dialog.get_by_role("button", name="Fechar").click()
        mine = page.get_by_role("row", name="admin")
        await mine.get_by_role("button", name="Sessões").click()
        own = page.get_by_role("dialog", name="Sessões abertas de admin")
        await expect(own.get_by_role("button", name="Encerrar", exact=True)).to_have_count(1, timeout=PATIENCE_MS)
        await photograph(page)
        await own.get_by_role("button", name="Fechar").click()
        await row.get_by_role("button", name="Nova senha").click()
        form = page.get_by_role("dialog", name="Nova senha para nurse")
        await form.get_by_role("textbox").fill(NEW_PASSWORD)
        await form.get_by_role("button", name="Nova senha").click()
        await expect(page.locator(".q-notification")).to_contain_text("tem uma senha nova", timeout=PATIENCE_MS)
    async with running.browser() as http:
        answer = await running.sign_in(http, "nurse", NEW_PASSWORD)
        assert answer.headers["location"] == "/login?why=role"  # the password is right; the dashboard is not for nurses


async def test_an_auditor_filters_and_takes_a_file_that_proves_itself(running: Dashboard) -> None:
    async with page_of(running, "auditor", "/audit") as page:
        await expect(page.locator("tbody tr").first).to_be_visible(timeout=PATIENCE_MS)
        await page.get_by_label("Usuário").fill("auditor")
        await page.get_by_role("button", name="Procurar").click()
        await expect(page.locator("tbody tr", has_text="auditor").first).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.locator("tbody tr", has_not_text="auditor")).to_have_count(0, timeout=PATIENCE_MS)
        async with page.expect_download() as waiting:
            await page.get_by_role("button", name="Exportar com prova").click()
        file = await (await waiting.value).path()
        verdict = verify_export(Path(file).read_bytes())
        assert verdict.ok
        assert verdict.events > 0
        await expect(page.get_by_role("status").filter(has_text=verdict.key_id)).to_be_visible(timeout=PATIENCE_MS)
        await page.get_by_label("Paciente").fill("ninguém")
        await page.get_by_role("button", name="Procurar").click()
        await expect(page.locator("#content")).to_contain_text("Nenhum registro", timeout=PATIENCE_MS)


async def test_capacity_doctor_and_review_say_what_is_wrong_and_what_to_do(running: Dashboard) -> None:
    async with page_of(running, "it", "/") as page:
        await expect_capacity(page)
        await photograph(page)
        await visit(page, "/doctor")
        await expect_doctor(page)
        await photograph(page)
        await split_rows.fill(running.api.store)
        await visit(page, "/review")
        await expect_review(page)


async def expect_capacity(page: Page) -> None:
    card = page.locator(".card", has=page.get_by_role("heading", name="Capacidade"))
    line = {name: card.locator("li", has_text=name) for name in ("Modelos de IA", "API e painel", "Disco")}
    await expect(line["API e painel"]).to_contain_text("passou do limite", timeout=PATIENCE_MS)
    await expect(line["API e painel"].locator(".advice")).to_contain_text("Reinicie o nó")
    await expect(line["Modelos de IA"]).to_contain_text("288 GiB reservados")
    await expect(line["Disco"]).to_contain_text("Cheio em 25 dias neste ritmo (20 GiB por dia).")
    await expect(line["Disco"].get_by_role("meter")).to_have_attribute("aria-valuenow", "58")
    await expect(card).to_contain_text("Histórico insuficiente: 2 de 7 dias.")


async def expect_doctor(page: Page) -> None:
    await page.get_by_role("button", name="Examinar agora").click()
    lines = page.locator(".parts li")
    await expect(lines).to_have_count(3, timeout=PATIENCE_MS)
    await expect(lines.first).to_contain_text("Libere espaço.")
    await expect(lines.first).to_contain_text("docs/runbooks/disk-full.md")
    await expect(lines.nth(2)).to_contain_text("não visto")
    await expect(page.locator("#content")).to_contain_text("Não vistas daqui: 1. Não contam como aprovadas.")
    await expect(page.locator(".facts")).to_contain_text("a pedido de it")
    await expect(page.get_by_role("button", name="Bem 1")).to_have_attribute("aria-pressed", "false")
    await expect(page.get_by_role("button", name="Falhas 1")).to_have_attribute("aria-pressed", "true")
    async with page.expect_download(timeout=PATIENCE_MS) as saved:
        await page.get_by_role("button", name="Baixar JSON").click()
    file = await (await saved.value).path()
    assert msgspec.json.decode(Path(file).read_bytes(), type=Report) == REPORT


async def expect_review(page: Page) -> None:
    people = page.locator(".card", has=page.get_by_role("heading", name="De pacientes (3)"))
    note = people.locator("li", has_text="Versão de nota")
    await expect(note).to_contain_text("por ana", timeout=PATIENCE_MS)
    await expect(note).to_contain_text("não está no prontuário")
    await expect(people.locator("li", has_text="Registro FHIR")).to_contain_text("já está igual no prontuário")
    await note.get_by_role("button", name="Comparar").click()
    sides = page.get_by_role("dialog", name="Versão de nota")
    await expect(sides.get_by_role("row", name="content")).to_contain_text("oculto (33)", timeout=PATIENCE_MS)
    await expect(sides.get_by_role("row", name="content")).to_contain_text("não havia")
    await photograph(page)
    await sides.get_by_role("button", name="Fechar").click()
    await note.get_by_role("button", name="Decidir…").click()
    asked = page.get_by_role("alertdialog")
    await asked.get_by_text("Quem escreveu registrou de novo").click()
    await expect(asked.get_by_role("button", name="Anotar a decisão")).to_be_disabled()
    await asked.get_by_role("textbox").fill("Dra. Ana")
    await asked.get_by_role("button", name="Anotar a decisão").click()
    await expect(page.get_by_role("heading", name="De pacientes (2)")).to_be_visible(timeout=PATIENCE_MS)
    await expect(page.locator(".sheet")).to_contain_text("registrada de novo: Dra. Ana")
    assert split_rows.SECRET not in await page.content()
