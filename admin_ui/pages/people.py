"""People and their devices: make a person, enrol a phone by QR, revoke a device."""

from __future__ import annotations

from functools import partial

from admin_ui.figures import moment
from admin_ui.frame import frame
from admin_ui.listing import SearchableTable
from admin_ui.pages.access import ask_new_password, show_sessions
from admin_ui.pages.enrolment import show_enrolment
from admin_ui.pages.new_person import ask_new_person
from admin_ui.parts import Column, Text, box, button, card, chip, confirmed
from admin_ui.shapes import DeviceRow, UserRow
from admin_ui.view import Place, View
from admin_ui.words import known


def build(view: View) -> None:
    """People for whoever manages them, devices for whoever manages those."""
    say, may = view.say, view.client.may
    with frame(view, "/people", say("nav.people"), say("people.lead")):
        if may("user.manage"):
            with card():
                _People(view)
        if may("device.manage"):
            with card():
                _Devices(view)


class _People:
    def __init__(self, view: View) -> None:
        self._view = view
        self._place = Place(view, view.client.users, self._show)

    def _show(self, users: list[UserRow]) -> None:
        with box("div", "row-between"):
            Text("h2", self._view.say("people.users"))
            button(self._view.say("people.new"), self._new, "main")
        SearchableTable(
            self._view,
            self._columns(),
            users,
            caption=self._view.say("people.users"),
            words_of=lambda user: f"{user.username} {user.display_name} {known(self._view.say, 'role', user.role)}",
        )

    async def _new(self) -> None:
        if await ask_new_person(self._view):
            await self._place.load()

    def _columns(self) -> list[Column]:
        say = self._view.say
        return [
            Column(say("people.username"), lambda user: user.username),
            Column(say("people.name"), lambda user: user.display_name),
            Column(say("people.role"), lambda user: known(say, "role", user.role)),
            Column(say("people.since"), lambda user: moment(user.created_at, self._view.language)),
            Column(say("people.state"), self._state),
            Column(say("jobs.actions"), self._actions, "actions"),
        ]

    def _state(self, user: UserRow) -> None:
        chip(self._view.say, "blocked" if user.disabled_at else "active")

    def _actions(self, user: UserRow) -> None:
        say = self._view.say
        with box("div", "row"):
            if user.disabled_at is not None:
                button(say("people.unblock"), partial(self._unblock, user))
                return
            if self._view.client.may("device.manage"):
                button(say("people.enrol"), partial(show_enrolment, self._view, user))
            button(say("people.sessions"), partial(show_sessions, self._view, user))
            button(say("people.reset"), partial(ask_new_password, self._view, user))
            button(say("people.block"), partial(self._block, user), "danger")

    async def _block(self, user: UserRow) -> None:
        say, client = self._view.say, self._view.client
        title = say("people.block_title", user=user.username)
        if await confirmed(title, say("people.block_text"), yes=say("people.block"), no=say("act.cancel")):
            done = say("people.blocked_done", user=user.username)
            await self._view.act(client.block_user(user.id, blocked=True), done)
            await self._place.load()

    async def _unblock(self, user: UserRow) -> None:
        done = self._view.say("people.unblocked_done", user=user.username)
        await self._view.act(self._view.client.block_user(user.id, blocked=False), done)
        await self._place.load()


class _Devices:
    def __init__(self, view: View) -> None:
        self._view = view
        self._place = Place(view, self._fetch, self._show)

    async def _fetch(self) -> tuple[list[DeviceRow], dict[str, str]]:
        """Devices, and the names of their owners where this person may know them."""
        users = await self._view.client.users() if self._view.client.may("user.manage") else []
        return await self._view.client.devices(), {user.id: user.username for user in users}

    def _show(self, found: tuple[list[DeviceRow], dict[str, str]]) -> None:
        devices, names = found
        with box("div", "row-between"):
            Text("h2", self._view.say("people.devices"))
            button(self._view.say("people.enrol_shared"), partial(show_enrolment, self._view, None))
        SearchableTable(
            self._view,
            self._columns(names),
            devices,
            caption=self._view.say("people.devices"),
            words_of=lambda device: f"{device.name} {names.get(device.user_id or '', '')}",
        )

    def _columns(self, names: dict[str, str]) -> list[Column]:
        say, language = self._view.say, self._view.language

        def owner(device: DeviceRow) -> str:
            return say("people.shared") if device.user_id is None else names.get(device.user_id, device.user_id[:12])

        return [
            Column(say("people.device"), lambda device: device.name),
            Column(say("people.owner"), owner),
            Column(say("people.since"), lambda device: moment(device.enrolled_at, language)),
            Column(say("people.until"), lambda device: moment(device.not_after or "–", language)),
            Column(say("people.state"), self._state),
            Column(say("jobs.actions"), self._actions, "actions"),
        ]

    def _state(self, device: DeviceRow) -> None:
        chip(self._view.say, "revoked" if device.revoked_at else "active")

    def _actions(self, device: DeviceRow) -> None:
        if device.revoked_at is None:
            button(self._view.say("people.revoke"), partial(self._revoke, device), "danger")

    async def _revoke(self, device: DeviceRow) -> None:
        say = self._view.say
        title = say("people.revoke_title", device=device.name)
        if await confirmed(title, say("people.revoke_text"), yes=say("people.revoke"), no=say("act.cancel")):
            await self._view.act(self._view.client.revoke_device(device.id), say("people.revoked"))
            await self._place.load()
