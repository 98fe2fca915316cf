"""The web application around the pages: sign-in and sign-out, sessions, and headers that let nothing in from outside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import FastAPI, Form, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from nicegui import core, ui
from nicegui.translations import translations

from admin_ui.client import sign_in
from admin_ui.frame import offered
from admin_ui.link import UNAUTHENTICATED, CoreLink, CoreRefusedError, CoreUnreachableError
from admin_ui.pages import register
from admin_ui.session import COOKIE, Session, SessionStore, current
from admin_ui.words import language_of

ASSETS: Final = Path(__file__).parent / "assets"
SEE_OTHER: Final = 303
TOO_MANY: Final = 429
SWEEP_S: Final = 60.0
MAX_FIELD: Final = 256
Field = Annotated[str, Form(max_length=MAX_FIELD)]
HEADERS: Final = {
    # Vue compiles templates in the browser ('unsafe-eval'); everything else comes from here or not at all.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none';"
        " form-action 'self'; frame-ancestors 'none'"
    ),
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # "no-referrer" would blank the Origin of our own forms (Fetch §3.2)
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
translations["pt-BR"] = {
    "connection_lost": "O painel perdeu a conexão.",
    "trying_to_reconnect": "Tentando de novo…",
    "message_too_long": "Mensagem longa demais",
    "message_too_long_body": "A mensagem não cabe na conexão.",
}


def build(link: CoreLink) -> FastAPI:
    """The whole dashboard; its sessions live as long as this object."""
    sessions = SessionStore()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(_sweep(sessions), name="dashboard sessions")
        yield
        sweeper.cancel()
        await link.aclose()

    app = FastAPI(title="Prontuário", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.mount("/assets", StaticFiles(directory=ASSETS))
    _add_door(app, sessions, link)
    _add_middleware(app, sessions)
    register(sessions)
    ui.add_head_html('<link rel="stylesheet" href="/assets/theme.css">', shared=True)
    core.sio.eio.cors_allowed_origins = _same_origin  # NiceGUI's default takes every one
    ui.run_with(
        app,
        title="Prontuário",
        favicon=ASSETS / "mark.svg",
        dark=None,
        language="pt-BR",
        tailwind=False,
        show_welcome_message=False,
    )
    return app


def _add_door(app: FastAPI, sessions: SessionStore, link: CoreLink) -> None:
    @app.post("/login")
    async def login(username: Field = "", password: Field = "") -> Response:
        session = current.get()
        try:
            client = await sign_in(link, username.strip(), password, session.language)
        except CoreUnreachableError:
            return _to("/login?why=unreachable")
        except CoreRefusedError as error:
            why = {UNAUTHENTICATED: "wrong", 422: "wrong", TOO_MANY: "busy"}.get(error.status, "failed")
            return _to(f"/login?why={why}")
        entries = offered(client.permissions)
        if not entries:
            await client.sign_out()
            return _to("/login?why=role")
        return _with_cookie(_to(entries[0].path), sessions.admit(session, client))

    @app.post("/logout")
    async def logout() -> Response:
        await _leave(sessions, current.get())
        return _to("/login")


def _add_middleware(app: FastAPI, sessions: SessionStore) -> None:
    @app.middleware("http")
    async def guard(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.method not in ("GET", "HEAD") and not _from_here(request):
            return Response("cross-site request refused", status_code=403, headers=HEADERS)
        found = sessions.find(request.cookies.get(COOKIE))
        wanted = found is None and not request.url.path.startswith(("/_nicegui", "/assets", "/favicon"))
        session = sessions.open(language_of(request.headers.get("accept-language", ""))) if wanted else found
        token = current.set(session) if session is not None else None
        try:
            response = await proceed(request)
        finally:
            if token is not None:
                current.reset(token)
        response.headers.update(HEADERS)
        if wanted and session is not None and "set-cookie" not in response.headers:
            _with_cookie(response, session)
        return response


def _from_here(request: Request) -> bool:
    """Whether a changing request comes from a page of ours (RFC 6454); browsers always say so on POST."""
    return urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host")


def _same_origin(origin: str, environ: dict[str, Any]) -> bool:
    """For the pages' WebSocket, which browsers open across sites without asking (RFC 6455 §10.2)."""
    return urlsplit(origin).netloc == environ.get("HTTP_HOST")


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=SEE_OTHER)


def _with_cookie(response: Response, session: Session) -> Response:
    response.set_cookie(COOKIE, session.id, secure=True, httponly=True, samesite="strict", path="/")
    return response


async def _leave(sessions: SessionStore, session: Session) -> None:
    client, feed = session.client, session.feed
    sessions.end(session)
    if feed is not None:
        await feed.close()
    if client is not None:
        await client.sign_out()


async def _sweep(sessions: SessionStore) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        for session in sessions.idle():
            await _leave(sessions, session)
