"""Models and faces in real Chromium: a pack from a stick to serving and out again, one that fails its test, and who is enrolled."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, expect

from appliance.api.admin_faces import admin_face_routes
from appliance.api.identity_faces import face_routes
from appliance.operations.packs.intake import Intake
from appliance.plugin_api.http import AnyRoute
from appliance.plugin_api.storage import Transaction
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.faces import calibration, consent, templates
from appliance.security.faces.calibration import Kept
from appliance.security.faces.desk import FaceDesk
from appliance.security.faces.evaluation import Claim, Rate, Row
from appliance.security.faces.judging import Template
from appliance.security.identity import Identity
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.telemetry.clock import SystemClock
from tests.api.admin_harness import PASSWORD, MoreRoutes
from tests.api.faces_node import ON
from tests.fakes.chromium import chromium
from tests.fakes.pack_node import PackNode, pack_node
from tests.fakes.scripted_faces import ScriptedFaces, person_vector
from tests.unit.admin_ui.test_cluster_page import PATIENCE_MS
from tests.unit.admin_ui.test_operations_pages import page_of
from tests.unit.admin_ui.test_process import Dashboard, dashboard
from tests.unit.store.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
KEPT = Kept(
    model="scripted-faces", sha256=ScriptedFaces().model().sha256, at="2026-11-20T10:00:00.000Z", people=41, pictures=320,
    same_pairs=1180, different_pairs=29956, rows=[],
    claim=Claim(1e-3, 0.95, 9.1e-4, Row(0.912, Rate(18, 29956, 18 / 29956, 3.6e-4, 9.5e-4), Rate(14, 1180, 14 / 1180, 6.5e-3, 0.02))),
)  # fmt: skip
PHONE = {"width": 390, "height": 844}


@dataclass
class Ground:
    dashboard: Dashboard
    packs: PackNode


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ground]:
    folder = tmp_path_factory.mktemp("models")
    async with (
        pack_node(folder) as packs,
        dashboard(folder, packs=packs.desk, more=faces_of(folder)) as one,
        chromium() as one.chromium,
    ):
        packs.slot.put(one.api.store)
        yield Ground(one, packs)


def faces_of(folder: Path) -> MoreRoutes:
    """Ana is enrolled with the model in use, Rui with the one before; Ana was once taken for somebody else."""
    calibration.keep(folder / "evaluation.json", KEPT)

    def routes(store: Database, vault: Vault, people: Identity) -> list[AnyRoute]:
        clock = SystemClock()
        desk = FaceDesk(store, vault, clock, ON, lambda: ScriptedFaces(limit=0.912))
        return [*face_routes(desk, people, store), *admin_face_routes(desk, store, folder / "evaluation.json")]

    return routes


async def enrol_two(ground: Ground) -> None:
    """As the phones' requests would have left it."""
    api = ground.dashboard.api
    for name, version in (("ana", "scripted-1"), ("rui", "scripted-0@" + "ab" * 32)):
        user = await api.identity.create_user(name, "physician", PASSWORD, name.title())

        def change(tx: Transaction, user_id: str = user.id, model: str = version) -> None:
            now = "2026-11-20T12:00:00.000Z"
            consent.give(tx, user_id, language="pt", device_id="telefone", now=now)
            templates.keep(tx, Vault(bytes(32)), user_id, Template(model, person_vector("x")), now=now)
            for status, code in ((202, ""), (200, ""), (202, ""), (403, "faces.different")):
                event = AuditEvent(
                    at=now, action="verify", user_id=user_id, method="POST", route="/api/faces/verify", status=status,
                    detail_code=code,
                )  # fmt: skip
                audit.append(tx, event)

        await api.store.write(change)


async def photograph(page: Page, name: str) -> None:
    """For people who look at the dashboard: SCREENSHOTS names a folder."""
    if os.environ.get("SCREENSHOTS"):
        await page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}.png", full_page=True)


@asynccontextmanager
async def narrow(page: Page) -> AsyncIterator[None]:
    """The page as on a telephone, where nothing may need sideways scrolling."""
    size = page.viewport_size
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    await page.reload()
    await expect(page.locator("#content .scroll").last).to_be_visible(timeout=PATIENCE_MS)
    await expect(page.locator("#content .empty", has_text="…")).to_have_count(0, timeout=PATIENCE_MS)
    yield
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert size is not None
    await page.set_viewport_size(size)


def card_of(page: Page, heading: str) -> Locator:
    return page.locator("section.card", has=page.get_by_role("heading", name=heading, exact=True))


def told_on(page: Page) -> Locator:
    """What the page says of work that goes on or ended."""
    return page.locator("#content").get_by_role("status")


async def press(place: Locator | Page, name: str) -> None:
    await place.get_by_role("button", name=name, exact=True).click()


