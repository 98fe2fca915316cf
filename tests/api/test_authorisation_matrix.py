"""Every route of the whole application × every role × every way of not being allowed in.

The routes are those of a real core, plugins included; only their handlers are replaced, so that walking them changes
nothing. A route that is added to the application is walked without further ado; a new kind of route fails the test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.exceptions import InvalidStatus

from appliance.config import Config, Paths
from appliance.config.model import Api
from appliance.config.model import Store as StoreConfig
from appliance.daemon.assembly import assemble
from appliance.plugin_api.http import PUBLIC, SELF, AnyRoute, Reply, Request, Route, StaticFolder, WebSocketRoute
from appliance.security.policy import KNOWN, ROLES, permissions_of
from tests.api.harness import ApiUnderTest, Phone, api_under_test

ALLOWED = 204
PLUGIN_PERMISSIONS: dict[str, frozenset[str]] = {}
"""Roles of permissions that first-party plugins add, by permission; there are none yet."""
assembled: list[AnyRoute] = []


async def stub(_request: Request) -> Reply:
    return Reply(ALLOWED)


async def stub_conversation(_session: object) -> None: ...


def stubbed(route: AnyRoute) -> AnyRoute:
    if isinstance(route, Route):
        return dataclasses.replace(route, handler=stub)
    if isinstance(route, WebSocketRoute):
        return dataclasses.replace(route, handler=stub_conversation)
    return route


def key_of(route: AnyRoute) -> tuple[str, str]:
    if isinstance(route, Route):
        return route.method, route.path
    return ("WEBSOCKET", route.path) if isinstance(route, WebSocketRoute) else ("FOLDER", route.prefix)


async def routes_of_a_real_core(folder: Path) -> Sequence[AnyRoute]:
    """Assembled once: the list is data, and the core behind it is taken apart again."""
    if assembled:
        return assembled
    config = Config(api=Api(port=0), store=StoreConfig(litestream=False))
    async with AsyncExitStack() as stack:
        core = await assemble(stack, Paths(folder / "core"), config)
        assembled.extend(core.application.routes)
    return assembled


@pytest.fixture
async def routes(tmp_path: Path) -> Sequence[AnyRoute]:
    return await routes_of_a_real_core(tmp_path)


@pytest.fixture
async def api(tmp_path: Path, routes: Sequence[AnyRoute]) -> AsyncIterator[ApiUnderTest]:
    (tmp_path / "own").mkdir()
    async with api_under_test(tmp_path / "own") as bare:
        own = {key_of(route) for route in bare.app.routes}
    served = [stubbed(route) for route in routes if key_of(route) not in own]
    known = {route.permission for route in routes} | KNOWN
    (tmp_path / "walked").mkdir()
    async with api_under_test(tmp_path / "walked", served, known_permissions=known) as full:
        yield full


def address(path: str) -> str:
    """A path with something for each parameter."""
    return "/".join("1" if part.startswith("{") else part for part in path.split("/"))


async def knock(api: ApiUnderTest, client: httpx.AsyncClient, phone: Phone | None, token: str, route: AnyRoute) -> int:
    if isinstance(route, StaticFolder):
        return (await client.get(route.prefix + "/nothing")).status_code
    if isinstance(route, Route):
        return (await client.request(route.method, address(route.path))).status_code
    url = f"wss://127.0.0.1:{api.port}{address(route.path)}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with websockets.connect(url, ssl=api.tls(phone), proxy=None, additional_headers=headers):
            return ALLOWED
    except InvalidStatus as refused:
        return refused.response.status_code


async def walk(api: ApiUnderTest, phone: Phone | None, token: str = "") -> dict[tuple[str, str], int]:
    headers = {"Authorization": f"Bearer {token}" if token else ""}
    async with api.client(phone, headers=headers) as client:
        return {key_of(route): await knock(api, client, phone, token, route) for route in api.app.routes}


def refusals(api: ApiUnderTest, got: dict[tuple[str, str], int], role: str | None, status: int = 401) -> list[str]:
    """Where the answer is not what policy says; ``role`` None: the door must not open, with ``status``."""
    wrong = []
    for route in api.app.routes:
        permission, answer = route.permission, got[key_of(route)]
        open_to_role = role is not None and (permission == SELF or may(role, permission))
        opens = permission == PUBLIC or open_to_role
        refused = status if role is None else 403
        if answer != refused if not opens else answer in {401, 403}:
            wrong.append(f"{key_of(route)} ({permission}) answered {answer}")
    return wrong


def may(role: str, permission: str) -> bool:
    return permission in permissions_of(role) or role in PLUGIN_PERMISSIONS.get(permission, frozenset())


async def test_every_route_of_the_application_is_walked(api: ApiUnderTest, routes: Sequence[AnyRoute]) -> None:
    walked = {key_of(route) for route in api.app.routes}
    assert walked == {key_of(route) for route in routes}
    assert len(walked) > 50
    methods = {route.method for route in routes if isinstance(route, Route)}
    assert {"GET", "POST", "PUT"} <= methods


async def test_every_route_has_a_summary_and_a_permission(routes: Sequence[AnyRoute]) -> None:
    for route in routes:
        assert route.permission in KNOWN | {PUBLIC, SELF} | PLUGIN_PERMISSIONS.keys(), key_of(route)
        if not isinstance(route, StaticFolder):
            assert len(route.summary) > 3, key_of(route)


async def test_every_permission_of_the_policy_opens_something(routes: Sequence[AnyRoute]) -> None:
    """A permission that no route names is either dead or forgotten on a route."""
    unused = KNOWN - {route.permission for route in routes}
    assert unused == set()


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_a_role_opens_its_own_doors_and_no_other(api: ApiUnderTest, role: str) -> None:
    phone = await api.phone(role)
    assert refusals(api, await walk(api, phone, phone.token), role) == []


@pytest.mark.parametrize(
    "condition", ["no token", "nonsense", "wrong device", "no device", "expired", "revoked", "disabled"]
)
async def test_nobody_gets_in_without_a_current_token_of_this_device(api: ApiUnderTest, condition: str) -> None:
    phone = await api.phone("physician")
    used, token = phone, phone.token
    if condition == "no token":
        token = ""
    elif condition == "nonsense":
        token = "x" * len(token)
    elif condition == "wrong device":
        used = await api.phone("physician")
    elif condition == "expired":
        sql = "UPDATE security_token SET expires_at = issued_at WHERE session_id = ?"
        await api.store.write(lambda tx: tx.execute(sql, (phone.session_id,)))
    elif condition == "revoked":
        await api.store.write(lambda tx: api.identity.revoke_device(tx, phone.device_id))
    elif condition == "disabled":
        await api.store.write(lambda tx: api.identity.set_enabled(tx, phone.user_id, enabled=False))
    got = await walk(api, None if condition == "no device" else used, token)
    assert refusals(api, got, None) == []


async def test_a_role_that_nobody_defined_opens_nothing(api: ApiUnderTest) -> None:
    phone = await api.phone("nurse")
    await api.store.write(lambda tx: tx.execute("PRAGMA ignore_check_constraints = ON"))
    await api.store.write(lambda tx: tx.execute("UPDATE security_user SET role = 'janitor'"))
    assert refusals(api, await walk(api, phone, phone.token), "janitor") == []


async def test_the_matrix_notices_a_door_left_open(tmp_path: Path) -> None:
    """The test of the test: a route whose permission is not the one that policy would want."""
    careless: Any = Route("GET", "/api/notes", PUBLIC, stub, "Read notes")
    async with api_under_test(tmp_path, [careless]) as api:
        got = await walk(api, None)
        claimed = dataclasses.replace(careless, permission="note.read")
        api.app.routes = [claimed]
        assert refusals(api, got, None) == ["('GET', '/api/notes') (note.read) answered 204"]
