from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from appliance.api.admin_live import LivePicture
from appliance.api.admin_node import NodeProbe, measure, resident_bytes
from appliance.api.admin_shapes import AccessRow, JobList, Snapshot
from appliance.api.admin_sources import AdminSources
from appliance.config.model import Config, Paths
from appliance.plugin_api.errors import UNAVAILABLE
from appliance.plugin_api.storage import Transaction
from appliance.security.policy import ROLES
from appliance.store import jobs
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.health import HealthRegistry
from tests.api.admin_harness import QUARANTINE, AdminApi, admin_api

ALL_READS = {
    "/api/admin/node": "node.read",
    "/api/admin/engines": "node.read",
    "/api/admin/queue": "node.read",
    "/api/admin/health": "node.read",
    "/api/admin/snapshot": "node.read",
    "/api/admin/plugins": "plugin.read",
    "/api/admin/models": "model.read",
    "/api/admin/jobs": "job.read",
    "/api/admin/audit": "audit.read",
    "/api/admin/cluster": "node.read",
}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[AdminApi]:
    async with admin_api(tmp_path) as serving:
        yield serving


def bury(tx: Transaction, kind: str) -> str:
    """A job that has failed for good."""
    job_id = jobs.enqueue(tx, kind, {"dictation": "Maria de Souza"})
    tx.execute("UPDATE store_job SET state = 'dead', attempt = 8, error = 'engine.died' WHERE id = ?", (job_id,))
    return job_id


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_every_read_obeys_the_role(api: AdminApi, role: str) -> None:
    async with api.signed_in(role) as http:
        answers = {path: (await http.get(path)).status_code for path in ALL_READS}
    assert answers == {path: 200 if need in ROLES[role] else 403 for path, need in ALL_READS.items()}


async def test_nothing_is_shown_without_a_token(api: AdminApi) -> None:
    async with httpx.AsyncClient(base_url=api.url, verify=api.tls(), timeout=60) as http:
        assert {(await http.get(path)).status_code for path in [*ALL_READS, "/api/admin/events"]} == {401}


async def test_a_snapshot_has_what_the_administrator_may_see(api: AdminApi) -> None:
    await api.store.write(lambda tx: bury(tx, "care.transcribe"))
    async with api.signed_in("admin") as http:
        seen = msgspec.json.decode((await http.get("/api/admin/snapshot")).content, type=Snapshot)
    assert (seen.node.name, seen.node.hospital, seen.node.mode) == ("mac-a", "Hospital São Lucas", "single")
    assert seen.node.demonstration_models == ("demo-chat", "demo-speech")
    assert seen.node.database_bytes > 0
    assert 0 < seen.node.memory_used_bytes < seen.node.memory_total_bytes
    assert 0 < seen.node.disk_free_bytes < seen.node.disk_total_bytes
    assert [(part.name, part.status, part.advice) for part in seen.health] == [
        ("record", "ok", ""),
        ("notes", "failed", "restart it"),
    ]
    assert [row.name for row in seen.engines] == ["speech", "chat"]
    assert {row.name: row.reason for row in seen.plugins or ()}["broken"] == QUARANTINE
    assert seen.job_counts == {"ready": 0, "running": 0, "done": 0, "dead": 1}


async def test_a_snapshot_holds_back_what_the_auditor_may_not_see(api: AdminApi) -> None:
    async with api.signed_in("auditor") as http:
        seen = msgspec.json.decode((await http.get("/api/admin/snapshot")).content, type=Snapshot)
    assert (seen.plugins, seen.models, seen.job_counts) == (None, None, None)
    assert seen.node.name == "mac-a"


async def test_requests_are_counted_from_one_look_to_the_next(api: AdminApi) -> None:
    async with api.signed_in("it") as http:
        before = (await http.get("/api/admin/node")).json()
        for _ in range(5):
            await http.get("/api/admin/models")
        await asyncio.sleep(1.1)  # one look is shared for a second
        after = (await http.get("/api/admin/node")).json()
    assert after["requests_total"] - before["requests_total"] >= 5
    assert after["uptime_s"] > before["uptime_s"]


async def test_the_queue_is_told_for_each_engine(api: AdminApi) -> None:
    async with api.signed_in("it") as http:
        rows = (await http.get("/api/admin/queue")).json()
    assert rows == [{"engine": name, "waiting": 3, "running": 2} for name in ("speech", "chat")]


