from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.api.routing import MAX_SEGMENTS, RouteError, RouteTable, split_path
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.http import PUBLIC, SELF, AnyRoute, Reply, Request, Route, StaticFolder, WebSocketRoute

KNOWN = frozenset({"record.read", "record.write"})


async def handler(_request: Request) -> Reply:
    return Reply()


async def conversation(_session: object) -> None: ...


def get(path: str, permission: str = "record.read") -> Route:
    return Route("GET", path, permission, handler, "Read")


def post(path: str) -> Route:
    return Route("POST", path, "record.write", handler, "Write")


def table(*routes: AnyRoute, **plugins: list[AnyRoute]) -> RouteTable:
    return RouteTable(routes, known_permissions=KNOWN, plugin_routes=plugins)


def refusal_of(routes: RouteTable, method: str, path: bytes) -> ProntuarioError:
    with pytest.raises(ProntuarioError) as caught:
        routes.find(method, path)
    return caught.value


def test_literal_parts_win_over_parameters_whatever_the_order() -> None:
    by_id, metadata = get("/fhir/{kind}/{id}"), get("/fhir/Patient/summary")
    for routes in (table(by_id, metadata), table(metadata, by_id)):
        assert routes.find("GET", b"/fhir/Patient/summary").route is metadata
        found = routes.find("GET", b"/fhir/Patient/12")
        assert found.route is by_id
        assert found.parameters == {"kind": "Patient", "id": "12"}


def test_a_literal_without_the_method_lets_the_parameter_answer() -> None:
    search, create = get("/fhir/metadata"), post("/fhir/{kind}")
    found = table(search, create).find("POST", b"/fhir/metadata")
    assert found.route is create
    assert found.parameters == {"kind": "metadata"}


def test_an_encoded_slash_stays_inside_its_parameter() -> None:
    found = table(get("/files/{name}"), get("/files/{name}/secret")).find("GET", b"/files/a%2Fsecret")
    assert found.parameters == {"name": "a/secret"}


def test_unicode_parameters_are_decoded_once() -> None:
    routes = table(get("/drugs/{name}"))
    assert routes.find("GET", b"/drugs/%C3%A1cido").parameters == {"name": "ácido"}
    assert routes.find("GET", b"/drugs/100%2525").parameters == {"name": "100%25"}


def test_head_is_answered_by_get_and_listed_with_it() -> None:
    routes = table(get("/a"), post("/a"))
    assert isinstance(routes.find("HEAD", b"/a").route, Route)
    refused = refusal_of(routes, "DELETE", b"/a")
    assert refused.kind.status == 405
    assert refused.details["allowed"] == "GET, HEAD, POST"


@pytest.mark.parametrize("path", [b"/", b"/b", b"/a/b", b"/a/b/c", b"//a", b"/A"])
def test_unknown_addresses_are_404(path: bytes) -> None:
    assert refusal_of(table(get("/a")), "GET", path).kind.code == "route.unknown"


def test_an_empty_parameter_matches_nothing() -> None:
    assert refusal_of(table(get("/a/{id}/b")), "GET", b"/a//b").kind.code == "route.unknown"


@pytest.mark.parametrize(
    "path",
    [b"/a%00", b"/a%0d%0aSet-Cookie:x", b"/a\x00", b"/%ff", b"/\xc3\xa1", b"*", b"a", b"/x" * (MAX_SEGMENTS + 1)],
)
def test_malformed_addresses_are_400(path: bytes) -> None:
    assert refusal_of(table(get("/a")), "GET", path).kind.code == "path.malformed"


def test_folders_answer_below_their_prefix_but_routes_come_first(tmp_path: Path) -> None:
    folder, route = StaticFolder("/docs", tmp_path), get("/docs/api")
    routes = table(folder, route)
    assert routes.find("GET", b"/docs/api").route is route
    assert routes.find("GET", b"/docs").rest == ()
    assert routes.find("GET", b"/docs/a/b.css").rest == ("a", "b.css")
    assert refusal_of(routes, "POST", b"/docs/a").kind.status == 404


def test_websockets_have_a_table_of_their_own() -> None:
    socket = WebSocketRoute("/live/{id}", "record.read", conversation, "Live")
    routes = table(socket, get("/live/{id}"))
    assert routes.find_websocket(b"/live/3").route is socket
    assert routes.find_websocket(b"/live/3").parameters == {"id": "3"}
    with pytest.raises(ProntuarioError):
        routes.find_websocket(b"/live")


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ([get("/a", "")], "unknown permission ''"),
        ([get("/a", "record.raed")], "unknown permission 'record.raed'"),
        ([get("/a"), get("/a")], "repeats GET /a"),
        ([get("/a/{x}"), get("/a/{y}")], "repeats GET /a/{x}"),
        ([get("a")], "begins with '/'"),
        ([get("/a/")], "has none at its end"),
        ([get("/a/{x}/{x}")], "names a parameter twice"),
        ([get("/a/b{x}")], "neither a word nor one {parameter}"),
        ([Route("FETCH", "/a", "record.read", handler, "x")], "the method is one of"),
        ([Route("GET", "/a", "record.read", handler, " ")], "no summary"),
        ([Route("POST", "/a", "record.write", handler, "x", hot=True)], "only a GET may be hot"),
        ([WebSocketRoute("/w", "nothing", conversation, "x")], "unknown permission 'nothing'"),
        ([WebSocketRoute("/w", SELF, conversation, "x")] * 2, "repeats WebSocket /w"),
        ([StaticFolder("/s", Path()), StaticFolder("/s", Path())], "repeats folder /s"),
        ([StaticFolder("/s", Path(), "nobody")], "unknown permission 'nobody'"),
    ],
)
def test_the_application_refuses_to_start(routes: list[AnyRoute], said: str) -> None:
    with pytest.raises(RouteError) as caught:
        table(*routes)
    assert said in str(caught.value)


def test_a_plugin_may_not_leave_its_prefix() -> None:
    inside = get("/api/plugins/echo/say")
    assert table(echo=[inside]).find("GET", b"/api/plugins/echo/say").route is inside
    for outside in ("/api/patients", "/api/plugins/echoes/say", "/api/plugins/other/say"):
        with pytest.raises(RouteError, match="must lie below /api/plugins/echo/"):
            table(echo=[get(outside)])


def test_public_and_self_are_always_known() -> None:
    routes = RouteTable([get("/a", PUBLIC), get("/b", SELF)], known_permissions=())
    assert len(routes.routes) == 2


@given(st.binary(max_size=80))
def test_no_path_breaks_the_table(path: bytes) -> None:
    routes = table(get("/a/{x}/c"), get("/a/{x}"), StaticFolder("/s", Path()))
    try:
        found = routes.find("GET", b"/" + path)
    except ProntuarioError as refused:
        status = refused.kind.status
    else:
        status = 200
        assert "\x00" not in "".join((*found.parameters.values(), *found.rest))
    assert status in {200, 400, 404}


@given(st.lists(st.text("abc/%{}é", min_size=1, max_size=5), max_size=4))
def test_splitting_reverses_quoting(parts: list[str]) -> None:
    from urllib.parse import quote

    path = "/" + "/".join(quote(part, safe="") for part in parts)
    assert split_path(path.encode()) == tuple(parts)
