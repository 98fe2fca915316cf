from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.api.context import Visit, header, language_of
from appliance.api.door import bearer_token
from appliance.api.errors import METHOD_NOT_ALLOWED, ErrorPages, as_answer, problem
from appliance.api.replies import prepare
from appliance.plugin_api.errors import CONFLICT, INVALID, UNAVAILABLE, ProntuarioError, catalogue, define
from appliance.plugin_api.http import PUBLIC, Reply, WebSocketRoute
from appliance.security.errors import AUTH_EXPIRED, AUTH_REQUIRED


class Dose(msgspec.Struct):
    drug: str
    mg: float


def scope(**headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"headers": pairs, "path": "/x", "query_string": b"", "state": {}}


# -- problem+json ---------------------------------------------------------------------------------------------------
def test_a_problem_has_what_rfc_9457_and_a_nurse_need() -> None:
    reply = problem(INVALID(field="$.age", name="idade", reason="negativa"), "pt")
    assert reply.status == 422
    assert reply.content_type == "application/problem+json"
    assert reply.headers["content-language"] == "pt-BR"
    assert reply.body == {
        "type": "urn:prontuario:error:invalid",
        "title": "Unprocessable Entity",
        "status": 422,
        "code": "invalid",
        "detail": "O campo idade não é válido: negativa.",
        "next_step": "Corrija o campo e envie de novo.",
        "field": "$.age",
        "details": {"name": "idade", "reason": "negativa"},
    }


def test_details_that_are_no_json_stay_at_home() -> None:
    members = problem(CONFLICT(what="x", thing=object(), missing=[3, 4]), "en").body
    assert members["details"] == {"what": "x", "missing": [3, 4]}


def test_our_errors_pass_and_others_become_an_incident() -> None:
    known = CONFLICT(what="x")
    assert as_answer(known, "/x") is known
    first, second = as_answer(ValueError("secret"), "/x"), as_answer(ValueError("secret"), "/x")
    assert first.kind.code == "internal"
    assert first.details["incident"] != second.details["incident"]
    assert "secret" not in str(problem(first, "en").body)


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (AUTH_REQUIRED(), "www-authenticate", 'Bearer realm="prontuario"'),
        (AUTH_EXPIRED(), "www-authenticate", 'Bearer realm="prontuario", error="invalid_token"'),
        (METHOD_NOT_ALLOWED(method="PUT", allowed="GET, HEAD"), "allow", "GET, HEAD"),
        (UNAVAILABLE(what="x", retry_after=0.2), "retry-after", "1"),
        (UNAVAILABLE(what="x", retry_after=7.1), "retry-after", "8"),
    ],
)
def test_a_status_brings_the_headers_that_it_demands(error: ProntuarioError, name: str, value: str) -> None:
    assert ErrorPages({}).render(error, "/x", "en").headers[name] == value


def test_the_longest_prefix_chooses_the_shape() -> None:
    pages = ErrorPages({"/a/": lambda *_: Reply(400, "a"), "/a/b/": lambda *_: Reply(400, "ab")})
    error = CONFLICT(what="x")
    assert pages.render(error, "/a/b/c", "en").body == "ab"
    assert pages.render(error, "/a/c", "en").body == "a"
    assert pages.render(error, "/b", "en").body["code"] == "conflict"


def test_every_declared_error_can_be_rendered_in_both_languages() -> None:
    for kind in catalogue().values():
        for language in ("pt", "en"):
            members = problem(kind(), language).body
            assert members["detail"]
            assert members["next_step"]
            assert 400 <= members["status"] < 600


def test_a_code_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        define("route.unknown", 418, pt=("a", "b"), en=("c", "d"))


MARKS = [(b"prontuario-mode", b"single"), (b"prontuario-epoch", b"0")]


# -- replies --------------------------------------------------------------------------------------------------------
def headers_of(reply: Reply) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in prepare(reply, MARKS).headers}


@pytest.mark.parametrize(
    ("reply", "body", "kind"),
    [
        (Reply(body={"a": 1}), b'{"a":1}', "application/json"),
        (Reply(body=Dose("x", 1.5)), b'{"drug":"x","mg":1.5}', "application/json"),
        (Reply(body=[]), b"[]", "application/json"),
        (Reply(body=False), b"false", "application/json"),
        (Reply(body=b"\x00", content_type="audio/wav"), b"\x00", "audio/wav"),
        (Reply(body="texto"), b'"texto"', "application/json"),
    ],
)
def test_bodies_are_encoded(reply: Reply, body: bytes, kind: str) -> None:
    assert prepare(reply, MARKS).body == body
    headers = headers_of(reply)
    assert headers["content-type"] == kind
    assert headers["content-length"] == str(len(body))


def test_nothing_has_no_type() -> None:
    assert "content-type" not in headers_of(Reply(204))
    assert "content-length" not in headers_of(Reply(204))
    assert headers_of(Reply(200))["content-length"] == "0"


def test_a_reply_may_replace_the_defaults_but_not_twice() -> None:
    reply = Reply(body=b"", headers={"Cache-Control": "max-age=60", "Content-Type": "text/css"}, content_type="x/y")
    names = [name for name, _ in prepare(reply, MARKS).headers]
    assert len(names) == len(set(names))
    assert headers_of(reply)["cache-control"] == "max-age=60"
    assert headers_of(reply)["content-type"] == "text/css"


@pytest.mark.parametrize("name", ["X A", "X\r\nB", "", "X:", "Ação"])
def test_names_are_tokens(name: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        prepare(Reply(headers={name: "x"}), MARKS)


@given(st.text())
def test_values_never_leave_their_line(value: str) -> None:
    try:
        headers = prepare(Reply(headers={"X-A": value}), MARKS).headers
    except (ValueError, UnicodeEncodeError):
        return
    sent = dict(headers)[b"x-a"]
    assert not set(sent) & {0, 10, 13}


def test_a_body_that_is_no_json_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(TypeError):
        prepare(Reply(body=object()), MARKS)


# -- the request's parts --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "language"),
    [
        ("", "pt"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
        ("en", "en"),
        ("en-US,en;q=0.5", "en"),
        ("fr, en;q=0.4, pt;q=0.5", "pt"),
        ("de", "pt"),
        ("en;q=0", "pt"),
        ("en;q=nonsense", "pt"),
        (",,;q=;", "pt"),
        ("*", "pt"),
    ],
)
def test_languages(value: str, language: str) -> None:
    assert language_of(scope(accept_language=value)) == language


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Basic abc", None),
        ("Bearer", None),
        ("", None),
    ],
)
def test_tokens(value: str, token: str | None) -> None:
    assert bearer_token(scope(authorization=value)) == token


def test_repeated_headers_are_joined_and_parameters_kept_in_order() -> None:
    made = scope()
    made["headers"] = [(b"accept", b"a"), (b"accept", b"b"), (b"x", b"\xe7")]
    made["query_string"] = b"b=2&a=1&b=&c=%C3%A7"
    visit = Visit(made, WebSocketRoute("/x", PUBLIC, lambda _: None, "x"), {})  # type: ignore[arg-type,return-value]
    assert visit.headers == {"accept": "a, b", "x": "ç"}
    assert visit.query_items == [("b", "2"), ("a", "1"), ("b", ""), ("c", "ç")]
    assert visit.query == {"b": "2", "a": "1", "c": "ç"}
    assert header(made, b"accept") == b"b"
    assert header(made, b"none") is None
