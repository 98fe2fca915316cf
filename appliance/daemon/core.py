"""The core process: one loop that owns the record, serves the API and minds the engines."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import uvloop

from appliance.api.server import serve
from appliance.api.tls import CertificateFiles
from appliance.config import Config, ConfigError, Paths
from appliance.daemon.assembly import Core, assemble
from appliance.daemon.control import ControlSocket, Verb
from appliance.daemon.dashboard import prepare_dashboard_device
from appliance.daemon.enrolment import OperatorDesk
from appliance.daemon.examined import Examined
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.lifeline import announce, stop_event
from appliance.daemon.lock import HomeLock
from appliance.daemon.pair.node import open_pair
from appliance.daemon.power import wait_for_the_end, watch_alone, watch_paired
from appliance.operations.power.switch_off import SwitchOff
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.steady_time import SteadyTime
from appliance.telemetry.logs import configure, get_logger

log = get_logger("core")
TERMINAL_LOG = "PRONTUARIO_TERMINAL_LOG"
"""The least level that the terminal shows, when it should be quieter than the log file (the demonstration sets it)."""


def run_core(home: Path, config: Config, *, ready_fd: int | None, leash_fd: int | None) -> None:
    """Serve until SIGTERM, SIGINT or EOF on the leash; returns when everything is drained.

    Raises:
        CommandFailedError: a part can't start; the sentence says which, why, and what to do.
    """
    paths = Paths(home)
    configure(
        level=config.logging.level,
        file=paths.logs / "core.jsonl",
        max_bytes=config.logging.max_file_bytes,
        keep=config.logging.keep_files,
        terminal_level=os.environ.get(TERMINAL_LOG),
    )
    with HomeLock(paths.run):
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(paths, config, ready_fd, leash_fd))
        except ProntuarioError as error:
            log.error("core could not start", code=error.kind.code)  # noqa: TRY400  expected failures need no traceback
            raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}") from error
        except OSError as error:
            raise CommandFailedError(f"{error.strerror or error} (API port {config.api.port})") from error


async def _serve(paths: Paths, config: Config, ready_fd: int | None, leash_fd: int | None) -> None:
    stop, off = stop_event(leash_fd), SwitchOff(config.power.shutdown_command)
    try:
        await _serve_until(stop, off, paths, config, ready_fd)
    finally:
        if off.ordered:  # also when a part could not be closed in good order
            await off.carry_out()
            await wait_for_the_end(stop_event(leash_fd))
    log.info("core ended")


async def _serve_until(stop: asyncio.Event, off: SwitchOff, paths: Paths, config: Config, ready_fd: int | None) -> None:
    async with AsyncExitStack() as stack:
        if config.cluster.mode == "paired":
            await _serve_paired(stack, paths, config, ready_fd, (stop, off))
        else:
            core = await assemble(stack, paths, config)
            await core.start_alone(stack)
            watch_alone(stack, core, stop, off)
            await prepare_dashboard_device(core.identity, core.store, paths, core.clock.now())
            await _open_control(stack, core, Examined(core).verbs())
            await _serve_api(core, ready_fd, stop)
        log.info("core drains")


async def _serve_paired(
    stack: AsyncExitStack, paths: Paths, config: Config, ready_fd: int | None, ends: tuple[asyncio.Event, SwitchOff]
) -> None:
    """The API answers from the first moment, whatever the role; it goes last, once the record was handed over."""
    stop, off = ends
    node = await open_pair(stack, paths, config)
    watch_paired(stack, node, stop, off)
    await node.core.start_plugins(stack)
    await _open_control(stack, node.core, {**node.desk.verbs(), **node.examined.verbs()})
    drained = asyncio.Event()
    serving = asyncio.create_task(_serve_api(node.core, ready_fd, drained), name="api")
    leading = asyncio.create_task(node.run(), name="roles")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait({serving, leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await node.stop()
        await leading
    finally:
        stopping.cancel()
        drained.set()
        await asyncio.wait({leading, serving})
    serving.result()


async def _open_control(stack: AsyncExitStack, core: Core, verbs: Mapping[str, Verb]) -> None:
    desk = OperatorDesk(
        core.store, core.vault, core.authority, SteadyTime(core.clock), _url(core.config), config=core.config
    )
    every = {
        "enrol": desk.enrol, "enrolment.code": desk.code,
        "models": lambda _: _models(core), **core.packs.verbs(), **core.recurring.verbs(), **core.drills.verbs(),
        **core.updates.verbs(), **core.witness.verbs(), **verbs,
    }  # fmt: skip
    control = ControlSocket(core.paths.socket("control"), every)
    await control.start()
    stack.push_async_callback(control.stop)
    core.updates.start(stack)


async def _serve_api(core: Core, ready_fd: int | None, stop: asyncio.Event) -> None:
    config = core.config

    def on_ready(port: int) -> None:
        log.info("core serves", port=port, mode=core.store.mode, phase=config.node.phase)
        announce(ready_fd, {"api": _url(config), "pid": _pid(core.paths)})

    authority = core.authority
    files = CertificateFiles(authority.server_certificate, authority.server_key, authority.client_authorities)
    await serve(core.application, config.api, files, stop, on_ready)


def _url(config: Config) -> str:
    return f"https://{_shown_host(config.api.host)}:{config.api.port}"


async def _models(core: Core) -> Mapping[str, Any]:
    rows = [
        {
            "id": one.id,
            "capability": one.capability,
            "sha256": one.sha256,
            "demonstration": one.demonstration,
            "ready": one.ready,
        }
        for one in core.host.abilities.models()
    ]
    return {"models": rows, "version": version("prontuario")}


def _shown_host(host: str) -> str:
    """The name by which a client on this machine reaches us, as the certificate carries it."""
    return "localhost" if host in {"127.0.0.1", "0.0.0.0", "::", "::1"} else host  # noqa: S104  compared, not bound


def _pid(paths: Paths) -> int:
    return int(json.loads((paths.run / "core.pid").read_text(encoding="ascii")))


__all__ = ["ConfigError", "run_core"]
