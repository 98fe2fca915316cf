"""The frame around every page: top bar, navigation, banners, and the second hand that keeps it alive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from nicegui import ui

from admin_ui.parts import Text, box
from admin_ui.shapes import Snapshot
from admin_ui.view import View
from admin_ui.words import known


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation; offered to whoever has any of ``needs``."""

    path: str
    word: str
    icon: str
    needs: frozenset[str]


ENTRIES: Final = (
    Entry("/", "nav.overview", "monitor_heart", frozenset({"node.read"})),
    Entry("/alerts", "nav.alerts", "notifications_active", frozenset({"node.read"})),
    Entry("/doctor", "nav.doctor", "health_and_safety", frozenset({"node.read"})),
    Entry("/cluster", "nav.cluster", "sync_alt", frozenset({"node.read"})),
    Entry("/review", "nav.review", "rule", frozenset({"node.read"})),
    Entry("/engines", "nav.engines", "memory", frozenset({"node.read"})),
    Entry("/models", "nav.models", "inventory_2", frozenset({"node.read"})),
    Entry("/plugins", "nav.plugins", "extension", frozenset({"plugin.read"})),
    Entry("/jobs", "nav.jobs", "task_alt", frozenset({"job.read"})),
    Entry("/drills", "nav.drills", "fact_check", frozenset({"job.read"})),
    Entry("/updates", "nav.updates", "system_update_alt", frozenset({"node.read"})),
    Entry("/note-templates", "nav.templates", "article", frozenset({"node.read"})),
    Entry("/people", "nav.people", "phonelink_lock", frozenset({"user.manage", "device.manage"})),
    Entry("/faces", "nav.faces", "face", frozenset({"user.manage"})),
    Entry("/audit", "nav.audit", "policy", frozenset({"audit.read"})),
)
THEMES: Final = (
    ("theme.system", None, "contrast"),
    ("theme.light", False, "light_mode"),
    ("theme.dark", True, "dark_mode"),
)


def offered(permissions: frozenset[str]) -> list[Entry]:
    """The entries that a person with these permissions gets to see."""
    return [entry for entry in ENTRIES if entry.needs & permissions]


@contextmanager
def frame(view: View, path: str, title: str, lead: str = "") -> Iterator[None]:
    """Everything around a page's content."""
    say = view.say
    ui.page_title(f"{title} · {say('product')}")
    dark = ui.dark_mode(view.session.dark)
    Text("a", say("nav.skip"), "skip").props["href"] = "#content"
    _sidebar_and_topbar(view, path, dark)
    _banners(view)
    with box("div", "page", id="content", tabindex="-1"):
        with box("header", "page-head"):
            Text("h1", title)
            if lead:
                Text("p", lead)
        yield
    ui.timer(1.0, view.tick)
    ui.timer(0, partial(_learn_system_theme, view), once=True)


def _sidebar_and_topbar(view: View, path: str, dark: ui.dark_mode) -> None:
    say = view.say
    with ui.left_drawer(value=True).classes("sidebar").props("width=248 breakpoint=900 show-if-above") as drawer:
        drawer.props(remove="model-value")  # the browser knows its width; NiceGUI's own question to it may time out
        drawer.props["aria-label"] = say("nav.label")
        with box("nav", "nav", aria_label=say("nav.label")):
            for entry in offered(view.client.permissions):
                _nav_line(view, entry, path)
    with ui.header(elevated=False).classes("topbar"), box(classes="topbar-row"):
        _icon_button("menu", say("nav.menu"), lambda: drawer.run_method("toggle")).classes("narrow")
        with box(classes="brand grow"):
            brand, node = Text("strong", say("product")), Text("span", "")
        mode = Text("span", "", "chip wide")
        live = Text("span", "", "chip")
        live.props["role"] = "status"
        _preferences(view, dark)

    def show() -> None:
        latest = view.feed.latest
        if latest is not None:
            brand.text, node.text = latest.node.hospital, f"{say('product')} · {latest.node.name}"
            mode.text = known(say, "mode", latest.node.mode)
            _tone(mode, {"read-only": "bad", "degraded": "warn"}.get(latest.node.mode, "plain"))
        word, tone = ("live.wait", "warn") if latest is None else ("live.on", "ok")
        if view.feed.lost_since is not None:
            word, tone = "live.lost", "bad"
        live.text = say(word)
        _tone(live, tone)

    view.every_second(show)


