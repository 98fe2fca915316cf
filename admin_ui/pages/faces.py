"""Faces: how they are set up, what the threshold rests on, who is enrolled, how attempts ended. Never a picture."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from nicegui import ui

from admin_ui.figures import moment, number, span
from admin_ui.frame import frame
from admin_ui.listing import SearchableTable
from admin_ui.parts import Column, Text, answer_of, box, button, card, chip, dialog_card, facts, table
from admin_ui.shapes_faces import AttemptRow, Basis, EnrolledRow, FaceDeleted, FacePicture, FaceStanding, Rate
from admin_ui.view import Place, View
from admin_ui.words import WORDS, known

REASONS = ("asked", "left", "mistaken", "misuse", "other")
SHORT_VERSION = 12
_OK = 300


def build(view: View) -> None:
    """One question to core, and again after each deletion."""
    with frame(view, "/faces", view.say("nav.faces"), view.say("faces.lead")):
        _Faces(view)


class _Faces:
    def __init__(self, view: View) -> None:
        self._view = view
        self._place = Place(view, partial(view.client.get, "/api/admin/faces", FacePicture), self._show)

    def _show(self, found: FacePicture) -> None:
        view, say = self._view, self._view.say
        with box("div", "columns"):
            with card():
                _show_standing(view, found.standing, found.consent_version)
            with card(say("faces.basis")):
                show_basis(view, found.basis)
        with card(say("faces.enrolled")):
            self._enrolled(found.enrolled)
        with card(say("faces.attempts")):
            if found.attempts:
                table(self._attempt_columns(), found.attempts, say("faces.attempts"))
            else:
                Text("p", say("faces.no_attempts"), "empty")

    # -- who is enrolled ---------------------------------------------------------------------------------------------------
    def _enrolled(self, rows: list[EnrolledRow]) -> None:
        view, say = self._view, self._view.say
        if not rows:
            Text("p", say("faces.nobody"), "empty")
            return
        again = sum(row.again for row in rows)
        if again:
            Text("div", say("faces.again_text", count=again), "notice quiet")
        columns = [
            Column(say("faces.person"), self._person),
            Column(say("faces.state"), self._freshness),
            Column(say("faces.since"), lambda row: moment(row.person.enrolled_at, view.language)),
            Column(say("faces.consent"), self._consent),
            Column(say("faces.model_of"), lambda row: short_version(row.person.model_version), "mono"),
            Column(say("jobs.actions"), self._actions, "actions"),
        ]
        SearchableTable(
            view, columns, rows, caption=say("faces.enrolled"),
            words_of=lambda row: f"{row.person.username} {row.person.display_name}",
        )  # fmt: skip

    def _person(self, row: EnrolledRow) -> None:
        with box("div"):
            Text("span", row.person.username)
            Text("div", f"{row.person.display_name} · {known(self._view.say, 'role', row.person.role)}", "muted small")

    def _freshness(self, row: EnrolledRow) -> None:
        word = "again" if row.again else "current"
        chip(self._view.say, word, prefix="faces", tone="warn" if row.again else "ok")

    def _consent(self, row: EnrolledRow) -> str:
        say, person = self._view.say, row.person
        if not person.consent_at:
            return say("faces.no_consent")
        at = moment(person.consent_at, self._view.language)
        return say("faces.consent_of", at=at, version=person.consent_version)

    def _actions(self, row: EnrolledRow) -> None:
        with box("div", "row"):
            button(self._view.say("faces.delete"), partial(self._delete, row), "danger")

    async def _delete(self, row: EnrolledRow) -> None:
        view, user = self._view, row.person.username
        reason = await ask_reason(view, view.say("faces.delete_title", user=user))
        if not reason:
            return
        path = f"/api/users/{quote(row.person.user_id, safe='')}/face?reason={reason}"
        answer = await view.act(view.client.change("DELETE", path, FaceDeleted))
        if answer is not None:
            view.notify(view.say("faces.deleted" if answer.deleted else "faces.was_gone", user=user))
            await self._place.load()

    # -- how attempts ended ------------------------------------------------------------------------------------------------
    def _attempt_columns(self) -> list[Column]:
        view, say = self._view, self._view.say
        return [
            Column(say("faces.when"), lambda row: moment(row.at, view.language)),
            Column(say("faces.person"), lambda row: row.username),
            Column(say("faces.what"), lambda row: known(say, "faces.kind", row.kind)),
            Column(say("faces.outcome"), self._outcome),
            Column(say("audit.device"), lambda row: row.device or "–"),
        ]

    def _outcome(self, row: AttemptRow) -> None:
        say = self._view.say
        if not row.code and row.status < _OK:
            Text("span", say("faces.enrolled_ok" if row.kind == "enrol" else "faces.ok"), "chip ok")
            return
        tone = "bad" if row.status == 403 else "warn"  # noqa: PLR2004  what counts against a person
        with box("div", "row"):
            Text("span", known(say, "outcome", row.code), f"chip {tone}")


def _show_standing(view: View, standing: FaceStanding, consent_version: str) -> None:
    say = view.say
    state = "off" if not standing.enabled else "not_ready" if standing.lacks else "on"
    with box("div", "row-between"):
        Text("h2", say("faces.state"))
        chip(say, state, prefix="faces", tone={"on": "ok", "not_ready": "warn"}.get(state, "plain"))
    if not standing.enabled:
        Text("div", say("faces.off_text"), "notice quiet")
    if standing.lacks:
        Text("div", known(say, "faces.lacks", standing.lacks), "notice quiet" if not standing.enabled else "notice")
    threshold = say("faces.no_threshold") if standing.threshold is None else number(standing.threshold, view.language)
    required = ", ".join(known(say, "faces.required", name) for name in standing.required_for)
    facts(
        [
            (say("faces.model"), short_version(standing.model_version) or standing.model),
            (say("faces.threshold"), threshold),
            (say("faces.required"), required or say("faces.required_none")),
            (say("faces.holds"), span(standing.confirmed_s)),
            (
                say("faces.challenge"),
                say("faces.challenge_text", steps=standing.steps, time=span(standing.challenge_s)),
            ),
            (say("faces.consent_text"), consent_version),
        ]
    )


def show_basis(view: View, basis: Basis) -> None:
    """FAR and FRR with their intervals, or why there are none."""
    say, language = view.say, view.language
    if f"faces.basis.{basis.state}" in WORDS:
        Text("div", say(f"faces.basis.{basis.state}"), "notice quiet")
    if basis.state not in {"measured", "between"}:
        return
    rows = [
        (say("faces.measured"), moment(basis.at, language)),
        (say("faces.sample"), say("faces.sample_text", people=basis.people, pictures=basis.pictures)),
    ]
    if basis.far is not None:
        rows.append((say("faces.far"), rate(view, basis.far, basis.far_at)))
    if basis.frr is not None:
        rows.append((say("faces.frr"), rate(view, basis.frr, basis.frr_at)))
    if basis.claimed_far is not None and basis.confidence is not None:
        far, confidence = percent(basis.claimed_far, language), percent(basis.confidence, language)
        rows.append((say("faces.claim"), say("faces.claim_text", far=far, confidence=confidence)))
    with box("div", "long-facts"):
        facts(rows)
    Text("p", say("faces.caution"), "muted small")


def rate(view: View, found: Rate, at: float) -> str:
    """A rate with what it rests on."""
    language = view.language
    return view.say(
        "faces.rate", share=percent(found.share, language), errors=number(found.errors, language), pairs=number(found.pairs, language),
        low=percent(found.low, language), high=percent(found.high, language), at=number(at, language),
    )  # fmt: skip


def percent(share: float, language: str) -> str:
    """A share as people read it: two significant digits, in parts of a hundred."""
    text = f"{float(f'{100 * share:.2g}'):f}".rstrip("0").rstrip(".")
    return f"{text if language == 'en' else text.replace('.', ',')}%"


def short_version(version: str) -> str:
    """``name@sha256`` with the beginning of the hash, which is what people compare."""
    name, _, digest = version.partition("@")
    return f"{name}@{digest[:SHORT_VERSION]}" if digest else name


async def ask_reason(view: View, title: str) -> str:
    """Why; empty: rather not."""
    say = view.say
    with dialog_card(title, "alertdialog") as dialog:
        Text("p", say("faces.delete_text"))
        names = {reason: say(f"faces.reason.{reason}") for reason in REASONS}
        Text("strong", say("faces.reason"))
        chosen = ui.radio(names)
        chosen.props["aria-label"] = say("faces.reason")
        with box("div", "dialog-actions"):
            button(say("act.cancel"), partial(dialog.submit, ""), "bare")
            go = button(say("faces.delete"), lambda: dialog.submit(chosen.value or ""), "danger")
            go.disable()
        chosen.on_value_change(lambda: go.set_enabled(bool(chosen.value)))
    return str(await answer_of(dialog) or "")
