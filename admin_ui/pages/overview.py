"""The first page: is all well, what is going on, what needs a hand."""

from __future__ import annotations

from admin_ui.charts import LiveChart
from admin_ui.figures import moment, number, size, span
from admin_ui.frame import frame
from admin_ui.pages.capacity_card import capacity_card
from admin_ui.parts import Section, Text, Tile, box, card, chip, facts
from admin_ui.shapes import HealthRow, NodeFacts, Snapshot
from admin_ui.view import View
from admin_ui.words import known

GRAVITY = {"failed": 0, "degraded": 1, "not_configured": 3}


def build(view: View) -> None:
    """Tiles, charts, health with advice, capacity, facts of the node."""
    say = view.say
    with frame(view, "/", say("nav.overview")):
        _tiles(view)
        with box("section", "columns"):
            _charts(view)
        with box("div", "split"):
            with box("div", "stack"):
                with card(say("overview.health")):
                    parts = Section(lambda rows: _health(view, rows))
                capacity_card(view)
            with card(say("overview.node")):
                node = Section(lambda latest: _node(view, latest))

    def show() -> None:
        latest = view.feed.latest
        if latest is not None:
            parts.show(latest.health, tuple(latest.health))
            node.show(latest.node, (latest.node.version, int(latest.node.uptime_s) // 30, latest.node.mode))

    view.every_second(show)


def _tiles(view: View) -> None:
    say = view.say
    with box("div", "tiles"):
        state = Tile(say("overview.state"))
        queue, rate = Tile(say("overview.queue")), Tile(say("overview.rate"))
        memory, disk = Tile(say("overview.memory")), Tile(say("overview.disk"))

    def show() -> None:
        latest = view.feed.latest
        if latest is None:
            return
        fine = sum(part.status in ("ok", "not_configured") for part in latest.health)
        word, tone = verdict(latest)
        state.show(say(word), say("overview.parts", ok=fine, all=len(latest.health)), tone)
        _fill_figures(view, latest, queue, rate)
        node, language = latest.node, view.language
        memory.show(
            size(node.memory_used_bytes, language),
            say(
                "overview.memory_detail",
                free=size(node.memory_free_bytes, language),
                total=size(node.memory_total_bytes, language),
            ),
        )
        disk.show(
            size(node.disk_free_bytes, language),
            say(
                "overview.disk_detail",
                total=size(node.disk_total_bytes, language),
                database=size(node.database_bytes, language),
            ),
        )

    view.every_second(show)


def _fill_figures(view: View, latest: Snapshot, queue: Tile, rate: Tile) -> None:
    point = view.feed.history[-1]
    queue.show(number(point.waiting, view.language), view.say("overview.queue_detail", running=point.running))
    per_second = "–" if point.requests_per_s is None else number(round(point.requests_per_s, 1), view.language)
    total = number(int(latest.node.requests_total), view.language)
    rate.show(per_second, view.say("overview.rate_detail", total=total))


def verdict(latest: Snapshot) -> tuple[str, str]:
    """The worst of all parts in a word, and its colour."""
    states = {part.status for part in latest.health}
    if "failed" in states:
        return "overview.bad", "bad"
    return ("overview.look", "warn") if "degraded" in states else ("overview.all_well", "ok")


def _charts(view: View) -> None:
    say = view.say
    with card(say("overview.queue")):
        queue = LiveChart(view, (say("chart.waiting"), say("chart.running")))
    with card(say("overview.rate")):
        rate = LiveChart(view, (say("chart.rate"),))
    with card(say("chart.memory")):
        memory = LiveChart(view, (say("chart.memory"),))

    def show() -> None:
        history = list(view.feed.history)
        queue.show([(point.at, (point.waiting, point.running)) for point in history])
        rate.show([(point.at, (point.requests_per_s,)) for point in history])
        memory.show([(point.at, (point.memory_bytes / (1 << 20),)) for point in history])

    view.every_second(show)


def _health(view: View, rows: list[HealthRow]) -> None:
    with box("ul", "parts"):
        for row in sorted(rows, key=lambda one: GRAVITY.get(one.status, 2)):
            with box("li"):
                with box("div"):
                    chip(view.say, row.status)
                with box("div"):
                    Text("strong", row.name)
                    message, advice = told(row, view.language)
                    Text("p", message)
                    if advice and row.status != "ok":
                        Text("p", advice, "advice")


def told(row: HealthRow, language: str) -> tuple[str, str]:
    """The message and the advice in the reader's language, where the part has words for it."""
    if language == "en":
        return row.message, row.advice
    return row.message_pt or row.message, row.advice_pt or row.advice


def _node(view: View, node: NodeFacts) -> None:
    say = view.say
    facts(
        [
            (say("node.hospital"), node.hospital),
            (say("node.name"), node.name),
            (say("node.mode"), known(say, "mode", node.mode)),
            (say("node.phase"), known(say, "phase", node.phase)),
            (say("node.profile"), known(say, "profile", node.profile)),
            (say("node.version"), node.version),
            (say("node.uptime"), span(node.uptime_s)),
            (say("node.read_at"), moment(node.at, view.language)),
            (say("node.demonstration"), ", ".join(node.demonstration_models)),
        ]
    )
