"""The pair: who serves since when, whether the other Mac has everything, what happened, and the operator's commands."""

from __future__ import annotations

from typing import Final

from nicegui import ui

from admin_ui.client import SignedOutError
from admin_ui.figures import moment, number
from admin_ui.frame import frame
from admin_ui.link import CoreRefusedError, CoreUnreachableError
from admin_ui.pages.cluster_actions import build_actions
from admin_ui.parts import Section, Text, Tile, box, card, chip, facts
from admin_ui.shapes_cluster import ActionRow, ClusterPicture, ComputesRow, DrillRow, EventRow, PositionRow, ReasonRow
from admin_ui.view import View
from admin_ui.words import WORDS, known

PERIOD_S: Final = 2.0
MAJORITY: Final = 2
LATE_S: Final = 1.0
TONES: Final = {"paired": "ok", "single": "", "degraded": "warn", "read-only": "bad"}
EVENT_TONES: Final = {
    "promoted": "ok",
    "following": "ok",
    "drill": "ok",
    "drill_postponed": "warn",
    "drill_given_up": "warn",
    "drill_failed": "bad",
    "set_aside": "warn",
    "counted_lost": "warn",
    "sick": "warn",
    "handover_failed": "warn",
    "lease_lost": "bad",
    "promotion_failed": "bad",
    "promoted_with_loss": "bad",
    "sick_alone": "bad",
}


def build(view: View) -> None:
    """Everything follows one question to core every two seconds."""
    with frame(view, "/cluster", view.say("nav.cluster"), view.say("cluster.lead")):
        page = _Page(view)
    ui.timer(PERIOD_S, page.ask, immediate=True)


