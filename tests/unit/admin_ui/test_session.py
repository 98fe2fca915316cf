from __future__ import annotations

import ssl

import pytest

from admin_ui import session as sessions
from admin_ui.client import AdminClient
from admin_ui.link import CoreLink
from admin_ui.session import IDLE_S, MAX_SESSIONS, SessionStore
from admin_ui.shapes import Login, Me, UserRow


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> SessionStore:
    return SessionStore(clock)


@pytest.fixture
def client() -> AdminClient:
    user = UserRow("u-1", "ana", "Ana", "admin", "2026-11-21T00:00:00.000Z")
    link = CoreLink("https://localhost:1", ssl.create_default_context())
    return AdminClient(link, Login("access", 900, "refresh"), Me(user, frozenset({"node.read"})), "pt")


def test_a_name_that_was_not_given_out_finds_nothing(store: SessionStore) -> None:
    store.open("pt")
    assert store.find(None) is None
    assert store.find("") is None
    assert store.find("guess") is None


def test_names_cannot_be_guessed(store: SessionStore) -> None:
    names = {store.open("pt").id for _ in range(200)}
    assert len(names) == 200
    assert min(len(name) for name in names) >= 43


def test_idle_sessions_are_not_found_and_listed_for_ending(store: SessionStore, clock: Clock) -> None:
    session = store.open("pt")
    clock.now += IDLE_S
    assert store.find(session.id) is session
    clock.now += IDLE_S + 1
    assert store.find(session.id) is None
    assert store.idle() == [session]


async def test_signing_in_changes_the_name(store: SessionStore, client: AdminClient) -> None:
    before = store.open("en")
    before.dark = True
    after = store.admit(before, client)
    assert after.id != before.id
    assert store.find(before.id) is None
    assert (after.client, after.language, after.dark) == (client, "en", True)
    assert store.signed_in() == [after]


async def test_ending_forgets_the_tokens(store: SessionStore, client: AdminClient) -> None:
    session = store.admit(store.open("pt"), client)
    store.end(session)
    assert store.find(session.id) is None
    assert (session.client, session.feed) == (None, None)


async def test_a_flood_of_visitors_ends_no_person_s_session(
    store: SessionStore, client: AdminClient, clock: Clock
) -> None:
    person = store.admit(store.open("pt"), client)
    for _ in range(MAX_SESSIONS + 50):
        clock.now += 0.001
        store.open("pt")
    assert store.find(person.id) is person
    assert len(store._sessions) == MAX_SESSIONS


def test_the_cookie_is_bound_to_this_host_by_its_name() -> None:
    assert sessions.COOKIE.startswith("__Host-")
