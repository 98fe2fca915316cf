"""A person's way in: a new password, and the sessions that are open."""

from __future__ import annotations

from functools import partial

from nicegui import ui

from admin_ui.figures import moment
from admin_ui.pages.new_person import PASSWORD_LENGTH
from admin_ui.parts import Column, Text, answer_of, box, button, dialog_card, table
from admin_ui.shapes import SessionRow, UserRow
from admin_ui.view import Place, View


async def ask_new_password(view: View, user: UserRow) -> None:
    """Show the form until core has taken the password or the form is closed."""
    say = view.say
    with dialog_card(say("people.reset_title", user=user.username)) as dialog:
        Text("p", say("people.reset_text"), "muted")
        rule = {say("people.password_hint"): lambda text: len(text or "") >= PASSWORD_LENGTH}
        password = ui.input(say("people.reset_field"), password=True, password_toggle_button=True, validation=rule)
        password.props("outlined autocomplete=new-password")

        async def reset() -> None:
            """Core has the last word; its sentence is shown and the form stays."""
            if not password.validate():
                return
            done = say("people.reset_done", user=user.username)
            if await view.act(_reset(view, user, password.value), done):
                dialog.submit(True)

        with box("div", "dialog-actions"):
            button(say("act.cancel"), dialog.close, "bare")
            button(say("people.reset"), reset, "main")
    await answer_of(dialog)


async def _reset(view: View, user: UserRow, password: str) -> bool:
    await view.client.reset_password(user.id, password)
    return True


async def show_sessions(view: View, user: UserRow) -> None:
    """List a person's open sessions until the dialog is closed; end one of them, or all."""
    say = view.say
    with dialog_card(say("people.sessions_title", user=user.username)) as dialog:
        sessions = _Sessions(view, user)
        with box("div", "dialog-actions"):
            button(say("people.sessions_end_all"), sessions.end_all, "danger")
            button(say("act.close"), dialog.close, "bare")
    await answer_of(dialog)


class _Sessions:
    def __init__(self, view: View, user: UserRow) -> None:
        self._view = view
        self._user = user
        self._devices: dict[str, str] = {}
        self._place = Place(view, self._fetch, self._show)

    async def _fetch(self) -> list[SessionRow]:
        """The sessions; their devices have names for those who may know them."""
        client = self._view.client
        if client.may("device.manage"):
            self._devices = {device.id: device.name for device in await client.devices()}
        return await client.sessions(self._user.id)

    def _show(self, rows: list[SessionRow]) -> None:
        say = self._view.say
        if not rows:
            Text("p", say("people.sessions_none"), "empty")
            return
        columns = [
            Column(say("people.since"), lambda row: moment(row.created_at, self._view.language)),
            Column(say("people.device"), lambda row: self._devices.get(row.device_id, row.device_id[:12])),
            Column(say("jobs.actions"), self._actions, "actions"),
        ]
        table(columns, rows, say("people.sessions"))

    def _actions(self, row: SessionRow) -> None:
        with box("div", "row"):
            button(self._view.say("people.session_end"), partial(self._end, row), "danger")

    async def _end(self, row: SessionRow) -> None:
        await self._view.act(self._view.client.end_session(row.id), self._view.say("people.session_ended"))
        await self._place.load()

    async def end_all(self) -> None:
        """End every session of the person."""
        count = await self._view.act(self._view.client.end_sessions(self._user.id))
        if count is not None:
            self._view.notify(self._view.say("people.sessions_ended", count=count))
        await self._place.load()
