"""What every page of a signed-in person has in common."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Response
from fastapi.responses import RedirectResponse
from nicegui import ui
from nicegui.language import Language

from admin_ui.frame import ENTRIES, offered
from admin_ui.session import Session, SessionStore, current
from admin_ui.view import View

FIRST_PICTURE_S = 1.5


class DashboardPage(ui.page):
    """A page in the language and theme of its session, from its first byte."""

    def resolve_dark(self) -> bool | None:
        """The person's choice; None follows the system."""
        return current.get().dark

    def resolve_language(self) -> Language | None:
        """For screen readers and for NiceGUI's own messages."""
        return "en-US" if current.get().language == "en" else "pt-BR"


def dashboard_page(sessions: SessionStore, path: str, build: Callable[[View], None]) -> None:
    """Serve ``build`` at ``path`` to whoever may see the navigation entry of that path."""
    entry = next(one for one in ENTRIES if one.path == path)

    @DashboardPage(path)
    async def page() -> Response | None:
        view = view_of(sessions, current.get())
        if view is None:
            return RedirectResponse("/login")
        if not entry.needs & view.client.permissions:
            return RedirectResponse(offered(view.client.permissions)[0].path)
        await view.feed.first(FIRST_PICTURE_S)
        build(view)
        return None


def view_of(sessions: SessionStore, session: Session) -> View | None:
    """A view for the person signed in to this session, if there is one."""
    if session.client is None or session.feed is None:
        return None
    session.feed.watch()
    return View(session, session.client, session.feed, lambda: sessions.touch(session))
