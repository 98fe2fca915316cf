"""The editor of one note template. Core has the last word on the text; its sentence names the line and stays on the page."""

from __future__ import annotations

from functools import partial
from typing import Final, TypeVar
from urllib.parse import quote

from nicegui import ui

from admin_ui.client import SignedOutError
from admin_ui.link import CoreRefusedError, CoreUnreachableError
from admin_ui.parts import Text, answer_of, box, button, dialog_card
from admin_ui.shapes_notes import TemplateCheck, TemplateHistory, TemplateText, TemplateVersionRow
from admin_ui.view import View

PATH: Final = "/api/hospital/note-templates"
CHECK: Final = "/api/note-templates/check"
MOST_VERSIONS: Final = 12
T = TypeVar("T")


async def new_name(view: View) -> str:
    """Ask what a new template is called; empty when the form was closed. Core judges the name when it is kept."""
    say = view.say
    with dialog_card(say("templates.new")) as dialog:
        name = ui.input(say("templates.name")).props("outlined autofocus autocomplete=off")
        Text("p", say("templates.new_hint"), "muted")
        with box("div", "dialog-actions"):
            button(say("act.cancel"), dialog.close, "bare")
            button(say("templates.edit"), lambda: dialog.submit((name.value or "").strip()), "main")
    return str(await answer_of(dialog) or "")


async def edit_template(view: View, name: str, *, like: str = "") -> bool:
    """Show the editor until the text is kept or the form is closed; whether it was kept. ``like``: begin with that one's text."""
    found = await view.act(view.client.get(f"{PATH}/{quote(like or name, safe='')}", TemplateText))
    history = (
        None if like else await view.act(view.client.get(f"{PATH}/{quote(name, safe='')}/versions", TemplateHistory))
    )
    if found is None:
        return False
    with dialog_card(view.say("templates.edit_title", name=name)) as dialog:
        dialog.props("full-width")
        shown = TemplateText(name, found.title, 0, found.source, found.text) if like else found
        _Editor(view, dialog, shown, history.versions if history else [])
    return bool(await answer_of(dialog))


class _Editor:
    """``shown`` is what the person begins with; core refuses to put another version over that one unseen."""

    def __init__(self, view: View, dialog: ui.dialog, shown: TemplateText, history: list[TemplateVersionRow]) -> None:
        self._view, self._dialog, self._name, self._seen = view, dialog, shown.name, shown.version
        say, may = view.say, view.client.may("node.manage")
        self._text = ui.textarea(say("templates.text"), value=shown.text)
        self._text.props(f"outlined {'' if may else 'readonly'}").props["input-class"] = "mono"
        self._text.props["rows"] = "18"
        self._text.props["spellcheck"] = "false"
        self._told = box("div", "place")
        if may and (earlier := [one for one in history if one.text is not None and one.text != shown.text]):
            Text("p", say("templates.history"), "muted")
            with box("div", "row"):
                for one in earlier[-MOST_VERSIONS:]:
                    button(say("templates.load", version=one.version), partial(self._load, one.text or ""))
        with box("div", "dialog-actions"):
            button(say("act.cancel" if may else "act.close"), dialog.close, "bare")
            if may:
                button(say("templates.check"), self._check)
                button(say("templates.keep"), self._keep, "main")

    def _load(self, text: str) -> None:
        self._text.value = text
        self._told.clear()

    async def _check(self) -> None:
        found = await self._asked("POST", CHECK, TemplateCheck)
        if found is not None:
            titles = ", ".join(heading.title for heading in found.headings)
            self._tell(self._view.say("templates.fine", titles=titles), "notice quiet")

    async def _keep(self) -> None:
        kept = await self._asked("PUT", f"{PATH}/{quote(self._name, safe='')}", TemplateText, self._seen)
        if kept is not None:
            self._view.notify(self._view.say("templates.kept", name=self._name))
            self._dialog.submit(True)

    async def _asked(self, method: str, path: str, shape: type[T], seen: int | None = None) -> T | None:
        """What core says of the text; a refusal stays beside it, for its line is looked up while correcting."""
        try:
            return await self._view.client.change(method, path, shape, {"text": self._text.value or ""}, seen=seen)
        except SignedOutError:
            self._view.feed.signed_out = True
        except (CoreRefusedError, CoreUnreachableError) as error:
            self._tell(self._view.sentence(error), "notice")
        return None

    def _tell(self, sentence: str, look: str) -> None:
        self._told.clear()
        with self._told, box("div", look, role="alert"):
            Text("p", sentence)