async def import_from_stick(page: Page, pack: str) -> None:
    """From the choice of places to the end of the import."""
    card = card_of(page, "Importar um pacote")
    await press(card, "Escolher pacote")
    await press(card.get_by_role("row", name="Volumes"), "Abrir")
    await press(card.get_by_role("row", name="STICK"), "Abrir")
    await press(card.get_by_role("row", name=pack), "Examinar")
    await expect(card).to_contain_text("há", timeout=PATIENCE_MS)
    await photograph(page, f"offer-{pack}")
    await press(card, "Importar")
    await expect(told_on(page)).to_contain_text(f"{pack} está guardado", timeout=PATIENCE_MS)


async def test_a_pack_comes_in_and_one_that_fails_its_test_changes_nothing(ground: Ground) -> None:
    ground.packs.stick(1)
    async with page_of(ground.dashboard, "it", "/models") as page:
        await expect(page.locator("#content")).to_contain_text("Nenhum pacote instalado", timeout=PATIENCE_MS)
        await photograph(page, "empty")
        await import_from_stick(page, "late-1")
        ground.packs.shelf.point("chat_model", "late-1")
        Intake(ground.packs.shelf).take_in(ground.packs.disks / ground.packs.stick(2, load_error="no"))
        await page.reload()
        row = page.get_by_role("row", name="versão 1")
        await expect(row).to_contain_text("em uso", timeout=PATIENCE_MS)
        assert await row.get_by_role("button", name="Remover").count() == 0
        await press(page.get_by_role("row", name="versão 2"), "Ativar")
        dialog = page.get_by_role("alertdialog", name="Ativar late-2?")
        await expect(dialog).to_contain_text("Tests only.")
        await press(dialog, "Ativar")
        await expect(told_on(page)).to_contain_text("late-2 não foi ativado", timeout=PATIENCE_MS)
        await expect(told_on(page)).to_contain_text("Quem atende continua o mesmo: late-1.")
        await photograph(page, "gate")
    assert ground.packs.shelf.active("chat_model") == "late-1"


async def test_wrong_files_are_told_one_by_one_and_a_removal_names_what_is_lost(ground: Ground) -> None:
    shelf = ground.packs.shelf
    if "other-1" not in {row.pack for row in shelf.rows()}:
        Intake(shelf).take_in(ground.packs.disks / ground.packs.stick(1, "other"))
    folder = shelf.find("other-1")
    for name in ("LICENSE", "config.json"):
        (folder / name).write_text("{}")
    async with page_of(ground.dashboard, "it", "/models") as page:
        row = page.get_by_role("row", name="other")
        await press(row, "Detalhes")
        dialog = page.get_by_role("dialog", name="other-1")
        await expect(dialog).to_contain_text("Apache-2.0", timeout=PATIENCE_MS)
        await photograph(page, "details")
        await press(dialog, "Fechar")
        await press(row, "Verificar")
        told = told_on(page)
        await expect(told).to_contain_text("other-1 não está como foi assinado", timeout=PATIENCE_MS)
        for name in ("LICENSE", "config.json"):
            await expect(told.get_by_role("row", name=name)).to_be_visible()
        await photograph(page, "wrong")
        async with narrow(page):
            await photograph(page, "narrow-models")
        await press(row, "Remover")
        asked = page.get_by_role("alertdialog", name="Remover other-1?")
        await expect(asked).to_contain_text("8 arquivos")
        await press(asked, "Remover")
        desk = ground.packs.desk
        await until(lambda: (work := desk.latest()) is not None and (work.kind, work.state) == ("remove", "done"))
    assert not folder.exists()


async def test_who_is_enrolled_is_seen_and_a_template_deleted_with_its_reason(ground: Ground) -> None:
    await enrol_two(ground)
    async with page_of(ground.dashboard, "admin", "/faces") as page:
        content = page.locator("#content")
        await expect(content).to_contain_text("0,06% (18 de 29.956 pares)", timeout=PATIENCE_MS)
        await expect(content).to_contain_text("FAR de no máximo 0,1%, com 95% de confiança")
        enrolled = card_of(page, "Cadastrados")
        await expect(enrolled.get_by_role("row", name="rui")).to_contain_text("cadastrar de novo")
        await expect(card_of(page, "Tentativas recentes").get_by_role("row", name="outro rosto")).to_have_count(2)
        await photograph(page, "faces")
        async with narrow(page):
            await photograph(page, "narrow-faces")
        await press(enrolled.get_by_role("row", name="rui"), "Apagar")
        asked = page.get_by_role("alertdialog", name="Apagar o rosto de rui?")
        await expect(asked.get_by_role("button", name="Apagar")).to_be_disabled()
        await asked.get_by_role("radio", name="A pessoa deixou o hospital").click()
        await photograph(page, "faces-delete")
        await press(asked, "Apagar")
        await expect(page.locator(".q-notification")).to_contain_text("O rosto de rui foi apagado", timeout=PATIENCE_MS)
        await expect(enrolled.get_by_role("row", name="rui")).to_have_count(0, timeout=PATIENCE_MS)
    rows = await ground.dashboard.api.store.read(lambda q: audit.read_events(q, limit=100))
    assert [row.event.detail_code for row in rows if row.event.action == "delete face"] == ["left"]
