"""Core's parts, made in order and taken apart in reverse. Nothing else in the house constructs its own collaborators.

What is made here lives as long as the process, whatever the node's role: engines, plugins, health, metrics, the API. The
record itself comes and goes with the role (``appliance.daemon.record``).
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version

import psutil

from appliance.api.admin_cluster import ClusterDesk
from appliance.api.application import Application
from appliance.api.standing import Standing
from appliance.care.service import Consults
from appliance.config import Config, Paths
from appliance.daemon.background import SignedHeads
from appliance.daemon.drills import DrillRoom, DrillSources
from appliance.daemon.packs_desk import PacksDesk
from appliance.daemon.record import OpenRecord, RecordSession, RecordSlot
from appliance.daemon.recurring import Recurring, own_copy, own_proof, scratch
from appliance.daemon.updates.desk import UpdatesDesk
from appliance.daemon.watching import Watching
from appliance.daemon.wiring import Parts, build_api, register_jobs
from appliance.daemon.witness import Witness
from appliance.engines.fleet import EngineFleet
from appliance.engines.ledger import MemoryLedger
from appliance.operations.budgets import CapacityLedger, CapacityParts
from appliance.operations.doctor.rounds import DoctorRounds
from appliance.operations.schedule import Schedule
from appliance.plugin_api.hooks import HealthCheck
from appliance.plugin_host.host import PluginHost
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority
from appliance.security.files import make_private_folder
from appliance.security.identity import Identity
from appliance.security.master_key import open_vault
from appliance.security.policy import Policy
from appliance.security.steady_time import SteadyTime
from appliance.security.vault import Vault
from appliance.store.blobs import BlobStore
from appliance.store.database import Database
from appliance.store.jobs import JobQueue
from appliance.store.litestream import Litestream
from appliance.telemetry.clock import Clock, SystemClock
from appliance.telemetry.health import HealthRegistry
from appliance.telemetry.logs import LOSSES
from appliance.telemetry.metrics import Metrics
from appliance.telemetry.tracing import Tracer
from appliance.telemetry.tracing_open import open_tracer

AI_SHARE = 0.6
"""Of the machine's memory, when the configuration names no budget."""


@dataclass
class Core:
    """What runs in the core process."""

    config: Config
    paths: Paths
    clock: Clock
    metrics: Metrics
    store: RecordSlot
    vault: Vault
    authority: Authority
    identity: Identity
    host: PluginHost
    fleet: EngineFleet
    blobs: BlobStore
    jobs: JobQueue
    health: HealthRegistry
    application: Application
    record: RecordSession
    recurring: Recurring
    watching: Watching
    packs: PacksDesk
    drills: DrillRoom
    updates: UpdatesDesk
    tracer: Tracer
    witness: Witness

    async def start_alone(self, stack: AsyncExitStack) -> None:
        """A node alone: open the record, then engines and plugins, then the work that waits; ``stack`` stops them."""
        stack.push_async_callback(self.record.close)
        await self.record.open(await open_alone(self.paths, self.config, self.metrics))
        await self.start_plugins(stack)
        stack.push_async_callback(self.record.rest)
        await self.record.begin()
        self.recurring.furnish(self.blobs, self.store, [own_proof(self.paths, self.record, self.store)])
        self.drills.furnish(scratch(self.paths), lambda: own_copy(self.paths, self.record))
        self.watching.open(stack, self.health, self.recurring.schedule, self.store)
        stack.push_async_callback(self.recurring.schedule.stop)
        await self.recurring.start()

    async def start_plugins(self, stack: AsyncExitStack) -> None:
        """Engines and plugins: they live as long as the process, whatever its role."""
        await self.host.start()
        stack.push_async_callback(self.host.stop)
        stack.push_async_callback(self.packs.close)


