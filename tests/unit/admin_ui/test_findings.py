"""Doctor's findings in the order in which people look: no browser is needed for that."""

from __future__ import annotations

import msgspec
import pytest

from admin_ui import shapes_doctor as ours
from admin_ui.findings import CALLING, KINDS, TONES, chosen, counted, kind_of
from admin_ui.shapes_doctor import FindingRow
from admin_ui.words import WORDS
from appliance.operations.doctor import model, rounds, run
from appliance.operations.doctor.checks import CHECKS
from appliance.operations.doctor.model import COMMON


def row(name: str, status: str, step: str = "", **more: str) -> FindingRow:
    words = {"title_pt": name, "title_en": name, "cause_pt": "", "cause_en": "", "step_pt": step, "step_en": step}
    return FindingRow(id=name, verdict="v", status=status, group="home", **(words | more))


ROWS = [
    row("a", "ok"),
    row("b", "skipped"),
    row("c", "skipped", "sudo"),
    row("d", "warning"),
    row("e", "failed", cause_pt="Relógio à deriva"),
    row("f", "failed"),
    row("g", "exploded"),
]


def test_failures_come_first_and_within_a_kind_the_order_of_repair_stays() -> None:
    assert [one.id for one in chosen(ROWS, KINDS, "")] == ["e", "f", "d", "c", "g", "a", "b"]
    assert [one.id for one in chosen(ROWS, CALLING, "")] == ["e", "f", "d", "c", "g"]
    assert chosen(ROWS, (), "") == []


@pytest.mark.parametrize("typed", ["relogio", "  RELÓGIO ", "à deriva", "e"])
def test_a_search_forgives_case_and_accents(typed: str) -> None:
    assert "e" in [one.id for one in chosen(ROWS, KINDS, typed)]
    assert chosen(ROWS, {"ok"}, "relogio") == []


def test_every_kind_is_counted_and_what_is_not_understood_is_never_well() -> None:
    assert counted(ROWS) == {"failed": 2, "warning": 1, "unseen": 2, "ok": 1, "elsewhere": 1}
    assert counted([]) == dict.fromkeys(KINDS, 0)
    assert kind_of(ROWS[-1]) == "unseen"


def test_every_verdict_of_doctor_that_was_skipped_is_told_apart_by_its_step() -> None:
    unseen = {one.name for one in COMMON if one.status == "skipped" and one.en[1]}
    assert unseen == {"hidden", "stopped", "unread", "untold"}
    skipped = [one for check in CHECKS for one in check.verdicts.values() if one.status == "skipped"]
    assert {one.name for one in skipped if one.en[1]} == {"unasked"}
    assert all(bool(one.pt[1]) == bool(one.en[1]) for one in skipped)


def test_every_kind_has_its_words_and_colour() -> None:
    for kind in KINDS:
        assert {f"finding.{kind}", f"findings.{kind}"} <= WORDS.keys()
        assert kind in TONES


@pytest.mark.parametrize(
    ("mine", "core"),
    [
        (ours.FindingRow, model.Finding),
        (ours.DoctorReport, run.Report),
        (ours.DoctorRound, rounds.Round),
        (ours.DoctorPicture, rounds.DoctorView),
        (ours.RawRound, rounds.Round),
        (ours.RawPicture, rounds.DoctorView),
    ],
    ids=lambda shape: shape.__name__,
)
def test_core_says_every_field_that_the_dashboard_reads(mine: type, core: type) -> None:
    read = {field.encode_name for field in msgspec.structs.fields(mine)}
    assert read <= {field.encode_name for field in msgspec.structs.fields(core)}
