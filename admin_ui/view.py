"""What a page is built with: the person's client, the words, the live feed, and one way to fail in front of a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, Literal, TypeVar

from nicegui import context, ui

from admin_ui.client import AdminClient, SignedOutError
from admin_ui.feed import LiveFeed
from admin_ui.link import CoreRefusedError, CoreUnreachableError
from admin_ui.parts import Text, box, button
from admin_ui.session import Session
from admin_ui.words import Words, words

T = TypeVar("T")


class View:
    """One open page of one signed-in person."""

    def __init__(self, session: Session, client: AdminClient, feed: LiveFeed, touch: Callable[[], None]) -> None:
        self._touch = touch
        self._page = context.client
        self._ticks: list[Callable[[], None]] = []
        self.session = session
        self.client = client
        self.feed = feed
        self.language = session.language
        self.say: Words = words(session.language)

    @property
    def is_dark(self) -> bool:
        """Whether the page is dark now, as far as the browser has told."""
        return self.session.system_dark if self.session.dark is None else self.session.dark

    def every_second(self, show: Callable[[], None]) -> None:
        """Call ``show`` now and once a second while the page is open."""
        self._ticks.append(show)
        show()

    def tick(self) -> None:
        """One second has passed."""
        if self.session.client is not self.client or self.feed.signed_out:
            ui.navigate.to("/login?why=ended")
            return
        self.feed.watch()
        for show in self._ticks:
            show()

    async def act(self, call: Awaitable[T], done: str = "") -> T | None:
        """Carry out what a person asked for and say how it went; None when it failed."""
        self._touch()
        try:
            answer = await call
        except SignedOutError:
            self.feed.signed_out = True
            return None
        except (CoreUnreachableError, CoreRefusedError) as error:
            self.notify(self.sentence(error), "negative")
            return None
        if done:
            self.notify(done)
        return answer

    def notify(self, sentence: str, kind: Literal["positive", "negative"] = "positive") -> None:
        """Say something to the person for nine seconds; from the page, for the button's own place may be gone by now."""
        with self._page:
            ui.notify(sentence, type=kind, multi_line=True, timeout=9000, close_button=True)

    def sentence(self, error: CoreUnreachableError | CoreRefusedError) -> str:
        """Core's own sentence and next step, or ours when core is silent."""
        if isinstance(error, CoreUnreachableError):
            return self.say("error.unreachable")
        problem = error.problem
        spoken = " ".join(part for part in (problem.detail or problem.title, problem.next_step) if part)
        return spoken or self.say("error.unknown", code=problem.code)


class Place(Generic[T]):
    """A part of a page whose data core is asked for once the page stands; a failure is shown there, with a way back."""

    def __init__(self, view: View, fetch: Callable[[], Awaitable[T]], build: Callable[[T], None]) -> None:
        self._view = view
        self._fetch = fetch
        self._build = build
        self._shown: T | None = None
        self._spot = box("div", "place")
        with self._spot:
            Text("p", "…", "empty")
        ui.timer(0, self.load, once=True)

    async def load(self) -> None:
        """Ask core (again) and show the answer."""
        try:
            data = await self._fetch()
        except SignedOutError:
            self._view.feed.signed_out = True
        except (CoreUnreachableError, CoreRefusedError) as error:
            self._show_failure(self._view.sentence(error))
        else:
            self.show(data)

    async def refresh(self) -> None:
        """Ask core again in the background: what stands is built anew only by another answer, and outlives a failure."""
        with suppress(SignedOutError, CoreUnreachableError, CoreRefusedError):
            data = await self._fetch()
            if data != self._shown:
                self.show(data)

    def show(self, data: T) -> None:
        """Show what is known already."""
        self._shown = data
        self._spot.clear()
        with self._spot:
            self._build(data)

    def _show_failure(self, sentence: str) -> None:
        self._shown = None
        self._spot.clear()
        with self._spot, box("div", "notice row-between", role="alert"):
            Text("span", sentence)
            button(self._view.say("act.retry"), self.load)