async def assemble(
    stack: AsyncExitStack,
    paths: Paths,
    config: Config,
    *,
    slot: RecordSlot | None = None,
    standing: Standing | None = None,
    desk: ClusterDesk | None = None,
) -> Core:
    """Wire everything; no record is open yet and nothing serves. ``slot``, ``standing`` and ``desk`` are a paired node's.

    Raises:
        ProntuarioError, ConfigError: a part can't be made.
    """
    clock, metrics, store = SystemClock(), Metrics(), slot or RecordSlot()
    for folder in (paths.run, paths.logs, paths.models, paths.plugins, paths.plugin_data, paths.database.parent):
        make_private_folder(folder)
    authority, vault, policy = Authority.open(paths, config, clock.now()), open_vault(paths, config, clock), Policy()
    identity = Identity(store, vault, authority, clock, config.security, policy=policy)
    stack.callback(identity.close)
    fleet = EngineFleet(MemoryLedger(config.memory.ai_bytes or int(psutil.virtual_memory().total * AI_SHARE)), metrics)
    host = _loaded_host(config, paths, store, fleet, policy=policy, metrics=metrics)
    schedule, node = Schedule(paths.home / "data" / "schedule.json", clock, metrics), _name(config)
    tracer, blobs = open_tracer(stack, config, metrics, node, version("prontuario")), BlobStore(paths.blobs)
    signer, jobs = HeadSigner.open(paths, vault), JobQueue(store, clock, metrics, tracer=tracer)
    consults = Consults(
        store=store, blobs=blobs, vault=vault, abilities=host.abilities, jobs=jobs, clock=clock,
        limits=config.dictation, spool=paths.run / "spool", template=config.notes.template,
    )  # fmt: skip
    witness = Witness(paths, store, signer, clock)
    heads = SignedHeads(store, signer, clock, saw=witness.saw)
    record = RecordSession(store, vault=vault, identity=identity, jobs=jobs, consults=consults, heads=heads)
    recurring = Recurring(paths, schedule, clock, node)
    budgets = CapacityParts(home=paths.home, config=config.memory, clock=clock, engines=fleet.report)
    capacity = CapacityLedger(budgets, metrics)
    schedule.add(capacity.task())
    packs = PacksDesk(paths, host, store, SteadyTime(clock), config)
    watching = Watching(paths, config, clock, metrics, node, check_log=signer.check)
    drills = DrillRoom(
        DrillSources(
            paths=paths, config=config, clock=clock, metrics=metrics, schedule=schedule, store=store, fleet=fleet, host=host,
            signer=signer, authority=authority, node=node, version=version("prontuario"),
        )
    )  # fmt: skip
    health = _health(config, host, fleet, record, recurring)
    _count_lost_lines(metrics)
    updates = UpdatesDesk.of(paths, store, metrics, config)
    parts = Parts(
        config=config, paths=paths, clock=clock, metrics=metrics, store=store, standing=standing, desk=desk, blobs=blobs, vault=vault,
        recurring=recurring, alerts=watching, packs=packs, drills=drills, capacity=capacity, updates=updates,
        consults=consults, authority=authority, identity=identity, policy=policy, signer=signer, fleet=fleet, host=host,
        jobs=jobs, health=health, doctor=DoctorRounds.of(stack, paths.home, node, clock), tracer=tracer, version=version("prontuario"),
    )  # fmt: skip
    register_jobs(parts)
    return Core(
        config=config, paths=paths, clock=clock, metrics=metrics, store=store, vault=vault, authority=authority,
        identity=identity, host=host, fleet=fleet, blobs=blobs, jobs=jobs, health=health, application=build_api(parts), record=record,
        recurring=recurring, watching=watching, packs=packs, drills=drills, updates=updates, tracer=tracer,
        witness=witness,
    )  # fmt: skip


def _name(config: Config) -> str:
    return config.cluster.node if config.cluster.mode == "paired" else config.node.name


def _loaded_host(
    config: Config, paths: Paths, store: RecordSlot, fleet: EngineFleet, *, policy: Policy, metrics: Metrics
) -> PluginHost:
    """The plugins found and asked; none of them runs yet."""
    host = PluginHost(config, paths, store=store, fleet=fleet)
    host.load()
    policy.register(host.permissions())
    _count_fallbacks(host, metrics)
    return host


def _count_lost_lines(metrics: Metrics) -> None:
    lost = metrics.gauge("log_lines_lost", "Log lines of this process that could not be written")
    lost.set_function(lambda: LOSSES.lines)


def _count_fallbacks(host: PluginHost, metrics: Metrics) -> None:
    fallbacks = metrics.counter(
        "capability_fallbacks_total",
        "Times that a substitute was chosen as the best provider could not serve",
        ("capability",),
    )
    host.abilities.fell_back = lambda capability: fallbacks.labels(capability).inc()


def _health(
    config: Config, host: PluginHost, fleet: EngineFleet, record: RecordSession, recurring: Recurring
) -> HealthRegistry:
    health = HealthRegistry()
    for check in [*host.health_checks(), *fleet.health_checks()]:
        health.add(check)
    if config.store.litestream:
        health.add(HealthCheck("litestream", record.health))
    health.add(HealthCheck("schedule", recurring.health))
    health.add(HealthCheck("log", LOSSES.health))
    return health


async def open_alone(paths: Paths, config: Config, metrics: Metrics) -> OpenRecord:
    """The record of a node alone: acknowledged means fsynced here.

    Raises:
        ProntuarioError: see ``Database.open`` and ``Litestream.start``.
    """
    if not config.store.litestream:
        database = await Database.open(paths.database, config.store, metrics=metrics)
        return OpenRecord(database, None, database.close)
    litestream = Litestream(
        paths.database, paths.spool, paths.run, log_file=paths.logs / "litestream.log", metrics=metrics
    )
    database = await Database.open(paths.database, config.store, barrier=litestream.barrier, metrics=metrics)

    async def close() -> None:
        try:
            await database.close()
        finally:
            await litestream.stop()

    try:
        await litestream.start()
    except BaseException:
        await close()
        raise
    return OpenRecord(database, litestream, close)
