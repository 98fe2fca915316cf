"""The page of the pair in real Chromium: what an operator sees by day and by night, and that no command goes out by mistake."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from appliance.api.admin_cluster import Preview
from appliance.cluster.model import ClusterStatus, Computes, Drill, Event, Position, Role
from appliance.cluster.reasons import reason
from appliance.plugin_api.errors import define
from tests.api.admin_harness import PASSWORD
from tests.fakes.chromium import chromium, visit
from tests.system.test_dashboard_browser import TEXT_CONTRAST
from tests.unit.admin_ui.test_process import Dashboard, dashboard

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]
PATIENCE_MS = 60_000
REFUSED = define("test.refused", 409, pt=("A reserva está atrasada.", "Espere."), en=("The standby lags.", "Wait."))
PAIRED = ClusterStatus(
    node="mac-a",
    peer="mac-b",
    role=Role.PRIMARY,
    mode="paired",
    epoch=7,
    leader="mac-a",
    leader_since="2026-11-20T22:14:03.120Z",
    own=Position(7, 18422),
    peer_held=Position(7, 18422),
    lag_txids=0,
    lag_s=0.024,
    in_sync="mac-b",
    unreplicated_rows=0,
    voters=(3, 3),
    vip=True,
    last_drill="2026-11-14T03:00:00.000Z",
    events=(
        Event(
            "2026-11-20T22:14:01.800Z", "mac-b", "leader_lost", "mac-b não responde há 1,0 s.", "mac-b is silent.", 6
        ),
        Event("2026-11-20T22:14:03.120Z", "mac-a", "promoted", "mac-a assumiu <b>agora</b>.", "mac-a took over.", 7),
    ),
)
NIGHT = msgspec.structs.replace(
    PAIRED,
    role=Role.STANDBY,
    mode="read-only",
    leader=None,
    leader_since=None,
    voters=(1, 2),
    prompt="no_third_voter",
    lag_s=None,
)


HANDOVER = Preview(
    action="handover",
    sentence_pt="mac-b passa a atender; nada se perde.",
    sentence_en="mac-b will serve.",
    target="mac-b",
)
DRILL = Preview(action="drill", sentence_pt="Simulado: mac-b assume.", sentence_en="A drill.", target="mac-b")
LOST = Preview(
    action="mark-lost", sentence_pt="mac-b não assume mais.", sentence_en="mac-b won't lead.", phrase="mac-b"
)
PROMOTE = Preview(
    action="promote", sentence_pt="mac-a passa a atender.", sentence_en="mac-a will serve.", phrase="mac-a"
)
REFUSED_PROMOTE = Preview(
    action="promote", sentence_pt="x", sentence_en="x", refused="mac-a leads", refused_pt="mac-a já atende"
)


@dataclass
class Desk:
    """What core knows of the pair, in the test's hand; and the actions that began."""

    now: ClusterStatus = PAIRED
    actions: Sequence[Preview] = ()
    refuses: bool = False
    begun: list[tuple[str, str, str]] = field(default_factory=list)

    def status(self) -> ClusterStatus:
        return self.now

    def previews(self) -> Sequence[Preview]:
        return self.actions

    def check(self, action: str, typed: str) -> None:
        asked = next(one.phrase or one.target for one in self.actions if one.action == action)
        assert typed == asked
        if self.refuses:
            raise REFUSED()

    def begin(self, action: str, by: str, typed: str) -> None:
        self.begun.append((action, by, typed))


@dataclass
class Running:
    dashboard: Dashboard
    desk: Desk
    chromium: Browser
    contexts: dict[str, BrowserContext] = field(default_factory=dict)

    async def signed_in(self, role: str, options: dict[str, Any]) -> BrowserContext:
        """A browser's window in which a person of this role is signed in; the same one for every test that asks for the like."""
        key = f"{role} {sorted(options.items())}"
        if key not in self.contexts:
            self.contexts[key] = await self._sign_in(role, options)
        return self.contexts[key]

    async def _sign_in(self, role: str, options: dict[str, Any]) -> BrowserContext:
        one = self.dashboard
        if role not in one.people:
            one.people.add(await one.api.person(role))
        wanted = {"locale": "pt-BR"} | options
        context = await self.chromium.new_context(ignore_https_errors=True, base_url=one.url, **wanted)
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        await visit(page, "/login")
        await page.locator("input[name=username]").fill(role)
        await page.locator("input[name=password]").fill(PASSWORD)
        await page.locator("button[type=submit]").click()
        await expect(page.locator("#content h1")).to_be_visible(timeout=PATIENCE_MS)
        await page.close()
        return context


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    desk = Desk()
    async with dashboard(tmp_path_factory.mktemp("pair"), desk=desk) as one, chromium() as browser:
        yield Running(one, desk, browser)


