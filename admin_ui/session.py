"""Browser sessions: in memory only, bounded, gone when idle. The cookie is a random name for one and says nothing."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

from admin_ui.client import AdminClient
from admin_ui.feed import LiveFeed

COOKIE: Final = "__Host-prontuario-dashboard"
"""The ``__Host-`` prefix makes browsers insist on Secure, Path=/ and no Domain (RFC 6265bis §4.1.3.2)."""
IDLE_S: Final = 30 * 60.0
MAX_SESSIONS: Final = 1000


@dataclass(slots=True)
class Session:
    """One browser. ``client`` and ``feed`` are there only while a person is signed in."""

    id: str
    language: str
    touched: float
    dark: bool | None = None
    """None follows the system."""
    system_dark: bool = False
    """What the browser says of its system."""
    client: AdminClient | None = None
    feed: LiveFeed | None = field(default=None, repr=False)


current: ContextVar[Session] = ContextVar("dashboard session")
"""The session of the HTTP request at hand."""


class SessionStore:
    """Every session of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def find(self, session_id: str | None) -> Session | None:
        """The session of this name, unless it was idle too long; finding it keeps it alive."""
        session = self._sessions.get(session_id or "")
        if session is None or self._clock() - session.touched > IDLE_S:
            return None
        session.touched = self._clock()
        return session

    def open(self, language: str) -> Session:
        """A new session that nobody is signed in to; makes room by ending the one idle longest."""
        if len(self._sessions) >= MAX_SESSIONS:
            anonymous = [one for one in self._sessions.values() if one.client is None]
            self.end(min(anonymous or self._sessions.values(), key=lambda one: one.touched))
        session = Session(secrets.token_urlsafe(32), language, self._clock())
        self._sessions[session.id] = session
        return session

    def admit(self, old: Session, client: AdminClient) -> Session:
        """Sign a person in under a new name, so that a name known before the login is worth nothing after it."""
        new = self.open(old.language)
        new.dark, new.client, new.feed = old.dark, client, LiveFeed(client)
        self.end(old)
        return new

    def end(self, session: Session) -> None:
        """Forget a session and its tokens; its open pages go to the sign-in page, its feed ends with them."""
        self._sessions.pop(session.id, None)
        session.client = session.feed = None

    def touch(self, session: Session) -> None:
        """The person at this browser did something."""
        session.touched = self._clock()

    def idle(self) -> list[Session]:
        """Sessions that were idle too long."""
        now = self._clock()
        return [one for one in self._sessions.values() if now - one.touched > IDLE_S]

    def signed_in(self) -> list[Session]:
        """Sessions of persons."""
        return [one for one in self._sessions.values() if one.client is not None]
