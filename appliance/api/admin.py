"""The admin API that the dashboard speaks to: ``/api/admin/…``. It shows the node; of its state it changes only jobs."""

from __future__ import annotations

from appliance.api.admin_live import LivePicture, health_rows
from appliance.api.admin_shapes import (
    AuditRow,
    Done,
    EngineRow,
    HealthRow,
    JobList,
    ModelRow,
    NodeFacts,
    PluginRow,
    QueueRow,
    Snapshot,
)
from appliance.api.admin_sources import AdminSources
from appliance.plugin_api.errors import INVALID, NOT_FOUND
from appliance.plugin_api.http import AnyRoute, Handler, Reply, Request, Route
from appliance.plugin_api.storage import Query, Transaction

PREFIX = "/api/admin"
TAG = "admin"
MAX_ROWS = 500
DEFAULT_ROWS = 100


def routes(sources: AdminSources) -> list[AnyRoute]:
    """Every route below ``/api/admin/``; ``sources`` are wired by the composition root."""
    return [*_look_routes(LivePicture(sources)), *_health_routes(sources), *_job_routes(sources), _audit_route(sources)]


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
        _get("/engines", "node.read", engines, "Engines, their models and their state", list[EngineRow]),
        _get("/queue", "node.read", queue, "Requests waiting and running, per engine", list[QueueRow]),
        _get("/plugins", "plugin.read", plugins, "Plugins, with the reason of each quarantine", list[PluginRow]),
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
        state, limit = request.query.get("state", "dead"), row_limit(request)

        def look(q: Query) -> JobList:
            return JobList(sources.jobs.counts(q), sources.jobs.listing(q, state, limit))

        return Reply(body=await sources.store.read(look))

    async def requeue(request: Request) -> Reply:
        job_id = request.parameters["job_id"]

        def change(tx: Transaction) -> Reply:
            if not sources.jobs.requeue(tx, job_id):
                raise NOT_FOUND(what=f"job {job_id}")
            tx.after_commit(sources.wake_jobs)
            return Reply(body=Done(job_id, "queued"))

        return await request.commit(change)

    async def discard(request: Request) -> Reply:
        job_id = request.parameters["job_id"]

        def change(tx: Transaction) -> Reply:
            if not sources.jobs.discard(tx, job_id):
                raise NOT_FOUND(what=f"job {job_id}")
            return Reply(body=Done(job_id, "discarded"))

        return await request.commit(change)

    one = PREFIX + "/jobs/{job_id}"
    return [
        _get("/jobs", "job.read", listing, "Jobs of one state, newest first, and counts", JobList),
        Route("POST", one + "/requeue", "job.manage", requeue, "Run a dead job again", response=Done, tag=TAG),
        Route("POST", one + "/discard", "job.manage", discard, "Give a dead job up", response=Done, tag=TAG),
    ]


def _audit_route(sources: AdminSources) -> Route:
    async def audit(request: Request) -> Reply:
        limit, before = row_limit(request), request.query.get("before")
        if before is not None and not before.isdecimal():
            raise INVALID(field="before", name="before", reason="a whole number is needed")
        position = None if before is None else int(before)
        return Reply(body=await sources.store.read(lambda q: sources.audit(q, limit, position)))

    return _get("/audit", "audit.read", audit, "Recent accesses, newest first", list[AuditRow])


def row_limit(request: Request) -> int:
    """The ``limit`` parameter, 1 to ``MAX_ROWS``. Raises ``invalid`` naming it."""
    text = request.query.get("limit", str(DEFAULT_ROWS))
    if not text.isdecimal() or not 1 <= int(text) <= MAX_ROWS:
        raise INVALID(field="limit", name="limit", reason=f"1…{MAX_ROWS}")
    return int(text)