@asynccontextmanager
async def cluster_page(
    running: Running, status: ClusterStatus, *actions: Preview, role: str = "it", **options: Any
) -> AsyncIterator[Page]:
    running.desk.now, running.desk.actions, running.desk.refuses = status, actions, False
    running.desk.begun.clear()
    context = await running.signed_in(role, options)
    page = await context.new_page()
    await visit(page, "/cluster")
    yield page
    if os.environ.get("SCREENSHOTS"):
        folder = Path(os.environ["SCREENSHOTS"])
        await page.screenshot(path=folder / f"{len(list(folder.iterdir()))}.png", full_page=True)
    await page.close()


def tile(page: Page, name: str) -> Any:
    return page.locator(".tile", has=page.get_by_role("heading", name=name, exact=True))


async def test_a_healthy_pair_is_told_in_plain_words(running: Running) -> None:
    async with cluster_page(running, PAIRED) as page:
        await expect(tile(page, "Quem atende")).to_contain_text("mac-a", timeout=PATIENCE_MS)
        await expect(tile(page, "Quem atende")).to_contain_text("desde")
        await expect(tile(page, "Gravação")).to_contain_text("nada falta no outro Mac")
        await expect(tile(page, "Quem atende")).to_contain_text("época 7")
        await expect(tile(page, "Atraso da cópia")).to_contain_text("0,020 s")
        await expect(tile(page, "Votantes")).to_contain_text("3/3")
        lines = page.locator(".timeline li")
        await expect(lines).to_have_count(2)
        await expect(lines.first).to_contain_text("mac-a assumiu <b>agora</b>.")
        await expect(page.locator("#content")).to_contain_text("18.422 na época 7")
        await expect(page.locator("#content [role=alert]")).to_have_count(0)


async def test_the_page_follows_what_happens(running: Running) -> None:
    async with cluster_page(running, PAIRED, HANDOVER) as page:
        await expect(tile(page, "Gravação")).to_contain_text("par completo", timeout=PATIENCE_MS)
        away = reason("away", node="mac-b", since="2026-11-20T22:20:00.000Z")
        running.desk.now = msgspec.structs.replace(
            PAIRED, mode="degraded", in_sync=None, unreplicated_rows=1250, reason=away
        )
        running.desk.actions = (msgspec.structs.replace(HANDOVER, refused="b lags", refused_pt="mac-b está atrasado."),)
        await expect(tile(page, "Gravação")).to_contain_text("1.250 gravações ainda só neste Mac", timeout=PATIENCE_MS)
        await expect(page.get_by_role("button", name="Passar o comando")).to_be_disabled(timeout=PATIENCE_MS)
        await expect(page.locator(".commands")).to_contain_text("mac-b está atrasado.")
        await expect(page.locator(".facts")).to_contain_text("mac-b não responde (desde")


@pytest.mark.parametrize(("action", "name"), [(HANDOVER, "Passar o comando"), (DRILL, "Fazer um simulado")])
async def test_nothing_moves_before_the_name_of_the_other_mac_is_typed(
    running: Running, action: Preview, name: str
) -> None:
    async with cluster_page(running, PAIRED, action) as page:
        await page.get_by_role("button", name=name).click()
        question = page.get_by_role("alertdialog")
        await expect(question).to_contain_text(action.sentence_pt)
        await question.get_by_role("button", name="Cancelar").click()
        await expect(question).to_have_count(0)
        await page.get_by_role("button", name=name).click()
        go = question.get_by_role("button", name=name)
        await expect(go).to_be_disabled()
        await question.get_by_role("textbox").fill("mac-b")
        await go.click()
        await expect(page.locator(".q-notification")).to_contain_text("começou", timeout=PATIENCE_MS)
    assert running.desk.begun == [(action.action, "it", "mac-b")]


async def test_the_page_says_whose_engines_answer_and_why_only_one_s(running: Running) -> None:
    alone = Computes(both=False, pt="só este nó: o outro não responde", en="this node only")
    async with cluster_page(running, msgspec.structs.replace(PAIRED, computes=alone), DRILL) as page:
        facts = page.locator(".facts")
        await expect(facts).to_contain_text("só este nó: o outro não responde", timeout=PATIENCE_MS)
        await expect(facts).to_contain_text("Quem calcula")