class _Page:
    """The parts of the page; each is built anew only when what it shows has changed."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._trouble = Section(self._build_trouble)
        self._question = Section(self._build_question)
        with box("div", "tiles") as self._tiles:
            words = ("leader", "mode", "lag", "voters")
            self._tile = {word: Tile(view.say(f"cluster.{word}")) for word in words}
        with box("div", "split") as self._rest:
            with card(view.say("cluster.timeline")):
                self._timeline = Section(self._build_timeline)
            with box("div", "place"):
                with card(view.say("cluster.nodes"), "halves"):
                    self._facts = Section(self._build_facts)
                if view.client.may("node.manage"):
                    with card(view.say("cluster.actions")):
                        self._actions = Section(lambda actions: build_actions(view, actions, self.ask))

    async def ask(self) -> None:
        """Ask core and show the answer; without one, say so and keep what was seen last."""
        try:
            pair = await self._view.client.pair()
        except SignedOutError:
            self._view.feed.signed_out = True
        except (CoreRefusedError, CoreUnreachableError) as error:
            told = self._view.sentence(error)
            self._trouble.show(told, told)
        else:
            self._tiles.set_visibility(pair.status is not None)
            self._rest.set_visibility(pair.status is not None)
            told = "" if pair.status is not None else self._view.say("cluster.single")
            self._trouble.show(told, told)
            if pair.status is not None:
                self._show(pair.status, pair.actions)

    def _show(self, picture: ClusterPicture, actions: tuple[ActionRow, ...]) -> None:
        self._question.show(picture, picture.prompt)
        self._fill_tiles(picture)
        self._timeline.show(picture.events, picture.events)
        shown = (
            picture.own, picture.peer_held, picture.role, picture.in_sync, picture.reason, picture.vip, picture.drill,
            picture.computes,
        )  # fmt: skip
        self._facts.show(picture, shown)
        if self._view.client.may("node.manage"):
            self._actions.show(actions, actions)

    def _build_trouble(self, told: str) -> None:
        if told:
            Text("div", told, "notice quiet").props["role"] = "status"

    def _build_question(self, picture: ClusterPicture) -> None:
        if picture.prompt is None:
            return
        say, key = self._view.say, f"cluster.ask.{picture.prompt}"
        with box("section", "notice", role="alert"):
            Text("h2", say("cluster.asked"))
            told = picture.prompt_en if self._view.language == "en" else picture.prompt_pt
            Text("p", say(key) if key in WORDS else told or say("cluster.ask.other", code=picture.prompt))

    def _fill_tiles(self, picture: ClusterPicture) -> None:
        say, language, tile = self._view.say, self._view.language, self._tile
        if picture.leader is None:
            tile["leader"].show(say("cluster.nobody"), say("cluster.nobody_detail"), "bad")
        else:
            since = moment(picture.leader_since or "–", language)
            tile["leader"].show(picture.leader, say("cluster.since", time=since, epoch=picture.epoch))
        alone = picture.unreplicated_rows
        left = say("cluster.rows_alone", count=number(alone, language)) if alone else say("cluster.rows_none")
        tile["mode"].show(
            known(say, "mode", picture.mode),
            left if picture.mode in ("paired", "degraded") else "",
            TONES.get(picture.mode, ""),
        )
        healthy, total = picture.voters
        enough = healthy >= MAJORITY and total > MAJORITY
        told = say("cluster.voters_detail") if enough else say("cluster.voters_few")
        tile["voters"].show(
            f"{healthy}/{total}", told, "" if enough and healthy == total else "warn" if enough else "bad"
        )
        self._fill_lag(picture, tile["lag"])

    def _fill_lag(self, picture: ClusterPicture, tile: Tile) -> None:
        say, language = self._view.say, self._view.language
        detail = (
            "" if picture.lag_txids is None else say("cluster.lag_detail", count=number(picture.lag_txids, language))
        )
        if picture.lag_s is None:
            tile.show(say("cluster.unknown"), detail, "warn")
            return
        late = picture.lag_s > LATE_S
        tile.show(
            say("cluster.seconds", seconds=number(round(picture.lag_s, 2), language)), detail, "warn" if late else "ok"
        )

    def _build_facts(self, picture: ClusterPicture) -> None:
        say = self._view.say
        unknown = say("cluster.unknown")
        vip = unknown if picture.vip is None else say("cluster.vip_yes" if picture.vip else "cluster.vip_no")
        facts(
            [
                (say("cluster.this_node"), picture.node),
                (say("cluster.role"), known(say, "cluster.role", picture.role)),
                (say("cluster.peer"), picture.peer),
                (say("cluster.own"), self._position(picture.own)),
                (say("cluster.peer_held"), self._position(picture.peer_held)),
                (say("cluster.in_sync"), picture.in_sync or say("cluster.in_sync_none")),
                *([(say("cluster.reason"), self._reason(picture.reason))] if picture.reason else []),
                (say("cluster.vip"), vip),
                (say("cluster.last_drill"), self._drill(picture.drill)),
                *([(say("cluster.computes"), self._computes(picture.computes))] if picture.computes else []),
            ]
        )

    def _computes(self, computes: ComputesRow) -> str:
        return computes.en if self._view.language == "en" else computes.pt

    def _reason(self, reason: ReasonRow) -> str:
        say, language = self._view.say, self._view.language
        told = reason.en if language == "en" else reason.pt
        if reason.since is None:
            return told
        return say("cluster.reason_since", reason=told, time=moment(reason.since, language))

    def _drill(self, drill: DrillRow | None) -> str:
        say, language = self._view.say, self._view.language
        if drill is None:
            return say("cluster.never")
        by = say("cluster.drill_by", by=drill.by) if drill.by else ""
        time = moment(drill.at, language)
        if not drill.ok:
            return say("cluster.drill_failed", time=time, by=by)
        seconds = number(round(drill.outage_s, 2), language)
        return say("cluster.drill_ok", time=time, by=by, before=drill.before, after=drill.after, seconds=seconds)

    def _position(self, position: PositionRow | None) -> str:
        if position is None:
            return self._view.say("cluster.unknown")
        return self._view.say("cluster.position", epoch=position.epoch, txid=number(position.txid, self._view.language))

    def _build_timeline(self, events: tuple[EventRow, ...]) -> None:
        if not events:
            Text("p", self._view.say("cluster.no_events"), "empty")
            return
        with box("ol", "parts timeline"):
            for event in sorted(events, key=lambda one: one.at, reverse=True):
                with box("li"):
                    with box("div"):
                        Text("time", moment(event.at, self._view.language), "muted figure").props["datetime"] = event.at
                        chip(self._view.say, event.node, tone=EVENT_TONES.get(event.kind, ""))
                    Text("p", event.sentence_en if self._view.language == "en" else event.sentence_pt)