def _nav_line(view: View, entry: Entry, path: str) -> None:
    with box("a", href=entry.path) as line:
        if entry.path == path or (entry.path != "/" and path.startswith(entry.path + "/")):
            line.props["aria-current"] = "page"
        ui.icon(entry.icon).props["aria-hidden"] = "true"
        Text("span", view.say(entry.word))
        count = Text("span", "", "chip bad plain count figure")

    def show() -> None:
        waiting = attention(entry.path, view.feed.latest)
        count.text = str(waiting)
        count.set_visibility(waiting > 0)

    view.every_second(show)


def attention(path: str, latest: Snapshot | None) -> int:
    """How many things on that page wait for a decision."""
    if latest is None:
        return 0
    if path == "/plugins":
        return sum(plugin.state == "quarantined" for plugin in latest.plugins or ())
    if path == "/jobs":
        return (latest.job_counts or {}).get("dead", 0)
    if path == "/engines":
        return sum(engine.status in ("circuit_open", "refused") for engine in latest.engines)
    return 0


def _tone(element: Text, tone: str) -> None:
    element.classes(add=tone, remove=" ".join({"ok", "warn", "bad", "plain"} - {tone}))


def _preferences(view: View, dark: ui.dark_mode) -> None:
    say, person = view.say, view.client.person
    who = say("account.signed_in", user=person.username, role=known(say, "role", person.role))
    with _icon_button("account_circle", who), ui.menu().props("auto-close"), box("div", "menu"):
        Text("p", who, "menu-head")
        for word, value, icon in THEMES:
            _menu_button(say(word), icon, partial(_set_dark, view, dark, value))
        _menu_button(say("language.other"), "translate", partial(_other_language, view))
        with box("form", method="post", action="/logout"):
            _menu_button(say("account.sign_out"), "logout").props("type=submit")


def _icon_button(icon: str, label: str, act: Callable[[], object] | None = None) -> ui.button:
    made = ui.button(icon=icon, on_click=act, color=None).props("flat round").classes("bare")
    made.props["aria-label"] = label
    return made


def _menu_button(label: str, icon: str, act: Callable[[], object] | None = None) -> ui.button:
    made = ui.button(label, icon=icon, on_click=act, color=None)
    return made.props("flat no-caps align=left").classes("action bare full-width")


def _set_dark(view: View, dark: ui.dark_mode, value: bool | None) -> None:
    view.session.dark = dark.value = value


async def _learn_system_theme(view: View) -> None:
    """Charts are drawn on a canvas, which style sheets don't reach: ask the browser what its system prefers."""
    with suppress(TimeoutError):
        answer = await ui.run_javascript("matchMedia('(prefers-color-scheme: dark)').matches", timeout=5)
        view.session.system_dark = bool(answer)


def _other_language(view: View) -> None:
    view.session.language = view.client.language = "pt" if view.language == "en" else "en"
    ui.navigate.reload()


def _banners(view: View) -> None:
    say = view.say
    demonstration = Text("div", say("demo.banner"), "demo")
    demonstration.props["role"] = "note"
    with box(classes="lost", role="alert") as lost:
        title = Text("strong", "")
        Text("span", say("lost.text"))

    def show() -> None:
        latest, since = view.feed.latest, view.feed.lost_since
        demonstration.set_visibility(latest is not None and bool(latest.node.demonstration_models))
        lost.set_visibility(since is not None)
        if since is not None:
            title.text = say("lost.title", time=since.astimezone().strftime("%H:%M:%S"))

    view.every_second(show)
