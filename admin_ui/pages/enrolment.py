"""Enrolling a phone: a one-time QR with the time that is left."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import segno
from nicegui import ui

from admin_ui.figures import span
from admin_ui.parts import Text, answer_of, box, button, dialog_card
from admin_ui.shapes import EnrolmentCode, UserRow
from admin_ui.view import View


async def show_enrolment(view: View, user: UserRow | None) -> None:
    """Ask core for a code and show it until the dialog is closed; ``user`` None: a device that many share."""
    code = await view.act(view.client.enrolment_code(user.id if user else None))
    if code is None:
        return
    title = view.say("enrol.title", user=user.username) if user else view.say("enrol.title_shared")
    with dialog_card(title) as dialog:
        _Invitation(view, user, code, dialog)
    await answer_of(dialog)


class _Invitation:
    """What the dialog holds; counts down and offers another code once this one is worthless."""

    def __init__(self, view: View, user: UserRow | None, code: EnrolmentCode, dialog: ui.dialog) -> None:
        self._view = view
        self._user = user
        say = view.say
        with box("ol", "steps"):
            for step in ("enrol.step1", "enrol.step2", "enrol.step3"):
                Text("li", say(step))
        self._place = box("div", "column-centre")
        with box("div", "dialog-actions"):
            self._again = button(say("enrol.again"), self._renew)
            button(say("act.close"), dialog.close, "bare")
        self._show(code)
        ui.timer(1.0, self._count_down)

    def _show(self, code: EnrolmentCode) -> None:
        say = self._view.say
        self._expired = False
        self._expires_at = datetime.fromisoformat(code.expires_at)
        self._place.clear()
        with self._place:
            with box("div", "qr", role="img", aria_label=say("enrol.alt")):
                ui.html(qr_svg(code.uri), sanitize=False)
            Text("p", say("enrol.code"), "muted")
            Text("p", code.code, "mono code")
            self._left = Text("p", "", "figure")
            self._left.props["role"] = "timer"
        self._count_down()

    def _count_down(self) -> None:
        left = (self._expires_at - datetime.now(UTC)).total_seconds()
        self._again.set_visibility(left <= 0)
        if left > 0:
            self._left.text = self._view.say("enrol.left", time=span(left))
        elif not self._expired:
            self._expired = True
            self._place.clear()
            with self._place:
                Text("p", self._view.say("enrol.expired"), "notice").props["role"] = "alert"

    async def _renew(self) -> None:
        code = await self._view.act(self._view.client.enrolment_code(self._user.id if self._user else None))
        if code is not None:
            self._show(code)


def qr_svg(content: str) -> str:
    """``content`` as a QR code (ISO/IEC 18004, error correction M), dark on white with the quiet zone of 4 modules."""
    out = io.BytesIO()
    segno.make(content, error="m", micro=False).save(
        out, kind="svg", xmldecl=False, svgns=False, scale=6, border=4, omitsize=True
    )
    return out.getvalue().decode()
