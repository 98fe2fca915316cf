"""The admin API that the dashboard speaks to: ``/api/admin/…``. It shows the node; of its state it changes only jobs."""

from __future__ import annotations

from typing import get_args

import msgspec

from appliance.api.admin_alerts import alert_routes
from appliance.api.admin_audit import accesses
from appliance.api.admin_capacity import capacity_routes
from appliance.api.admin_cluster import cluster_routes
from appliance.api.admin_doctor import doctor_routes
from appliance.api.admin_drills import drill_routes
from appliance.api.admin_engines import engine_routes
from appliance.api.admin_live import LivePicture, health_rows
from appliance.api.admin_packs import pack_routes
from appliance.api.admin_schedule import schedule_routes
from appliance.api.admin_shapes import (
    AccessRow,
    Done,
    HealthRow,
    JobList,
    ModelRow,
    NodeFacts,
    QueueRow,
    Snapshot,
)
from appliance.api.admin_sources import AdminSources
from appliance.api.admin_updates import update_routes
from appliance.api.audit_export import filter_of, patient_asked_for
from appliance.api.identity_query import whole_number
from appliance.engines.fleet import EngineReport
from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import AnyRoute, Handler, Reply, Request, Route
from appliance.plugin_api.storage import Transaction
from appliance.plugin_host.host import PluginReport
from appliance.store import jobs
from appliance.store.job_records import State

PREFIX = "/api/admin"
TAG = "admin"
MAX_ROWS = 500
DEFAULT_ROWS = 100


def routes(sources: AdminSources) -> list[AnyRoute]:
    """Every route below ``/api/admin/``; ``sources`` are wired by the composition root."""
    return [
        *_look_routes(LivePicture(sources)),
        *_health_routes(sources),
        *_job_routes(sources),
        _audit_route(sources),
        *cluster_routes(sources.cluster),
        *schedule_routes(sources.schedule),
        *alert_routes(sources.alerts),
        *drill_routes(sources.drills),
        *capacity_routes(sources.capacity),
        *engine_routes(sources.engines, sources.restart_engine),
        *pack_routes(sources.packs),
        *update_routes(sources.updates),
        *doctor_routes(sources.doctor),
    ]


def _get(path: str, permission: str, handler: Handler, summary: str, response: object) -> Route:
    return Route("GET", PREFIX + path, permission, handler, summary, response=response, tag=TAG)


def _look_routes(picture: LivePicture) -> list[Route]:
    async def node(_request: Request) -> Reply:
        return Reply(body=(await picture.whole()).node)

    async def engines(_request: Request) -> Reply:
        return Reply(body=(await picture.whole()).engines)

    async def plugins(_request: Request) -> Reply:
        return Reply(body=(await picture.whole()).plugins)

    async def models(_request: Request) -> Reply:
        return Reply(body=(await picture.whole()).models)

    async def queue(_request: Request) -> Reply:
        rows = (await picture.whole()).engines
        return Reply(body=[QueueRow(row.name, row.waiting, row.running) for row in rows])

    async def snapshot(request: Request) -> Reply:
        return Reply(body=await picture.seen_by(request.principal))

    async def events(request: Request) -> Reply:
        return Reply(content_type="text/event-stream", stream=picture.events(request.principal))

    return [
        _get("/node", "node.read", node, "This machine and process", NodeFacts),
        _get("/engines", "node.read", engines, "Engines, their models and their state", list[EngineReport]),
        _get("/queue", "node.read", queue, "Requests waiting and running, per engine", list[QueueRow]),
        _get("/plugins", "plugin.read", plugins, "Plugins, with the reason of each quarantine", list[PluginReport]),
        _get("/models", "model.read", models, "Models behind every capability", list[ModelRow]),
        _get("/snapshot", "node.read", snapshot, "All of the above that the reader may see, in one call", Snapshot),
        _get("/events", "node.read", events, "A snapshot every two seconds (server-sent events)", Snapshot),
    ]


def _health_routes(sources: AdminSources) -> list[Route]:
    async def health(_request: Request) -> Reply:
        return Reply(body=await health_rows(sources))

    return [_get("/health", "node.read", health, "Every part's health with its next step", list[HealthRow])]


def _job_routes(sources: AdminSources) -> list[Route]:
    async def listing(request: Request) -> Reply:
        state = job_state(request.query.get("state", "dead"))
        limit = whole_number(request, "limit", DEFAULT_ROWS, MAX_ROWS)
        rows = await sources.store.read(lambda q: JobList(jobs.counts(q), jobs.list_jobs(q, state, limit)))
        return Reply(body=rows)

    async def requeue(request: Request) -> Reply:
        job_id = request.parameters["job_id"]

        def change(tx: Transaction) -> Reply:
            jobs.requeue(tx, job_id)
            tx.after_commit(sources.wake_jobs)
            return Reply(body=Done(job_id, "ready"))

        return await request.commit(change)

    async def discard(request: Request) -> Reply:
        job_id = request.parameters["job_id"]

        def change(tx: Transaction) -> Reply:
            jobs.discard(tx, job_id)
            return Reply(body=Done(job_id, "discarded"))

        return await request.commit(change)

    one = PREFIX + "/jobs/{job_id}"
    return [
        _get("/jobs", "job.read", listing, "Jobs of one state, last changed first, and counts", JobList),
        Route("POST", one + "/requeue", "job.manage", requeue, "Run a dead job again", response=Done, tag=TAG),
        Route("POST", one + "/discard", "job.manage", discard, "Give a dead job up", response=Done, tag=TAG),
    ]


def _audit_route(sources: AdminSources) -> Route:
    async def audit(request: Request) -> Reply:
        limit = whole_number(request, "limit", DEFAULT_ROWS, MAX_ROWS)
        rows = await sources.store.read(lambda q: accesses(q, filter_of(request, q), limit))
        request.about(patient=patient_asked_for(request))
        return Reply(body=rows)

    summary = "Accesses by patient, user, from and to, newest first, with people's and devices' names"
    return _get("/audit", "audit.read", audit, summary, list[AccessRow])


def job_state(text: str) -> State:
    """A job's state. Raises ``invalid`` naming it."""
    try:
        state: State = msgspec.convert(text, State)
    except msgspec.ValidationError:
        raise INVALID(field="state", name="state", reason=" | ".join(get_args(State))) from None
    return state
