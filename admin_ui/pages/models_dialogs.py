"""What is read before a pack is put to work: its texts in full, and what activating it means."""

from __future__ import annotations

from functools import partial

from admin_ui.figures import size
from admin_ui.pack_calls import PackCalls
from admin_ui.parts import Column, Text, answer_of, box, button, dialog_card, facts, table
from admin_ui.shapes_packs import FileRow, PackRow, PackText
from admin_ui.view import Place, View
from admin_ui.words import known

SHOWN_FILES = 200


async def show_details(view: View, row: PackRow) -> None:
    """Everything that the maker says of a pack, and its files."""
    with dialog_card(row.pack) as dialog:
        facts(facts_of(view, row))
        Place(view, partial(PackCalls(view.client).text, row.pack), partial(_show_text, view))
        with box("div", "dialog-actions"):
            button(view.say("act.close"), partial(dialog.submit, False), "bare")
    await answer_of(dialog)


def facts_of(view: View, row: PackRow) -> list[tuple[str, str]]:
    """What a person compares before they decide."""
    say, language = view.say, view.language
    found = [
        (say("import.ability"), known(say, "ability", row.capability)),
        (say("packs.use"), row.intended_use),
        (say("packs.licence"), row.licence),
        (say("packs.size"), size(row.bytes, language)),
        (say("packs.memory"), size(row.footprint_bytes, language)),
        (say("packs.signer"), row.signed_by),
    ]
    if row.mac_only:
        found.append((say("packs.mac"), say("packs.mac_text")))
    return found


def _show_text(view: View, text: PackText) -> None:
    say = view.say
    Text("h3", say("packs.full_text"))
    Text("pre", text.licence, "legal").props["tabindex"] = "0"
    Text("h3", f"{say('packs.files')} ({len(text.files)})")
    columns = [
        Column(say("work.file"), lambda file: file.path),
        Column(say("packs.size"), lambda file: size(file.size, view.language), "number"),
        Column("SHA-256", _digest),
    ]
    with box("div", "legal"):
        table(columns, text.files[:SHOWN_FILES], say("packs.files"))


def _digest(file: FileRow) -> None:
    Text("span", f"{file.sha256[:12]}…", "mono").props["title"] = file.sha256


async def ask_activation(view: View, row: PackRow, action: str) -> bool:
    """Say what will happen and for what the model is meant; whether to go on. ``action``: ``activate`` or ``rollback``."""
    say = view.say
    title = say(f"packs.{action}_title", pack=row.pack)
    with dialog_card(title, "alertdialog") as dialog:
        Text("p", say("packs.activate_text", memory=size(row.footprint_bytes, view.language)), "muted")
        facts([(say("packs.use"), row.intended_use), (say("packs.licence"), row.licence)])
        with box("div", "dialog-actions"):
            button(say("act.cancel"), partial(dialog.submit, False), "bare")
            button(say(f"packs.{action}"), partial(dialog.submit, True), "main")
    return bool(await answer_of(dialog))
