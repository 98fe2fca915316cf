"""The plugins: which are active, which are quarantined and why, and the pages that they describe as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from fastapi import Response
from fastapi.responses import RedirectResponse

from admin_ui.frame import frame
from admin_ui.pages.base import FIRST_PICTURE_S, DashboardPage, view_of
from admin_ui.parts import Column, Section, Text, box, card, chip, facts, table
from admin_ui.session import SessionStore, current
from admin_ui.shapes import AdminPageRow, PluginRow
from admin_ui.view import Place, View

GRAVITY: Final = {"quarantined": 0, "active": 1}
MAX_ROWS: Final = 200
MAX_TEXT: Final = 500


def build(view: View) -> None:
    """One card for each plugin, the ill ones first."""
    with frame(view, "/plugins", view.say("nav.plugins"), view.say("plugins.lead")):
        cards = Section(lambda rows: _cards(view, rows), classes="columns")

    def show() -> None:
        if view.feed.latest is not None:
            rows = view.feed.latest.plugins or []
            cards.show(rows, tuple(rows))

    view.every_second(show)


def _cards(view: View, rows: list[PluginRow]) -> None:
    say = view.say
    if not rows:
        Text("p", say("plugins.none"), "empty")
    for row in sorted(rows, key=lambda one: (GRAVITY.get(one.state, 2), one.name)):
        with card():
            with box("div", "row-between"):
                Text("h2", row.name)
                chip(say, row.state)
            if row.version:
                Text("p", say("plugins.version", version=row.version), "muted")
            if row.reason:
                with box("div", "notice"):
                    Text("strong", say("plugins.why"))
                    Text("p", row.reason)
            if row.capabilities:
                facts([(say("plugins.abilities"), ", ".join(row.capabilities))])
            _page_links(view, row)


def _page_links(view: View, row: PluginRow) -> None:
    if not row.pages:
        return
    with box("div", "row"):
        for page in row.pages:
            Text("a", _title(view, page)).props["href"] = f"/plugins/{row.name}/{page.slug}"


def register_plugin_pages(sessions: SessionStore) -> None:
    """Serve every plugin's pages at ``/plugins/<name>/<slug>``."""

    @DashboardPage("/plugins/{name}/{slug}")
    async def page(name: str, slug: str) -> Response | None:
        view = view_of(sessions, current.get())
        if view is None or not view.client.may("plugin.read"):
            return RedirectResponse("/login" if view is None else "/")
        await view.feed.first(FIRST_PICTURE_S)
        plugins = (view.feed.latest.plugins if view.feed.latest else None) or []
        found = [one for plugin in plugins if plugin.name == name for one in plugin.pages if one.slug == slug]
        title = _title(view, found[0]) if found else name
        with frame(view, f"/plugins/{name}/{slug}", title):
            if not found:
                Text("p", view.say("plugins.gone"), "empty")
            for heading, path in found[0].sources if found else ():
                with card(heading):
                    Place(view, partial(view.client.get, path, object), partial(show_data, view))
        return None


def _title(view: View, page: AdminPageRow) -> str:
    return page.title_en if view.language == "en" else page.title_pt


def show_data(view: View, data: Any) -> None:
    """Any JSON as a person reads it: objects as facts, lists of objects as a table, lists of plain values as lines."""
    if isinstance(data, Mapping):
        plain = {key: value for key, value in data.items() if not isinstance(value, Mapping | list)}
        facts([(str(key), _plain(view, value)) for key, value in plain.items()])
        for key in data.keys() - plain.keys():
            Text("h2", str(key))
            show_data(view, data[key])
    elif isinstance(data, list) and data and all(isinstance(row, Mapping) for row in data):
        names = dict.fromkeys(str(name) for row in data for name in row)
        table(_columns(view, names), data[:MAX_ROWS], "")
    elif isinstance(data, list) and data:
        for value in data[:MAX_ROWS]:
            Text("p", _plain(view, value))
    else:
        Text("p", view.say("plugins.empty") if data in (None, [], "") else _plain(view, data), "empty")


def _columns(view: View, names: Iterable[str]) -> list[Column]:
    return [Column(name, partial(_member, view, name)) for name in names]


def _member(view: View, name: str, row: Mapping[str, Any]) -> str:
    return _plain(view, row.get(name))


def _plain(view: View, value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return view.say("data.true" if value else "data.false")
    return str(value)[:MAX_TEXT]
