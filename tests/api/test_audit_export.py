"""An auditor asks who saw what, takes the answer away as a file, and checks it with the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.daemon.cli import main
from appliance.plugin_api.storage import Transaction
from appliance.security import audit
from appliance.security.audit import AuditEvent
from tests.api.admin_harness import AdminApi, admin_api


async def some_accesses(api: AdminApi) -> str:
    """Three days of a nurse and one of somebody else; the nurse's id."""
    nurse = await api.identity.create_user("rui", "nurse", None, "Rui")

    def change(tx: Transaction) -> None:
        for day in (1, 2, 3):
            for patient in ("Patient/12", "Patient/13"):
                at = f"2026-03-0{day}T10:00:00.000Z"
                audit.append(tx, AuditEvent(at=at, action="record.read", user_id=nurse.id, patient=patient, status=200))
        audit.append(
            tx, AuditEvent(at="2026-03-02T11:00:00.000Z", action="record.read", user_id="u9", patient="Patient/12")
        )

    await api.store.write(change)
    return nurse.id


async def test_the_answer_is_found_exported_and_proven_on_another_machine(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api:
        nurse = await some_accesses(api)
        async with api.signed_in("auditor") as http:
            query = "patient=12&user=rui&from=2026-03-02&to=2026-03-03"
            rows = (await http.get(f"/api/admin/audit?{query}")).json()
            assert [(row["user"], row["patient"], row["at"][:10]) for row in rows] == [
                ("rui", "Patient/12", "2026-03-02")
            ]
            answer = await http.get(f"/api/audit/export?{query}")
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith('attachment; filename="prontuario-audit-')
        made = answer.json()
        assert (made["made_by"], made["complete"], made["check"]["ok"], len(made["events"])) == (
            "auditor",
            True,
            True,
            1,
        )
        assert made["names"] == {nurse: "rui (nurse)"}
        log = await api.store.read(lambda q: audit.read_events(q, limit=3))
        assert ("audit/export", "Patient/12") in {(row.event.resource, row.event.patient) for row in log}
    file = tmp_path / "export.json"
    file.write_bytes(answer.content)
    done = CliRunner().invoke(main, ["audit", "verify", str(file), "--key", made["head"]["key_id"]])
    assert done.exit_code == 0, done.output
    assert "not changed since" in done.output
    file.write_bytes(answer.content.replace(b"Patient/12", b"Patient/13"))
    forged = CliRunner().invoke(main, ["audit", "verify", str(file)])
    assert forged.exit_code == 5
    assert "PROBLEM" in forged.output


async def test_a_long_answer_is_continued(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api:
        await some_accesses(api)
        async with api.signed_in("auditor") as http:
            first = (await http.get("/api/audit/export?patient=Patient/12&limit=3")).json()
            assert (first["complete"], len(first["events"])) == (False, 3)
            before = first["events"][-1]["seq"]
            rest = (await http.get(f"/api/audit/export?patient=Patient/12&limit=3&before={before}")).json()
            assert (rest["complete"], len(rest["events"])) == (True, 1)


@pytest.mark.parametrize("query", ["from=ontem", "to=2026-13-01", "before=x", "limit=0"])
async def test_a_question_that_makes_no_sense_names_its_field(tmp_path: Path, query: str) -> None:
    async with admin_api(tmp_path) as api, api.signed_in("auditor") as http:
        answer = await http.get(f"/api/audit/export?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert answer.json()["field"] == query.split("=", maxsplit=1)[0]


async def test_only_an_auditor_takes_the_log_away(tmp_path: Path) -> None:
    async with admin_api(tmp_path) as api:
        for role in ("admin", "it", "physician"):
            async with api.signed_in(role) as http:
                assert (await http.get("/api/audit/export")).status_code == 403
