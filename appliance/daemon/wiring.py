"""Which routes, jobs and checks a node has: the one list that names every module of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from appliance.api import admin, care, fhir, identity, openai_compat
from appliance.api.admin_alerts import AlertDesk
from appliance.api.admin_capacity import CapacityDesk
from appliance.api.admin_cluster import ClusterDesk
from appliance.api.admin_doctor import DoctorDesk
from appliance.api.admin_drills import DrillDesk
from appliance.api.admin_faces import admin_face_routes
from appliance.api.admin_node import NodeProbe, requests_answered
from appliance.api.admin_packs import PackDesk
from appliance.api.admin_review import review_routes
from appliance.api.admin_sources import AdminSources
from appliance.api.admin_updates import UpdateDesk
from appliance.api.application import Application, build_application
from appliance.api.identity_faces import face_routes
from appliance.api.identity_faces_guard import confirmed
from appliance.api.standing import Standing
from appliance.care.service import Consults
from appliance.config import Config, Paths
from appliance.daemon.enrolment import phone_address
from appliance.daemon.record import RecordSlot
from appliance.daemon.recurring import Recurring
from appliance.engines.fleet import EngineFleet
from appliance.plugin_api.hooks import Job as PluginJob
from appliance.plugin_api.http import AnyRoute
from appliance.plugin_host.host import PluginHost
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority
from appliance.security.faces.desk import FaceDesk
from appliance.security.identity import Identity
from appliance.security.policy import Policy
from appliance.security.vault import Vault
from appliance.store.blobs import BlobStore
from appliance.store.jobs import Job, JobQueue
from appliance.telemetry.clock import Clock
from appliance.telemetry.health import HealthRegistry
from appliance.telemetry.metrics import Metrics
from appliance.telemetry.tracing import Tracer


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that routes and jobs are made of."""

    config: Config
    paths: Paths
    clock: Clock
    metrics: Metrics
    store: RecordSlot
    standing: Standing | None
    """This node's place in a cluster; None on a node alone."""
    desk: ClusterDesk | None
    """The pair's operations; None on a node alone."""
    recurring: Recurring
    alerts: AlertDesk
    packs: PackDesk
    drills: DrillDesk
    capacity: CapacityDesk
    updates: UpdateDesk
    doctor: DoctorDesk
    blobs: BlobStore
    vault: Vault
    authority: Authority
    identity: Identity
    policy: Policy
    signer: HeadSigner
    fleet: EngineFleet
    host: PluginHost
    jobs: JobQueue
    consults: Consults
    health: HealthRegistry
    tracer: Tracer
    version: str


def register_jobs(parts: Parts) -> None:
    """Say who runs which kind of durable job."""
    for job in parts.host.jobs():
        parts.jobs.register(job.kind, _runner(job))


def _runner(job: PluginJob) -> Callable[[Job], Awaitable[None]]:
    async def run(claimed: Job) -> None:
        await job.run(claimed.payload)

    return run


def build_api(parts: Parts) -> Application:
    """The whole API as one ASGI application."""
    config = parts.config
    abilities = parts.host.abilities
    faces = FaceDesk(parts.store, parts.vault, parts.clock, config.faces, lambda: abilities.face_verifier().instance)
    return build_application(
        [
            *confirmed(_clinical_routes(parts), faces),
            *face_routes(faces, parts.identity, parts.store),
            *admin_face_routes(faces, parts.store, parts.paths.face_evaluation),
            *_node_routes(parts),
        ],
        identity=parts.identity,
        store=parts.store,
        metrics=parts.metrics,
        config=config.api,
        clock=parts.clock,
        health=parts.health,
        plugin_routes=_plugin_routes(parts.host),
        known_permissions=parts.policy.known,
        renderers={
            "/fhir/": fhir.render_error,
            openai_compat.OPENAI_PREFIX: openai_compat.render_openai_error,
        },
        version=parts.version,
        standing=parts.standing,
        tracer=parts.tracer,
    )


def _clinical_routes(parts: Parts) -> list[AnyRoute]:
    return [
        *fhir.routes(parts.store, clock=parts.clock),
        *care.routes(parts.consults),
        *openai_compat.routes(
            parts.host.abilities,
            spool=parts.paths.run / "uploads",
            max_hours=parts.config.dictation.max_hours,
            store=parts.store,
        ),
    ]


def _node_routes(parts: Parts) -> list[AnyRoute]:
    address = phone_address(parts.config)
    return [
        *identity.routes(parts.identity, parts.authority, parts.store, parts.signer, parts.clock, address=address),
        *admin.routes(_admin_sources(parts)),
        *review_routes(parts.store, parts.clock.now),
    ]


def _plugin_routes(host: PluginHost) -> Mapping[str, list[AnyRoute]]:
    routes: dict[str, list[AnyRoute]] = {}
    for route in host.routes():
        path = getattr(route, "path", "") or getattr(route, "prefix", "")
        routes.setdefault(path.removeprefix("/api/plugins/").split("/")[0], []).append(route)
    return routes


def _admin_sources(parts: Parts) -> AdminSources:
    probe = NodeProbe(
        parts.config,
        parts.paths,
        parts.clock,
        version=parts.version,
        mode=lambda: parts.store.mode,
        requests_total=lambda: requests_answered(parts.metrics),
    )
    return AdminSources(
        store=parts.store,
        health=parts.health,
        node=probe,
        engines=parts.fleet.report,
        plugins=parts.host.report,
        models=parts.host.abilities.models,
        wake_jobs=parts.jobs.wake,
        cluster=parts.desk,
        schedule=parts.recurring,
        alerts=parts.alerts,
        packs=parts.packs,
        drills=parts.drills,
        capacity=parts.capacity,
        updates=parts.updates,
        doctor=parts.doctor,
        restart_engine=parts.fleet.restart,
    )
