"""The dashboard in real Chromium against a whole node: what people see, and that nothing comes from outside."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Request, expect

from tests.conftest import RunningNode
from tests.fakes.chromium import chromium, visit

PATIENCE_MS = 60_000
PAGES = ("/", "/engines", "/plugins", "/jobs", "/people")
TEXT_CONTRAST = """() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const parse = s => (s.match(/[\\d.]+/g) || []).map(Number);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; } return [255, 255, 255]; };
  const weak = [];
  for (const e of document.querySelectorAll('main *, nav *, header *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest('.sr-only, i')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) weak.push(e.textContent.trim().slice(0, 40));
  }
  return weak; }"""

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]


class Watch:
    """Writes down every request and every complaint of the pages."""

    def __init__(self, context: BrowserContext, home: str) -> None:
        self.home = urlsplit(home).netloc
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.seen = 0
        context.on("request", self._request)
        context.on("page", self._page)

    def _request(self, request: Request) -> None:
        self.seen += 1
        self._check(request.url)

    def _page(self, page: Page) -> None:
        page.on("websocket", lambda socket: self._check(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self.home:
            self.outside.append(url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@asynccontextmanager
async def browser(process: Browser, node: RunningNode, **options: Any) -> AsyncIterator[tuple[Page, Watch]]:
    """A fresh browser on the sign-in page; afterwards nothing must have come from outside or gone wrong."""
    wanted = {"locale": "pt-BR", "color_scheme": "light", "viewport": {"width": 1360, "height": 900}} | options
    context = await process.new_context(ignore_https_errors=True, base_url=node.admin, **wanted)
    context.set_default_timeout(PATIENCE_MS)
    watch = Watch(context, node.admin)
    page = await context.new_page()
    try:
        await visit(page, "/")
        yield page, watch
    finally:
        await context.close()
    assert watch.seen > 10
    assert watch.outside == []
    assert watch.complaints == []


async def sign_in(page: Page, node: RunningNode) -> None:
    user, password = node.admin_credentials
    await page.get_by_label(re.compile("Usuário|Username")).fill(user)
    await page.get_by_label(re.compile("Senha|Password")).fill(password)
    await page.get_by_role("button", name=re.compile("^(Entrar|Sign in)$")).click()
    await expect(page.locator("#content h1")).to_be_visible(timeout=PATIENCE_MS)


async def test_a_wrong_password_is_told_and_the_right_one_lets_in(process: Browser, running_node: RunningNode) -> None:
    async with browser(process, running_node) as (page, _):
        await page.get_by_label("Usuário").fill("ninguem")
        await page.get_by_label("Senha").fill("errada")
        await page.get_by_role("button", name="Entrar", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("não conferem")
        await sign_in(page, running_node)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Visão geral")


async def test_the_overview_is_alive_and_says_that_the_models_are_for_demonstration(
    process: Browser, running_node: RunningNode
) -> None:
    async with browser(process, running_node) as (page, _):
        await sign_in(page, running_node)
        await expect(page.locator(".topbar")).to_contain_text("ao vivo", timeout=PATIENCE_MS)
        await expect(page.locator(".demo")).to_have_text(
            "MODELOS DE DEMONSTRAÇÃO – nunca para cuidado", timeout=PATIENCE_MS
        )
        await expect(page.locator(".chart canvas, .chart svg")).to_have_count(3)
        assert await page.locator(".parts li").count() > 0
        rate = page.locator(".tile", has_text="Pedidos por segundo").locator(".detail")
        await expect(rate).to_contain_text("desde o início", timeout=PATIENCE_MS)
        first = await rate.inner_text()
        other = await page.context.new_page()
        await visit(other, "/people")  # asks core for people and devices
        await expect(rate).not_to_have_text(first, timeout=PATIENCE_MS)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_readable(process: Browser, running_node: RunningNode, scheme: str) -> None:
    async with browser(process, running_node, color_scheme=scheme) as (page, _):
        await sign_in(page, running_node)
        for path in PAGES:
            await visit(page, path)
            await expect(page.locator("#content h1")).to_be_visible()
            await expect(page.locator("#content .empty", has_text="…")).to_have_count(0, timeout=PATIENCE_MS)
            assert await page.evaluate(TEXT_CONTRAST) == [], path
            assert (await page.locator("html").get_attribute("lang")) == "pt-BR"
            assert await page.locator('nav a[aria-current="page"]').count() >= 1
        dark = await page.evaluate("document.body.classList.contains('body--dark')")
        assert dark == (scheme == "dark")


async def test_a_phone_needs_no_sideways_scrolling(process: Browser, running_node: RunningNode) -> None:
    async with browser(process, running_node, viewport={"width": 390, "height": 844}) as (page, _):
        await sign_in(page, running_node)
        for path in PAGES:
            await visit(page, path)
            await expect(page.locator("#content h1")).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
        await page.get_by_role("button", name="Abrir ou fechar o menu").click()
        await page.get_by_role("link", name="Motores de IA").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Motores de IA")


async def test_engines_and_plugins_show_what_runs(process: Browser, running_node: RunningNode) -> None:
    async with browser(process, running_node) as (page, _):
        await sign_in(page, running_node)
        await visit(page, "/engines")
        await expect(page.locator("#content")).to_contain_text("demonstração", timeout=PATIENCE_MS)
        await visit(page, "/plugins")
        for name in (
            "whisper_stt",
            "medgemma_chat",
            "medical_images",
            "facenet_auth",
            "gcp_sync",
            "speech_out",
            "document_reader",
        ):
            await expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=PATIENCE_MS)


async def test_a_phone_is_enrolled_by_qr_for_a_new_person(process: Browser, running_node: RunningNode) -> None:
    async with browser(process, running_node) as (page, _):
        await sign_in(page, running_node)
        await visit(page, "/people")
        await page.get_by_role("button", name="Nova pessoa").click()
        form = page.get_by_role("dialog")
        await form.get_by_label("Nome").fill("Íris do Painel")
        await form.get_by_label("Usuário").fill("iris.painel")
        await form.get_by_label("Senha inicial").fill("Orvalho-na-Serra-27")
        await form.get_by_role("button", name="Criar").click()
        row = page.get_by_role("row", name="iris.painel")
        await expect(row).to_contain_text("Médica(o)")
        await row.get_by_role("button", name="Conectar telefone").click()
        await expect(page.locator(".qr svg")).to_be_visible()
        await expect(page.locator(".code")).to_have_text(re.compile(r"^([0-9A-Z]{5}-){4}[0-9A-Z]{5}$"))
        timer = page.get_by_role("timer")
        await expect(timer).to_contain_text("Vale por mais")
        shown = await timer.inner_text()
        await expect(timer).not_to_have_text(shown)
        await page.get_by_role("dialog").get_by_role("button", name="Fechar").click()
        await row.get_by_role("button", name="Bloquear").click()
        await page.get_by_role("alertdialog").get_by_role("button", name="Bloquear").click()
        await expect(row).to_contain_text("bloqueado")


async def test_language_and_theme_are_the_person_s_choice(process: Browser, running_node: RunningNode) -> None:
    async with browser(process, running_node) as (page, _):
        await sign_in(page, running_node)
        await page.get_by_role("button", name="Conectado como").click()
        await page.get_by_role("button", name="English").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        await expect(page.locator("html")).to_have_attribute("lang", "en-US")
        await page.get_by_role("button", name="Signed in as").click()
        await page.get_by_role("button", name="Theme: dark").click()
        await expect(page.locator("body")).to_have_class(re.compile("body--dark"))
        await visit(page, "/jobs")
        await expect(page.locator("body")).to_have_class(re.compile("body--dark"))
        await expect(page.locator("#content")).to_contain_text("No job in this state", timeout=PATIENCE_MS)


async def test_signing_out_closes_every_page(process: Browser, running_node: RunningNode) -> None:
    async with browser(process, running_node) as (page, _):
        await sign_in(page, running_node)
        other = await page.context.new_page()
        await visit(other, "/engines")
        await page.get_by_role("button", name="Conectado como").click()
        await page.get_by_role("button", name="Sair").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Entrar no painel")
        await expect(other.get_by_role("heading", level=1)).to_have_text("Entrar no painel", timeout=PATIENCE_MS)
