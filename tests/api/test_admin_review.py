"""The review queue over the admin API: in order, without contents for who may not read them, decided once, recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from admin_ui import shapes_review as ours
from admin_ui.words import WORDS
from appliance.api import admin_review_shapes as core
from appliance.api.admin_review import DECISIONS
from appliance.api.admin_review_rows import Reader, author_of, key_of, patient_of
from appliance.cluster.divergence import DivergentRow, QueuedRow, settled, waiting
from appliance.cluster.review_order import Subject
from appliance.security import audit
from appliance.store.soundness import table_names
from tests.api.admin_harness import AdminApi, admin_api
from tests.fakes import split_rows

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/api/admin/review"
Clients = dict[str, httpx.AsyncClient]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AdminApi]:
    async with admin_api(tmp_path_factory.mktemp("review"), more=split_rows.routes) as node:
        await split_rows.fill(node.store)
        yield node


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(api: AdminApi) -> AsyncIterator[Clients]:
    async with api.signed_in("it") as it, api.signed_in("auditor") as auditor, api.signed_in("nurse") as nurse:
        yield {"it": it, "auditor": auditor, "nurse": nurse}


async def queue(http: httpx.AsyncClient) -> core.ReviewView:
    answer = await http.get(PATH)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=core.ReviewView)


def fields(row: core.ReviewRow) -> dict[str, core.FieldRow]:
    return {field.name: field for field in row.fields}


async def test_rows_are_told_in_the_order_of_review_with_who_when_and_whom(people: Clients) -> None:
    view = await queue(people["it"])
    told = {row.table: row for row in view.rows}
    assert [row.table for row in view.rows][-1] == "audit_event"
    assert {"care_note_version", "record_version", "care_image"} <= {row.table for row in view.rows[:3]}
    assert (view.subjects[0].subject, view.subjects[0].count) == ("clinical", 3)
    note = told["care_note_version"]
    assert (note.who, note.at, note.node, note.epoch, note.key) == (
        "ana", split_rows.WRITTEN, "mac-b", 3, "note_id=n-17, version=2",
    )  # fmt: skip
    assert (told["record_version"].patient, told["record_version"].key) == (
        "p-7",
        "type=Observation, id=o-1, version=1",
    )
    assert (told["audit_event"].who, told["audit_event"].patient) == ("ana", "p-9")
    assert (told["care_image"].complete, told["care_image"].fields) == (False, ())


async def test_what_stands_in_the_record_now_is_found_by_what_the_row_is_and_not_by_its_place(people: Clients) -> None:
    told = {row.table: row for row in (await queue(people["it"])).rows}
    assert {name: told[name].now for name in told} == {
        "care_note_version": "absent", "record_version": "same", "care_image": "unknown", "security_user": "other",
        "record_token": "unknown", "audit_event": "unknown",
    }  # fmt: skip
    resource = fields(told["record_version"])
    assert (resource["body"].kept, resource["seq"].kept) == (True, False)
    person = fields(told["security_user"])
    assert (person["disabled_at"].differs, person["disabled_at"].kept, person["role"].differs) == (True, False, False)
    assert person["disabled_at"].old == core.Cell(split_rows.WRITTEN)
    assert person["disabled_at"].fence == core.Cell()


async def test_contents_and_secrets_are_never_told_to_who_may_not_read_them(people: Clients) -> None:
    for role in ("it", "auditor"):
        text = (await people[role].get(PATH)).text
        assert split_rows.SECRET not in text
        assert "argon2id" not in text
        assert "8480-6" not in text
    told = {row.table: fields(row) for row in (await queue(people["it"])).rows}
    content = told["care_note_version"]["content"]
    assert (content.withheld, content.old) == (True, core.Cell(size=len(split_rows.SECRET)))
    assert told["audit_event"]["body"].withheld
    seen = {row.table: fields(row) for row in (await queue(people["auditor"])).rows}
    assert "p-9" in (seen["audit_event"]["body"].old or core.Cell()).text


async def test_who_may_read_the_record_would_see_it_side_by_side(api: AdminApi) -> None:
    def look(query: Any) -> list[core.ReviewRow]:
        return Reader(query, table_names(query), {"record.read"}).rows(waiting(query, 200))

    told = {row.table: fields(row) for row in await api.store.read(look)}
    assert told["care_note_version"]["content"].old == core.Cell(split_rows.SECRET)
    assert told["security_user"]["password_hash"].withheld, "nobody reads a secret"


async def test_who_looked_is_found_by_the_patient_as_auditors_ask_for_one(api: AdminApi, people: Clients) -> None:
    shown = {row.patient for row in (await queue(people["it"])).rows if row.patient}
    assert {"p-7", "p-9"} <= shown
    for patient in shown:
        asked = {"patient": patient}
        for path in ("/api/admin/audit", "/api/audit"):
            answer = await people["auditor"].get(path, params=asked)
            assert answer.status_code == 200, answer.text
            assert PATH in answer.text, (path, patient)


async def test_refusals_say_why(people: Clients) -> None:
    view = await queue(people["it"])
    note = next(row.id for row in view.rows if row.table == "care_note_version")
    for body, status, code in (
        ({"ids": [note], "decision": "again"}, 422, "review.note"),
        ({"ids": [note], "decision": "merge"}, 422, "invalid"),
        ({"ids": [], "decision": "again"}, 422, "invalid"),
        ({"ids": [note, note], "decision": "again", "note": "x"}, 422, "invalid"),
        ({"ids": [note], "decision": "again", "note": "x" * 201}, 422, "invalid"),
        ({"ids": [note, "nothing"], "decision": "again", "note": "Dra. Ana"}, 404, "not_found"),
    ):
        answer = await people["it"].post(f"{PATH}/decide", json=body)
        assert answer.status_code == status, body
        assert code in answer.json()["code"], body
    assert (await people["auditor"].post(f"{PATH}/decide", json={})).status_code == 403
    assert (await people["nurse"].get(PATH)).status_code == 403
    assert (await queue(people["it"])).count == view.count, "all of them or none"


async def test_a_decision_is_noted_once_with_who_and_is_in_the_audit_log(tmp_path: Path) -> None:
    async with admin_api(tmp_path, more=split_rows.routes) as api, api.signed_in("it") as http:
        await split_rows.fill(api.store)
        before = await queue(http)
        chosen = [row.id for row in before.rows if row.table in ("record_version", "record_token")]
        body = {"ids": chosen, "decision": "already", "note": "  Dra. Ana   conferiu "}
        for _ in range(2):
            answer = await http.post(f"{PATH}/decide", json=body, headers={"Idempotency-Key": "decide-once"})
            assert (answer.status_code, answer.json()) == (200, {"count": 2})
        after = await queue(http)
        assert (after.count, len(after.rows)) == (before.count - 2, len(before.rows) - 2)
        assert {(one.table, one.decision, one.note, one.decided_by) for one in after.decided} == {
            ("record_version", "already", "Dra. Ana conferiu", "it"), ("record_token", "already", "Dra. Ana conferiu", "it"),
        }  # fmt: skip
        assert (await http.post(f"{PATH}/decide", json=body)).status_code == 404
        kept = await api.store.read(lambda q: settled(q, 10))
        log = await api.store.read(lambda q: audit.read_events(q, limit=200))
    assert {one.resolution for one in kept} == {"already: Dra. Ana conferiu"}
    told = [row.event for row in log if row.event.route == f"{PATH}/decide"]
    assert {(one.action, one.resource, one.patient, one.status) for one in told} == {
        ("node.manage", "cluster_divergence", "Patient/p-7", 200), ("node.manage", "cluster_divergence", "Patient/p-7", 404),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "old", "author", "patient"),
    [
        ("care_note", {"author": "u-1", "signed_by": "u-2", "patient_id": "p-1"}, "u-2", "p-1"),
        ("record_version", {"type": "Patient", "id": "p-2", "body": ""}, "", "p-2"),
        ("record_version", {"type": "Media", "id": "m", "body": '{"subject":{"reference":"Group/1"}}'}, "", ""),
        ("record_version", {"type": "Media", "id": "m", "body": "[1]"}, "", ""),
        ("audit_event", {"seq": 1, "body": "no json"}, "", ""),
        ("care_ai_switch", {"scope": "patient", "subject": "p-3", "changed_by": "u-3"}, "u-3", "p-3"),
        ("care_ai_switch", {"scope": "hospital", "subject": "", "changed_by": "u-3"}, "u-3", ""),
    ],
)
async def test_who_and_whom_are_read_from_the_row(table: str, old: dict[str, Any], author: str, patient: str) -> None:
    one = QueuedRow("x", "mac-b", 3, DivergentRow(table, {"id": "k"}, "added", old, None), "")
    assert (author_of(one), patient_of(one)) == (author, patient)


async def test_of_a_table_that_nobody_knows_a_key_is_told_only_where_it_is_an_id() -> None:
    def keyed(table: str) -> QueuedRow:
        return QueuedRow("x", "b", 1, DivergentRow(table, {"id": "7", "state": "grave"}, "removed", None, None), "")

    assert (key_of(keyed("some_plugin")), key_of(keyed("care_note"))) == ("id=7", "id=7, state=grave")


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (ours.Cell, core.Cell),
        (ours.FieldRow, core.FieldRow),
        (ours.ReviewRow, core.ReviewRow),
        (ours.DecidedRow, core.DecidedRow),
        (ours.SubjectCount, core.SubjectCount),
        (ours.ReviewPicture, core.ReviewView),
        (ours.DecidedCount, core.DecidedCount),
    ],
    ids=lambda shape: shape.__name__,
)
async def test_core_says_every_field_that_the_dashboard_reads(mine: type, theirs: type) -> None:
    read = {field.encode_name for field in msgspec.structs.fields(mine)}
    assert read <= {field.encode_name for field in msgspec.structs.fields(theirs)}


async def test_every_word_that_core_says_has_a_translation() -> None:
    for decision in DECISIONS:
        assert {f"decision.{decision}", f"decision.{decision}.text"} <= WORDS.keys()
    for subject in Subject:
        assert f"review.subject.{subject.name.lower()}" in WORDS
    for word in ("same", "other", "absent", "unknown"):
        assert f"review.now.{word}" in WORDS
    for kind in ("added", "changed", "removed"):
        assert f"review.kind.{kind}" in WORDS
