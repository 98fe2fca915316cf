"""The overview's card of capacity: each budget and forecast with its state in words, a bar, and the next step."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Final

from nicegui import ui

from admin_ui.capacity import TONES, Judged, judged
from admin_ui.drill_calls import DrillCalls
from admin_ui.link import CoreRefusedError
from admin_ui.parts import Text, box, card
from admin_ui.shapes_drills import CapacityPicture
from admin_ui.view import Place, View
from admin_ui.words import known

PERIOD_S: Final = 30.0
FULL: Final = 100.0


def capacity_card(view: View) -> None:
    """Asked once the page stands, and again every half minute: looking at every process of the node takes some milliseconds."""
    with card(view.say("capacity.title")):
        Text("p", view.say("capacity.lead"), "muted")
        place = Place(view, partial(_ask, view), partial(_show, view))
        ui.timer(PERIOD_S, place.refresh)


async def _ask(view: View) -> CapacityPicture | None:
    """None where nobody keeps a ledger."""
    try:
        return await DrillCalls(view.client).capacity()
    except CoreRefusedError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise


def _show(view: View, picture: CapacityPicture | None) -> None:
    if picture is None:
        Text("p", view.say("capacity.none"), "empty")
        return
    with box("ul", "gauges"):
        for line in judged(picture, view.say, view.language):
            with box("li"):
                _line(view, line)


def _line(view: View, line: Judged) -> None:
    name = known(view.say, "capacity", line.name)
    with box("div"):
        Text("span", view.say(f"capacity.state.{line.state}"), f"chip {TONES[line.state]}")
    with box("div"):
        with box("div", "row-between"):
            Text("strong", name)
            if line.held:
                Text("span", line.held, "muted small figure")
        if line.share is not None:
            _bar(name, line.share, line.held, TONES[line.state])
        if line.outlook:
            Text("p", line.outlook, "figure")
        if line.step:
            Text("p", line.step, "advice")


def _bar(name: str, share: float, told: str, tone: str) -> None:
    """A gauge; the words beside it say the same, so it needs no colour to be read."""
    percent = min(FULL, max(0.0, share * FULL))
    with box(
        "div", f"gauge {tone}", role="meter", aria_label=name, aria_valuemin="0", aria_valuemax="100",
        aria_valuenow=f"{percent:.0f}", aria_valuetext=told,
    ):  # fmt: skip
        box("div").style(f"width: {percent:.1f}%")
