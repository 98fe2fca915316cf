"""Core's parts, made in order and taken apart in reverse. Nothing else in the house constructs its own collaborators."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version

import psutil

from appliance.api.application import Application
from appliance.care.service import Consults
from appliance.config import Config, Paths
from appliance.daemon.background import SignedHeads
from appliance.daemon.wiring import Parts, build_api, register_jobs
from appliance.engines.fleet import EngineFleet
from appliance.engines.ledger import MemoryLedger
from appliance.plugin_api.hooks import HealthCheck
from appliance.plugin_host.host import PluginHost
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority
from appliance.security.files import make_private_folder
from appliance.security.identity import Identity
from appliance.security.master_key import open_vault
from appliance.security.policy import Policy
from appliance.security.vault import Vault
from appliance.store.blobs import BlobStore
from appliance.store.database import Database
from appliance.store.jobs import JobQueue
from appliance.store.litestream import Litestream
from appliance.telemetry.clock import Clock, SystemClock
from appliance.telemetry.health import HealthRegistry
from appliance.telemetry.metrics import Metrics

AI_SHARE = 0.6
"""Of the machine's memory, when the configuration names no budget."""


@dataclass
class Core:
    """What runs in the core process."""

    config: Config
    paths: Paths
    clock: Clock
    database: Database
    vault: Vault
    authority: Authority
    identity: Identity
    host: PluginHost
    jobs: JobQueue
    health: HealthRegistry
    consults: Consults
    application: Application
    heads: SignedHeads

    async def start(self, stack: AsyncExitStack) -> None:
        """Begin to work: engines, jobs, signed audit heads. What is started here is stopped by ``stack``."""
        await self.host.start()
        stack.push_async_callback(self.host.stop)
        await self.jobs.start()
        stack.push_async_callback(self.jobs.stop)
        await self.consults.start()
        self.heads.start()
        stack.push_async_callback(self.heads.stop)


async def assemble(stack: AsyncExitStack, paths: Paths, config: Config) -> Core:
    """Open the record and wire everything; nothing serves yet.

    Raises:
        ProntuarioError, ConfigError: a part can't be made.
    """
    clock, metrics = SystemClock(), Metrics()
    for folder in (paths.run, paths.logs, paths.models, paths.plugins, paths.plugin_data, paths.database.parent):
        make_private_folder(folder)
    authority = Authority.open(paths, config, clock.now())
    vault = open_vault(paths, config, clock)
    database, litestream = await _open_record(stack, paths, config, metrics)
    await database.write(vault.check)
    policy = Policy()
    identity = Identity(database, vault, authority, clock, config.security, policy=policy)
    stack.callback(identity.close)
    fleet = EngineFleet(MemoryLedger(config.memory.ai_bytes or int(psutil.virtual_memory().total * AI_SHARE)), metrics)
    host = PluginHost(config, paths, store=database, fleet=fleet)
    host.load()
    policy.register(host.permissions())
    jobs, health, signer = JobQueue(database, clock, metrics), HealthRegistry(), HeadSigner.open(paths, vault)
    for check in [*host.health_checks(), *fleet.health_checks()]:
        health.add(check)
    if litestream is not None:
        health.add(HealthCheck("litestream", litestream.health))
    blobs = BlobStore(paths.blobs)
    consults = Consults(
        store=database, blobs=blobs, vault=vault, abilities=host.abilities, jobs=jobs, clock=clock,
        limits=config.dictation, spool=paths.run / "spool",
    )  # fmt: skip
    parts = Parts(
        config=config, paths=paths, clock=clock, metrics=metrics, database=database, blobs=blobs, vault=vault, consults=consults,
        authority=authority, identity=identity, policy=policy, signer=signer, fleet=fleet, host=host, jobs=jobs, health=health,
        version=version("prontuario"),
    )  # fmt: skip
    register_jobs(parts)
    application = build_api(parts)
    return Core(
        config=config, paths=paths, clock=clock, database=database, vault=vault, authority=authority, identity=identity,
        host=host, jobs=jobs, health=health, consults=consults, application=application, heads=SignedHeads(database, signer, clock),
    )  # fmt: skip


async def _open_record(
    stack: AsyncExitStack, paths: Paths, config: Config, metrics: Metrics
) -> tuple[Database, Litestream | None]:
    if not config.store.litestream:
        database = await Database.open(paths.database, config.store, metrics=metrics)
        stack.push_async_callback(database.close)
        return database, None
    litestream = Litestream(
        paths.database, paths.spool, paths.run, log_file=paths.logs / "litestream.log", metrics=metrics
    )
    database = await Database.open(paths.database, config.store, barrier=litestream.barrier, metrics=metrics)
    stack.push_async_callback(litestream.stop)
    stack.push_async_callback(database.close)
    await litestream.start()
    return database, litestream
