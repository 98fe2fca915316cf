"""The sign-in page: a plain HTML form, so that password managers know it and no token ever passes a script."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from nicegui import ui

from admin_ui.frame import offered
from admin_ui.pages.base import DashboardPage
from admin_ui.parts import Text, box
from admin_ui.session import Session, current
from admin_ui.words import WORDS, words


def register() -> None:
    """Serve the page at ``/login``."""

    @DashboardPage("/login")
    def login(request: Request) -> Response | None:
        session = current.get()
        if session.client is not None:
            return RedirectResponse(offered(session.client.permissions)[0].path)
        if request.query_params.get("lang") in ("pt", "en"):
            session.language = request.query_params["lang"]
        _build(session, request.query_params.get("why", ""))
        return None


def _build(session: Session, why: str) -> None:
    say = words(session.language)
    ui.page_title(f"{say('login.title')} · {say('product')}")
    ui.dark_mode(session.dark)
    with box("div", "sign-in"), box("section", "card"):
        with box("div", "row-between"):
            Text("span", say("product"), "mark")
            other = "pt" if session.language == "en" else "en"
            link = Text("a", say("language.other"))
            link.props["href"], link.props["lang"] = f"/login?lang={other}", other
        Text("h1", say("login.title"))
        Text("p", say("login.lead"), "muted")
        if f"login.{why}" in WORDS and why in ("wrong", "busy", "role", "unreachable", "failed", "ended"):
            Text("div", say(f"login.{why}"), "notice quiet" if why == "ended" else "notice").props["role"] = "alert"
        with box("form", method="post", action="/login"):
            ui.input(say("login.user")).props("outlined name=username autocomplete=username autofocus required")
            password = ui.input(say("login.password")).props("outlined name=password type=password required")
            password.props["autocomplete"] = "current-password"
            submit = ui.button(say("login.submit"), color=None).props("flat no-caps unelevated type=submit")
            submit.classes("action main full-width")
        Text("p", say("login.local"), "muted")
