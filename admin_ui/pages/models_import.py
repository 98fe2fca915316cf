"""Choosing what to import: a place of the node, folders in it, a pack, and what it would bring before anything is copied."""

from __future__ import annotations

from functools import partial

from admin_ui.figures import size
from admin_ui.pack_calls import PackCalls
from admin_ui.parts import Column, Text, box, button, chip, facts, table
from admin_ui.shapes_packs import EntryRow, Listing, Offer, PlaceList, PlaceRow
from admin_ui.view import Place, View
from admin_ui.words import known

INBOX = "inbox"


def last_part(path: str) -> str:
    """The name at the end of a path."""
    return path.rpartition("/")[2]


def build_import(view: View) -> None:
    """Closed until somebody wants it: looking at a disk may take a while."""
    _Import(view)


class _Import:
    """``_place`` and ``_path`` say where the person is; ``_chosen`` what they look at there."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._calls = PackCalls(view.client)
        self._place = self._path = self._chosen = ""
        self._spot = box("div", "place")
        self._close()

    def _close(self) -> None:
        self._place = self._path = self._chosen = ""
        self._spot.clear()
        with self._spot, box("div", "row-between"):
            with box("div", "grow"):
                Text("h2", self._view.say("import.title"))
                Text("p", self._view.say("import.lead"), "muted")
            button(self._view.say("import.begin"), partial(self._go, "", ""), "main")

    def _go(self, place: str, path: str, chosen: str = "") -> None:
        self._place, self._path, self._chosen = place, path, chosen
        self._spot.clear()
        with self._spot:
            with box("div", "row-between"):
                Text("h2", self._view.say("import.title"))
                button(self._view.say("import.cancel"), self._close, "bare")
            self._crumbs()
            if not place:
                Place(self._view, self._calls.places, self._show_places)
            elif chosen:
                Place(self._view, partial(self._calls.offer, place, chosen), self._show_offer)
            else:
                Place(self._view, partial(self._calls.listing, place, path), self._show_listing)

    def _crumbs(self) -> None:
        say = self._view.say
        with box("nav", "row crumbs", aria_label=say("import.places")):
            button(say("import.places"), partial(self._go, "", ""), "bare")
            if self._place:
                self._crumb(_place_name(self._view, self._place), "")
            walked = ""
            for part in self._path.split("/") if self._path else ():
                walked = f"{walked}/{part}" if walked else part
                self._crumb(part, walked)
            if self._chosen:
                Text("span", "›", "muted")
                Text("strong", last_part(self._chosen))

    def _crumb(self, name: str, path: str) -> None:
        Text("span", "›", "muted")
        button(name, partial(self._go, self._place, path), "bare")

    def _show_places(self, found: PlaceList) -> None:
        say = self._view.say
        columns = [
            Column(say("import.place"), self._place_cell),
            Column(say("packs.state"), self._there),
            Column(say("jobs.actions"), self._open_place, "actions"),
        ]
        table(columns, found.places, say("import.places"))

    def _place_cell(self, row: PlaceRow) -> None:
        with box("div"):
            Text("span", _place_name(self._view, row.id))
            if row.id != row.folder:
                Text("div", row.folder, "muted mono")

    def _there(self, row: PlaceRow) -> None:
        chip(self._view.say, "there" if row.there else "away", prefix="import", tone="ok" if row.there else "plain")

    def _open_place(self, row: PlaceRow) -> None:
        if row.there:
            button(self._view.say("import.open"), partial(self._go, row.id, ""))

    def _show_listing(self, found: Listing) -> None:
        say = self._view.say
        if not found.entries:
            Text("p", say("import.empty"), "empty")
            return
        columns = [
            Column(say("import.name"), lambda row: row.name),
            Column(say("import.kind"), lambda row: known(say, "entry", row.kind)),
            Column(say("packs.size"), lambda row: size(row.bytes, self._view.language) if row.bytes else "–", "number"),
            Column(say("jobs.actions"), self._open_entry, "actions"),
        ]
        table(columns, found.entries, say("import.title"))
        if not found.complete:
            Text("p", say("import.cut"), "muted")

    def _open_entry(self, row: EntryRow) -> None:
        say = self._view.say
        with box("div", "row"):
            if row.kind == "folder":
                button(say("import.open"), partial(self._go, self._place, row.path))
            else:
                button(say("import.look"), partial(self._go, self._place, self._path, row.path), "main")

    def _show_offer(self, offer: Offer) -> None:
        view, say = self._view, self._view.say
        if offer.refused.code:
            english = view.language == "en"
            with box("div", "notice", role="alert"):
                Text("strong", say("import.refused"))
                Text("p", offer.refused.en if english else offer.refused.pt)
                Text("p", offer.refused.step_en if english else offer.refused.step_pt)
        if not offer.pack:
            return
        facts(self._facts(offer))
        Text("h3", say("packs.full_text"))
        Text("pre", offer.licence, "legal").props["tabindex"] = "0"
        if not offer.refused.code:
            with box("div", "row"):
                label = say("import.resume" if offer.there_bytes else "import.go")
                button(label, self._take_in, "main")

    def _facts(self, offer: Offer) -> list[tuple[str, str]]:
        say, language = self._view.say, self._view.language
        room = say("import.room_text", needed=size(offer.needed_bytes, language), free=size(offer.free_bytes, language))
        found = [
            (say("packs.pack"), offer.pack),
            (say("import.ability"), known(say, "ability", offer.capability)),
            (say("packs.use"), offer.intended_use),
            (say("packs.size"), f"{size(offer.bytes, language)} ({offer.files} {say('packs.files').lower()})"),
            (say("packs.memory"), size(offer.footprint_bytes, language)),
            (say("packs.signer"), offer.signed_by),
            (say("import.room"), room),
        ]
        if offer.there_bytes:
            found.append((say("import.already"), size(offer.there_bytes, language)))
        if offer.mac_only:
            found.append((say("packs.mac"), say("packs.mac_text")))
        return found

    async def _take_in(self) -> None:
        call = self._calls.take_in(self._place, self._chosen)
        if await self._view.act(call, self._view.say("packs.begun")) is not None:
            self._close()


def _place_name(view: View, place: str) -> str:
    return view.say("import.inbox") if place == INBOX else place