async def test_events_bring_a_snapshot_at_once_and_again(api: AdminApi) -> None:
    async with api.signed_in("admin") as http, http.stream("GET", "/api/admin/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        seen: list[float] = []
        async with asyncio.timeout(60):
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    seen.append(json.loads(line[5:])["node"]["uptime_s"])
                if len(seen) == 2:
                    break
    assert seen[1] > seen[0]


async def test_a_dead_job_is_listed_without_its_payload(api: AdminApi) -> None:
    job_id = await api.store.write(lambda tx: bury(tx, "care.transcribe"))
    async with api.signed_in("admin") as http:
        answer = await http.get("/api/admin/jobs", params={"state": "dead"})
    found = msgspec.json.decode(answer.content, type=JobList)
    assert [(job.id, job.kind, job.attempt, job.error) for job in found.jobs] == [
        (job_id, "care.transcribe", 8, "engine.died")
    ]
    assert found.counts["dead"] == 1
    assert "Maria" not in answer.text


async def test_a_dead_job_is_requeued_once_and_the_worker_is_woken(api: AdminApi) -> None:
    job_id = await api.store.write(lambda tx: bury(tx, "care.transcribe"))
    async with api.signed_in("admin") as http:
        path, key = f"/api/admin/jobs/{job_id}/requeue", {"Idempotency-Key": "again-1"}
        first = await http.post(path, headers=key)
        repeat = await http.post(path, headers=key)
        other = await http.post(path, headers={"Idempotency-Key": "again-2"})
        listed = (await http.get("/api/admin/jobs?state=ready")).json()
    assert (first.status_code, first.json()) == (200, {"id": job_id, "state": "ready"})
    assert (repeat.status_code, repeat.json()) == (200, first.json())
    assert (other.status_code, other.json()["code"]) == (404, "job.unknown")
    assert api.woken == [True]
    assert [(job["id"], job["attempt"]) for job in listed["jobs"]] == [(job_id, 0)]


async def test_a_dead_job_is_discarded(api: AdminApi) -> None:
    job_id = await api.store.write(lambda tx: bury(tx, "care.transcribe"))
    async with api.signed_in("it") as http:
        gone = await http.post(f"/api/admin/jobs/{job_id}/discard")
        counts = (await http.get("/api/admin/jobs")).json()["counts"]
    assert gone.json() == {"id": job_id, "state": "discarded"}
    assert counts["dead"] == 0


async def test_an_auditor_can_change_no_job(api: AdminApi) -> None:
    job_id = await api.store.write(lambda tx: bury(tx, "care.transcribe"))
    async with api.signed_in("auditor") as http:
        answers = [await http.post(f"/api/admin/jobs/{job_id}/{verb}") for verb in ("requeue", "discard")]
    assert {answer.status_code for answer in answers} == {403}
    assert (await api.store.read(jobs.counts))["dead"] == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("jobs?state=lost", "state"),
        ("jobs?limit=0", "limit"),
        ("jobs?limit=501", "limit"),
        ("jobs?limit=" + "9" * 5000, "limit"),
        ("jobs?limit=²", "limit"),
    ],
)
async def test_a_wrong_parameter_is_named(api: AdminApi, query: str, field: str) -> None:
    async with api.signed_in("admin") as http:
        answer = await http.get(f"/api/admin/{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_accesses_carry_names_and_page_backwards(api: AdminApi) -> None:
    async with api.signed_in("auditor") as http:
        for _ in range(3):
            await http.get("/api/admin/node")
        newest = msgspec.json.decode((await http.get("/api/admin/audit?limit=2")).content, type=list[AccessRow])
        older = await http.get(f"/api/admin/audit?limit=2&before={newest[-1].seq}")
    assert [(row.user, row.role, row.device) for row in newest] == [("auditor", "auditor", "dashboard")] * 2
    assert newest[0].route == "/api/admin/node"
    seqs = [row.seq for row in newest] + [row["seq"] for row in older.json()]
    assert seqs == sorted(seqs, reverse=True)
    assert len(set(seqs)) == 4


class SilentStore:
    """A store that may not answer now."""

    async def read(self, query: object) -> object:
        raise UNAVAILABLE(what="record")

    async def write(self, change: object) -> object:
        raise UNAVAILABLE(what="record")


async def test_the_picture_survives_a_store_that_does_not_answer(tmp_path: Path) -> None:
    health = HealthRegistry()
    probe = NodeProbe(
        Config(), Paths(tmp_path), SystemClock(), version="1", mode=lambda: "read-only", requests_total=lambda: 7.0
    )
    nothing: list[Any] = []
    sources = AdminSources(SilentStore(), health, probe, lambda: nothing, lambda: nothing, lambda: nothing, list)
    seen = await LivePicture(sources).whole()
    assert (seen.node.mode, seen.node.requests_total, seen.job_counts) == ("read-only", 7.0, None)


async def test_however_many_look_the_node_is_measured_once(api: AdminApi) -> None:
    async with api.signed_in("it") as http:
        answers = await asyncio.gather(*(http.get("/api/admin/node") for _ in range(12)))
    assert len({answer.json()["uptime_s"] for answer in answers}) < 12


def test_memory_counts_core_and_its_children() -> None:
    alone = resident_bytes()
    with subprocess.Popen(
        [sys.executable, "-c", "held = bytearray(64 << 20); print(len(held), flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        together = resident_bytes()
        child.communicate(b"\n", timeout=30)
    assert together - alone > 64 << 20


def test_the_database_is_measured_with_its_wal_and_a_missing_one_counts_nothing(tmp_path: Path) -> None:
    database = tmp_path / "deep" / "record.sqlite"
    assert measure(database).database == 0
    database.parent.mkdir()
    database.write_bytes(bytes(1000))
    database.with_name("record.sqlite-wal").write_bytes(bytes(234))
    assert measure(database).database == 1234
