"""The line to core: HTTPS with the dashboard's own device certificate, and what can go wrong on it."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import msgspec

from admin_ui.shapes import Problem

T = TypeVar("T")
TIMEOUT: Final = httpx.Timeout(15.0, connect=3.0)
STREAM_TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
"""The live stream speaks every two seconds; ten silent seconds mean that core hangs or is gone."""
LIMITS: Final = httpx.Limits(max_connections=200, max_keepalive_connections=20)
UNAUTHENTICATED: Final = 401


class CoreUnreachableError(Exception):
    """Core did not answer, or what answered was not core."""


class CoreRefusedError(Exception):
    """Core answered with an error."""

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__(f"{status} {problem.code}")
        self.status = status
        self.problem = problem


def client_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.3 towards core: trusts the hospital's own CA and nothing else, shows the dashboard's certificate."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    return context


class CoreLink:
    """One pool of connections to core, for all persons at the dashboard. It knows no token by itself."""

    def __init__(self, api: str, context: ssl.SSLContext | bool) -> None:
        self._http = httpx.AsyncClient(
            base_url=api.rstrip("/"), verify=context, timeout=TIMEOUT, limits=LIMITS, trust_env=False
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        shape: type[T],
        *,
        token: str = "",
        language: str = "pt",
        body: Any = None,
        seen: int | None = None,
    ) -> T:
        """One request; its JSON answer as ``shape``. ``seen``: the version that the person had before them (If-Match).

        A connection that breaks before the answer is tried once more: a change carries its Idempotency-Key, so that
        core does it once.

        Raises:
            CoreUnreachableError: no answer, or an answer that is not what core says.
            CoreRefusedError: an error status, with core's sentence.
            ValueError: ``path`` is not a path on core.
        """
        headers = _headers(token, language)
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        if seen is not None:
            headers["If-Match"] = f'"{seen}"'
        content = None if body is None else msgspec.json.encode(body)
        request = self._http.build_request(method, _own_path(path), headers=headers, content=content)
        try:
            answer = await self._http.send(request)
        except httpx.TransportError:
            answer = await self._again(request)
        return _decode(answer.status_code, answer.content, shape)

    async def _again(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._http.send(request)
        except httpx.TransportError as error:
            raise CoreUnreachableError(type(error).__name__) from error

    @asynccontextmanager
    async def stream(self, path: str, *, token: str, language: str) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of an answer that goes on. Raises like ``call``, also while the lines are read."""
        headers = _headers(token, language) | {"Accept": "text/event-stream"}
        try:
            async with self._http.stream("GET", _own_path(path), headers=headers, timeout=STREAM_TIMEOUT) as answer:
                if answer.is_error:
                    _decode(answer.status_code, await answer.aread(), object)
                yield answer.aiter_lines()
        except httpx.TransportError as error:
            raise CoreUnreachableError(type(error).__name__) from error


def _headers(token: str, language: str) -> dict[str, str]:
    headers = {"Accept-Language": language, "Accept": "application/json", "Content-Type": "application/json"}
    return headers | {"Authorization": f"Bearer {token}"} if token else headers


def _own_path(path: str) -> str:
    """A plugin's page names paths; one that leads to another host would carry the person's token there."""
    if not path.startswith("/") or path.startswith("//") or "\\" in path:
        raise ValueError(f"not a path on core: {path!r}")
    return path


def _decode(status: int, content: bytes, shape: type[T]) -> T:
    if status >= httpx.codes.BAD_REQUEST:
        try:
            problem = msgspec.json.decode(content, type=Problem)
        except msgspec.MsgspecError:
            problem = Problem(code=f"http.{status}")
        raise CoreRefusedError(status, problem)
    try:
        return msgspec.json.decode(content or b"null", type=shape)
    except msgspec.MsgspecError as error:
        raise CoreUnreachableError(f"unexpected answer: {error}") from error
