"""The form for a new person."""

from __future__ import annotations

from typing import Final

from nicegui import ui

from admin_ui.parts import answer_of, box, button, dialog_card
from admin_ui.view import View
from admin_ui.words import known

ROLES: Final = ("physician", "nurse", "auditor", "admin", "it")
PASSWORD_LENGTH: Final = 12


async def ask_new_person(view: View) -> bool:
    """Show the form until the person is made or the form is closed; whether somebody was made."""
    say = view.say
    with dialog_card(say("people.new")) as dialog:
        name = ui.input(say("people.name")).props("outlined autofocus")
        username = ui.input(say("people.username")).props("outlined autocomplete=off")
        roles = {role: known(say, "role", role) for role in ROLES}
        role = ui.select(roles, label=say("people.role"), value="physician").props("outlined options-dense")
        rule = {say("people.password_hint"): lambda text: len(text or "") >= PASSWORD_LENGTH}
        password = ui.input(say("people.password"), password=True, validation=rule)
        password.props("outlined autocomplete=new-password")

        async def create() -> None:
            """Core has the last word on every field; its sentence is shown and the form stays."""
            if not password.validate():
                return
            call = view.client.create_user(username.value, name.value or username.value, role.value, password.value)
            if await view.act(call, say("people.created", user=username.value)) is not None:
                dialog.submit(True)

        with box("div", "dialog-actions"):
            button(say("act.cancel"), dialog.close, "bare")
            button(say("people.create"), create, "main")
    return bool(await answer_of(dialog))
