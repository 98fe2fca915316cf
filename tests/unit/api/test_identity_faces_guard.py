"""The guard stands before exactly what the configuration names, and nothing that it names is left unguarded."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from appliance.api.identity_faces_guard import GUARDED, confirmed
from appliance.config.model import Config, Faces, Paths, Store
from appliance.daemon.assembly import assemble
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.http import Reply, Route, StaticFolder
from appliance.security.faces.errors import CONFIRMATION_REQUIRED


@dataclass
class Desk:
    required_for: frozenset[str]
    asked: list[object] = field(default_factory=list)

    async def require(self, who: object) -> None:
        self.asked.append(who)
        raise CONFIRMATION_REQUIRED()


@dataclass
class Asking:
    principal: str = "ana"


async def done(_request: Any) -> Reply:
    return Reply(204)


ROUTES = [
    Route("POST", "/api/notes/{note_id}/sign", "note.sign", done, "Sign"),
    Route("GET", "/api/notes/{note_id}/export", "note.export", done, "Export"),
    Route("GET", "/api/notes/{note_id}/sign", "note.sign", done, "Another method"),
]


async def guarded(desk: Any) -> list[bool]:
    found = []
    for route in confirmed(ROUTES, desk):
        assert isinstance(route, Route)
        try:
            await route.handler(Asking())
            found.append(False)
        except ProntuarioError as error:
            found.append(error.kind is CONFIRMATION_REQUIRED)
    return found


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], [False, False, False]),
        (["sign"], [True, False, False]),
        (["export"], [False, True, False]),
        (["sign", "export"], [True, True, False]),
    ],
)
async def test_only_what_is_named_asks(names: list[str], expected: list[bool]) -> None:
    desk = Desk(frozenset(names))
    assert await guarded(desk) == expected
    assert desk.asked == ["ana"] * sum(expected)


def test_permission_and_everything_else_of_a_route_stays() -> None:
    first = confirmed(ROUTES, Desk(frozenset({"sign"})))[0]  # type: ignore[arg-type]
    assert isinstance(first, Route)
    assert (first.method, first.path, first.permission) == ("POST", "/api/notes/{note_id}/sign", "note.sign")


def test_a_route_that_went_away_stops_the_start() -> None:
    with pytest.raises(ValueError, match="export"):
        confirmed([ROUTES[0]], Desk(frozenset({"export"})))  # type: ignore[arg-type]


def test_every_name_of_the_configuration_has_its_route() -> None:
    (names, _more) = get_args(get_type_hints(Faces)["required_for"])
    assert set(get_args(names)) == set(GUARDED)


def test_folders_pass_through(tmp_path: Any) -> None:
    folder = StaticFolder("/x", tmp_path)
    assert confirmed([folder], Desk(frozenset())) == [folder]  # type: ignore[arg-type]


async def test_a_real_core_has_every_route_that_can_be_named(tmp_path: Path) -> None:
    config = Config(faces=Faces(required_for=("sign", "export")), store=Store(litestream=False))
    async with AsyncExitStack() as stack:
        core = await assemble(stack, Paths(tmp_path), config)  # raises if one is missing
    places = {(route.method, route.path) for route in core.application.routes if isinstance(route, Route)}
    assert set(GUARDED.values()) <= places
