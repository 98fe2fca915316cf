"""One Chromium for a module's tests: each test gets a context of its own, which shares nothing but the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Error, Page, async_playwright

PROGRAM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_CHANGES_AT_MOST = 5


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=list(FLAGS))
        yield browser
        await browser.close()


async def visit(page: Page, path: str) -> None:
    """Open ``path``, and again when an interface came or went somewhere on this machine meanwhile.

    Chromium then gives up whatever is under way, loopback too, and loads a person's page anew by itself; a driven page it does
    not. Other tests make and remove network namespaces all the time.
    """
    for _ in range(_CHANGES_AT_MOST):
        try:
            await page.goto(path)
        except Error as error:
            if "ERR_NETWORK_CHANGED" not in error.message:
                raise
        else:
            return
    await page.goto(path)
