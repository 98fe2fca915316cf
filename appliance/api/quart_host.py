"""Quart hosts every route that is not hot: one generic view for HTTP, one for WebSockets.

Quart's own connection reads a body without bounds while the handler is still busy, and queues WebSocket messages the
same way; the two connection classes below keep its contract and add the bounds.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import quart
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope
from quart.asgi import ASGIHTTPConnection, ASGIWebsocketConnection
from quart.wrappers import Request as QuartRequest
from quart.wrappers import Response

from appliance.api.body import RequestBody
from appliance.api.context import ApiRequest
from appliance.api.door import Door, bearer_token
from appliance.api.errors import as_answer
from appliance.api.folders import serve_file
from appliance.api.replies import Answer
from appliance.api.routing import Match
from appliance.api.streams import event_stream
from appliance.api.websockets import ERROR_BASE, GOING_AWAY, Session, offered_token
from appliance.config.model import Api
from appliance.plugin_api.http import PUBLIC, Route, StaticFolder, WebSocketRoute

MATCH: Final = "match"
"""Key of ``scope["state"]``: the route that the table found."""
STRANGERS_BODY_BYTES: Final = 64 * 1024
"""Who has not said who they are may send a password or a certificate request, not more; unless the route says otherwise."""
WEBSOCKET_QUEUE: Final = 1
WEBSOCKET_FAREWELL_S: Final = 2.0
METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class _Request(QuartRequest):
    body_class = RequestBody  # type: ignore[assignment]


class _HttpConnection(ASGIHTTPConnection):
    """Bounded bodies; after an early answer the rest of the body is taken in, so that the client hears the answer."""

    _body: RequestBody

    def _create_request_from_scope(self, send: ASGISendCallable) -> QuartRequest:
        request = super()._create_request_from_scope(send)
        self._body = cast("RequestBody", request.body)
        return request

    async def handle_messages(self, _request: QuartRequest, receive: ASGIReceiveCallable) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.request":
                await self._body.put(message.get("body", b""))
                if not message.get("more_body", False):
                    self._body.set_complete()
            elif message["type"] == "http.disconnect":
                self._body.interrupt()
                return

    async def _send_response(self, send: ASGISendCallable, response: Any) -> None:
        async def patient_send(message: Any) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body") and not self._body.complete:
                await self._body.discard()
            await send(message)

        await super()._send_response(patient_send, response)


class _WebSocketConnection(ASGIWebsocketConnection):
    """A bounded queue; a handler whose client left gets a moment to finish before it is cancelled."""

    session: Session | None = None

    def __init__(self, app: quart.Quart, scope: WebsocketScope) -> None:
        super().__init__(app, scope)
        self.queue = asyncio.Queue(WEBSOCKET_QUEUE)
        cast("dict[str, Any]", scope["state"])["connection"] = self

    async def handle_messages(self, receive: ASGIReceiveCallable) -> None:
        while True:
            event = await receive()
            if event["type"] == "websocket.receive":
                data = event.get("bytes")
                await self.queue.put(event["text"] if data is None else data)
            elif event["type"] == "websocket.disconnect":
                if self.session is not None:
                    self.session.gone()
                await asyncio.sleep(WEBSOCKET_FAREWELL_S)
                return


class QuartHost:
    """The Quart application and its two views."""

    def __init__(self, door: Door, config: Api, *, recheck_s: float) -> None:
        self._recheck_s = recheck_s
        self._door = door
        self._config = config
        self._draining = asyncio.Event()
        """Set when the streams that watch it must end; those that begin after a handover watch another one."""
        self.sessions: set[Session] = set()
        self.quart = quart.Quart("quart", static_folder=None, template_folder=None)
        self.quart.config.update(MAX_CONTENT_LENGTH=None, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
        self.quart.url_map.merge_slashes = False
        self.quart.request_class = _Request
        self.quart.asgi_http_class = _HttpConnection
        self.quart.asgi_websocket_class = _WebSocketConnection
        for path in ("/", "/<path:_path>"):
            self.quart.add_url_rule(path, f"http {path}", self._http, methods=METHODS)
            self.quart.add_websocket(path, f"websocket {path}", self._websocket)

    def drain(self) -> None:
        """End every stream with ``reconnect`` and every WebSocket with 1012, and those that still begin too."""
        self._draining.set()
        for session in list(self.sessions):
            session.drain()

    def hand_over(self) -> None:
        """End the streams and WebSockets of now in the same way."""
        if not self._draining.is_set():
            self.drain()
            self._draining = asyncio.Event()

    async def _http(self, _path: str = "") -> Response:
        request = quart.request
        scope: Any = request.scope
        match: Match = scope["state"][MATCH]
        body = cast("RequestBody", request.body)
        if isinstance(match.route, StaticFolder):
            return self._render(await serve_file(self._door, scope, match), None)
        route = cast("Route", match.route)
        visit = ApiRequest(
            scope,
            route,
            match.parameters,
            self._door,
            body,
            limit_bytes=STRANGERS_BODY_BYTES if route.permission == PUBLIC else self._config.max_body_bytes,
            timeout_s=self._config.body_timeout_s,
        )
        response = self._render(await self._door.answer(route, visit), visit)
        if not body.complete and scope["http_version"] == "1.1":
            response.headers["Connection"] = "close"
        return response

    def _render(self, answer: Answer, visit: ApiRequest | None) -> Response:
        content = answer.body if answer.stream is None or visit is None else self._stream(answer, visit)
        response = Response(content, status=answer.status)
        response.timeout = None
        response.headers.clear()
        for name, value in answer.headers:
            response.headers.add(name.decode("ascii"), value.decode("latin-1"))
        return response

    def _stream(self, answer: Answer, visit: ApiRequest) -> Any:
        items: Any = answer.stream
        if not answer.is_event_stream:
            return items
        token = bearer_token(visit.scope)
        return event_stream(
            items,
            draining=self._draining,
            may_continue=lambda: self._door.still_admitted(visit, token),
            heartbeat_s=self._recheck_s,
            language=visit.language,
            route=visit.route.path,
        )

    async def _websocket(self, _path: str = "") -> Response | None:
        scope: Any = quart.websocket.scope
        match: Match = scope["state"][MATCH]
        connection: _WebSocketConnection = scope["state"]["connection"]
        token, subprotocol = offered_token(scope)
        peer = quart.websocket
        session = Session(
            scope,
            cast("WebSocketRoute", match.route),
            dict(match.parameters),
            inbox=connection.queue,
            send=peer.send,
            close=peer.close,
            record=lambda: self._door.record(session, 101, "WEBSOCKET"),
            may_continue=lambda: self._door.still_admitted(session, token),
            recheck_s=self._recheck_s,
        )
        refused = await self._open(session, token)
        if refused is not None:
            return self._render(refused, None)
        connection.session = session
        self.sessions.add(session)
        try:
            await peer.accept(subprotocol=subprotocol)
            await self._converse(session)
        finally:
            self.sessions.discard(session)
        return None

    async def _open(self, session: Session, token: str | None) -> Answer | None:
        """Admit and record; the refusal, if it is one."""
        try:
            try:
                await self._door.admit(session, token)
            except Exception as error:  # noqa: BLE001  the API boundary: a refusal is recorded and answered
                answer = as_answer(error, session.route.path)
                if session.caller is not None:
                    await self._door.record(session, answer.kind.status, "WEBSOCKET", answer.kind.code)
                raise answer from None
            if session.caller is not None:
                await self._door.record(session, 101, "WEBSOCKET")
        except Exception as error:  # noqa: BLE001  the API boundary: a refusal is an answer
            return self._door.refusal(as_answer(error, session.route.path), session)
        return None

    async def _converse(self, session: Session) -> None:
        route = cast("WebSocketRoute", session.route)
        if self._draining.is_set():
            session.drain()
        try:
            await route.handler(session)
        except Exception as error:  # noqa: BLE001  the API boundary: the close code tells what went wrong
            answer = as_answer(error, route.path)
            await session.close(ERROR_BASE + answer.kind.status, answer.kind.code)
        await session.close(GOING_AWAY if session.draining else 1000, "reconnect" if session.draining else "")