async def test_the_last_drill_says_how_long_nobody_served_and_who_asked(running: Running) -> None:
    drill = Drill("2026-11-14T03:00:00.000Z", 0.62, ok=True, by="ana.ti", before="mac-b", after="mac-a")
    async with cluster_page(running, msgspec.structs.replace(PAIRED, drill=drill), DRILL) as page:
        facts = page.locator(".facts")
        await expect(facts).to_contain_text("mac-a assumiu no lugar de mac-b, 0,620 s sem atender", timeout=PATIENCE_MS)
        await expect(facts).to_contain_text("pedido por ana.ti")
        waits = msgspec.structs.replace(DRILL, refused="a drill waits", refused_pt="um simulado já espera")
        running.desk.actions = (waits,)
        await expect(page.locator(".commands")).to_contain_text(
            "Agora não: um simulado já espera.", timeout=PATIENCE_MS
        )
        await expect(page.get_by_role("button", name="Fazer um simulado")).to_be_disabled()


async def test_where_data_is_at_stake_the_name_must_be_typed(running: Running) -> None:
    async with cluster_page(running, NIGHT, PROMOTE, LOST) as page:
        await page.get_by_role("button", name="Assumir neste Mac").click()
        question = page.get_by_role("alertdialog")
        go = question.get_by_role("button", name="Assumir neste Mac")
        await expect(go).to_be_disabled()
        await question.get_by_role("textbox").fill("mac-b")
        await expect(go).to_be_disabled()
        await question.get_by_role("textbox").fill("mac-a")
        await go.click()
        await expect(page.locator(".q-notification")).to_contain_text("começou", timeout=PATIENCE_MS)
    assert running.desk.begun == [("promote", "it", "mac-a")]


async def test_what_cannot_be_done_now_says_why(running: Running) -> None:
    async with cluster_page(running, PAIRED, REFUSED_PROMOTE) as page:
        await expect(page.get_by_role("button", name="Assumir neste Mac")).to_be_disabled(timeout=PATIENCE_MS)
        await expect(page.locator(".commands")).to_contain_text("mac-a já atende.")


async def test_without_a_third_voter_the_operator_is_asked(running: Running) -> None:
    async with cluster_page(running, NIGHT, PROMOTE) as page:
        asked = page.get_by_role("alert").filter(has_text="Precisa da sua decisão")
        await expect(asked).to_be_visible(timeout=PATIENCE_MS)
        await expect(tile(page, "Quem atende")).to_contain_text("ninguém")
        await expect(tile(page, "Votantes")).to_contain_text("nenhuma troca automática")


async def test_a_refused_command_says_why(running: Running) -> None:
    async with cluster_page(running, PAIRED, HANDOVER) as page:
        running.desk.refuses = True
        await page.get_by_role("button", name="Passar o comando").click()
        await page.get_by_role("alertdialog").get_by_role("textbox").fill("mac-b")
        await page.get_by_role("alertdialog").get_by_role("button", name="Passar o comando").click()
        await expect(page.locator(".q-notification")).to_contain_text("A reserva está atrasada", timeout=PATIENCE_MS)


async def test_an_unknown_question_is_shown_with_its_code(running: Running) -> None:
    async with cluster_page(running, msgspec.structs.replace(NIGHT, prompt="full_moon")) as page:
        await expect(page.locator("#content [role=alert]")).to_contain_text("full_moon", timeout=PATIENCE_MS)


async def test_who_may_only_look_gets_no_commands(running: Running) -> None:
    async with cluster_page(running, PAIRED, HANDOVER, role="auditor") as page:
        await expect(tile(page, "Quem atende")).to_contain_text("mac-a", timeout=PATIENCE_MS)
        await expect(page.get_by_role("heading", name="Comandos")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["pt-BR", "en-US"])
async def test_it_is_readable_in_both_languages_and_themes(running: Running, scheme: str, locale: str) -> None:
    async with cluster_page(running, NIGHT, PROMOTE, LOST, color_scheme=scheme, locale=locale) as page:
        heading = {"pt-BR": "Os dois Macs", "en-US": "The two Macs"}[locale]
        await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
        await expect(page.locator(".timeline li")).to_have_count(2, timeout=PATIENCE_MS)
        await expect(page.locator(".timeline")).to_contain_text({"pt-BR": "não responde", "en-US": "is silent"}[locale])
        assert await page.evaluate(TEXT_CONTRAST) == []


async def test_a_phone_needs_no_sideways_scrolling(running: Running) -> None:
    async with cluster_page(running, NIGHT, PROMOTE, LOST, viewport={"width": 390, "height": 844}) as page:
        await expect(page.locator(".timeline li")).to_have_count(2, timeout=PATIENCE_MS)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
