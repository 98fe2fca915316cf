"""Model packs: what serves each ability, what else is kept, and the ways in, forth, back and out."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from admin_ui.figures import size
from admin_ui.frame import frame
from admin_ui.pack_calls import PackCalls
from admin_ui.pages.models_dialogs import ask_activation, show_details
from admin_ui.pages.models_import import build_import
from admin_ui.pages.models_work import build_work
from admin_ui.parts import Column, Text, box, button, card, chip, confirmed, table
from admin_ui.shapes_packs import Begun, PackRow, Shelf
from admin_ui.view import Place, View
from admin_ui.words import known

TONES = {"active": "ok", "previous": "plain", "standby": "plain", "trouble": "bad"}


def build(view: View) -> None:
    """Work that goes on, the shelf by ability, and import for whoever may."""
    with frame(view, "/models", view.say("nav.models"), view.say("packs.lead")):
        work_place = box("div", "place")
        shelf = _Shelf(view)
        if view.client.may("node.manage"):
            with card():
                build_import(view)
        with work_place:
            build_work(view, shelf.load)


class _Shelf:
    def __init__(self, view: View) -> None:
        self._view = view
        self._calls = PackCalls(view.client)
        self._place = Place(view, self._calls.shelf, self._show)

    async def load(self) -> None:
        """Ask again: something has changed."""
        await self._place.load()

    def _show(self, shelf: Shelf) -> None:
        say = self._view.say
        if not shelf.trusted:
            Text("div", say("packs.untrusting"), "notice")
        if shelf.paired and shelf.packs:
            Text("div", say("packs.paired"), "notice quiet")
        if not shelf.packs:
            with card():
                Text("p", say("packs.none"), "empty")
        for capability in sorted({row.capability for row in shelf.packs}):
            with card():
                self._ability(capability, [row for row in shelf.packs if row.capability == capability])
        told = [say("packs.free", free=size(shelf.free_bytes, self._view.language))]
        if shelf.trusted:
            told.append(say("packs.keys", keys=", ".join(shelf.trusted)))
        Text("p", " · ".join(told), "muted figure")

    def _ability(self, capability: str, rows: list[PackRow]) -> None:
        name = known(self._view.say, "ability", capability)
        Text("h2", name)
        self._serving(capability)
        table(self._columns(), rows, name)

    def _serving(self, capability: str) -> None:
        """What answers now, which need not be a pack; nothing for whoever may not see models."""
        say, latest = self._view.say, self._view.feed.latest
        if latest is None or latest.models is None:
            return
        ready = [one for one in latest.models if one.capability == capability and one.ready]
        with box("div", "row"):
            if not ready:
                Text("span", say("packs.serves_nothing"), "muted")
                return
            Text("span", say("packs.serves", model=ready[0].id), "muted")
            if ready[0].demonstration:
                Text("span", say("demo.chip"), "chip warn")

    def _columns(self) -> list[Column]:
        say, language = self._view.say, self._view.language
        return [
            Column(say("packs.pack"), self._name),
            Column(say("packs.state"), self._state),
            Column(say("packs.use"), lambda row: row.intended_use or "–"),
            Column(say("packs.size"), lambda row: size(row.bytes, language) if row.bytes else "–", "number"),
            Column(
                say("packs.memory"), lambda row: size(row.footprint_bytes, language) if row.bytes else "–", "number"
            ),
            Column(say("jobs.actions"), self._actions, "actions"),
        ]

    def _name(self, row: PackRow) -> None:
        say = self._view.say
        with box("div"):
            Text("strong", row.name or row.pack)
            if row.version:
                Text("div", say("packs.version", version=row.version), "muted")
                Text("div", f"{row.licence} · {say('packs.signed', signer=row.signed_by)}", "muted small")
            if row.trouble.code:
                english = self._view.language == "en"
                Text("div", row.trouble.en if english else row.trouble.pt, "bad-text")
                Text("div", row.trouble.step_en if english else row.trouble.step_pt, "advice")

    def _state(self, row: PackRow) -> None:
        with box("div", "row"):
            chip(self._view.say, row.state, prefix="pack", tone=TONES.get(row.state, ""))
            if row.trouble.code and row.state == "active":
                chip(self._view.say, "trouble", prefix="pack", tone="bad")
            if row.mac_only:
                Text("span", self._view.say("packs.mac"), "chip plain")

    def _actions(self, row: PackRow) -> None:
        say, may = self._view.say, self._view.client.may("node.manage")
        with box("div", "row"):
            if not row.trouble.code:
                button(say("packs.details"), partial(show_details, self._view, row), "bare")
            if not may:
                return
            button(say("packs.verify"), partial(self._verify, row))
            if row.state == "previous":
                button(say("packs.rollback"), partial(self._roll_back, row), "main")
            elif row.state == "standby":
                button(say("packs.activate"), partial(self._activate, row), "main")
            if row.state != "active":
                button(say("packs.remove"), partial(self._remove, row), "danger")

    async def _order(self, call: Awaitable[Begun]) -> None:
        await self._view.act(call, self._view.say("packs.begun"))

    async def _verify(self, row: PackRow) -> None:
        await self._order(self._calls.order("verify", row.pack))

    async def _activate(self, row: PackRow) -> None:
        if await ask_activation(self._view, row, "activate"):
            await self._order(self._calls.order("activate", row.pack))

    async def _roll_back(self, row: PackRow) -> None:
        if await ask_activation(self._view, row, "rollback"):
            await self._order(self._calls.roll_back(row.capability))

    async def _remove(self, row: PackRow) -> None:
        say = self._view.say
        lost = say("packs.remove_text", files=row.files, size=size(row.bytes, self._view.language))
        detail = [say("packs.remove_broken") if row.trouble.code else lost]
        if row.state == "previous":
            detail.append(say("packs.remove_previous"))
        title = say("packs.remove_title", pack=row.pack)
        if await confirmed(title, " ".join(detail), yes=say("packs.remove"), no=say("act.cancel")):
            await self._order(self._calls.order("remove", row.pack))
