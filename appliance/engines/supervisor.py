"""The core's view of one engine: a handle that survives its child's deaths."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, Final

from appliance.engines.circuit import Circuit
from appliance.engines.dispatcher import Dispatcher
from appliance.engines.engine_metrics import EngineMetrics
from appliance.engines.errors import MEMORY, UNAVAILABLE
from appliance.engines.ledger import MemoryLedger
from appliance.engines.probe import Prober
from appliance.engines.process import EngineProcess
from appliance.engines.watch import Rhythm, Watch
from appliance.plugin_api.engine import CallOptions, EngineSpec, EngineStatus
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Health
from appliance.plugin_api.messages import Close, Failed, FromEngine, Load, Loaded, LoadFailed, Output, Pong
from appliance.telemetry.logs import get_logger

_log = get_logger("engines")
_OWN_ENDS: Final = frozenset({"ended", "restart asked"})
"""Ends of ours: no request is blamed for them and they do not count as deaths."""
_RETRY_AFTER_S: Final = 2.0


class EngineSupervisor:
    """Starts, watches, restarts and stops one engine; implements ``EngineHandle``."""

    def __init__(
        self,
        spec: EngineSpec,
        ledger: MemoryLedger,
        *,
        plugin: str = "",
        metrics: EngineMetrics | None = None,
        rhythm: Rhythm | None = None,
        circuit: Circuit | None = None,
    ) -> None:
        self.spec = spec
        self.plugin = plugin
        self.restarts = 0
        self.last_death = ""
        self._ledger = ledger
        self._metrics = metrics
        self._rhythm = rhythm or Rhythm()
        self._circuit = circuit or Circuit()
        self._dispatcher = Dispatcher(spec, metrics)
        self._dispatcher.refusal = self._unavailable
        self._status = EngineStatus.STOPPED
        self._loaded: Loaded | None = None
        self._loading: asyncio.Future[Loaded] | None = None
        self._process: EngineProcess | None = None
        self._watch: Watch | None = None
        self._prober = Prober(spec, self._dispatcher, self._rhythm)
        self._life: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._reset = asyncio.Event()
        self._opens_again_at = 0.0
        self._stopping = False

    # -- EngineHandle -----------------------------------------------------------------------------------------------------
    @property
    def status(self) -> EngineStatus:
        """Where the child stands."""
        return self._status

    @property
    def loaded(self) -> Loaded | None:
        """What the living child said of its model; None while there is none."""
        return self._loaded

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return self._dispatcher.waiting

    @property
    def running(self) -> int:
        """Requests in the child."""
        return self._dispatcher.running

    @property
    def away(self) -> int:
        """Requests in the other node's engine."""
        return self._dispatcher.away

    @property
    def far_room(self) -> int:
        """How many more the other node's engine may take now."""
        return self._dispatcher.far_room

    @property
    def requests(self) -> Dispatcher:
        """The queue: the other node's engine is lent to it, and taken from it again."""
        return self._dispatcher

    def submit(self, kind: str, payload: bytes, options: CallOptions) -> AsyncGenerator[bytes, None]:
        """See ``EngineHandle.submit``; while the child starts or restarts, requests wait in the queue."""
        return self._dispatcher.submit(kind, payload, options)

    # -- life -------------------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Reserve memory and begin to load; returns at once. Starting a running engine does nothing.

        Raises:
            ProntuarioError: ``engine.memory`` (503); the status is REFUSED then.
        """
        if self._life is not None:
            return
        try:
            self._ledger.reserve(self.spec.name, self.spec.footprint_bytes)
        except ProntuarioError:
            self.last_death = MEMORY.code
            self._enter(EngineStatus.REFUSED)
            raise
        self._dispatcher.refusal = None
        self._stopping = False
        self._enter(EngineStatus.STARTING)
        self._life = asyncio.create_task(self._live(), name=f"engine {self.spec.name}")

    async def wait_ready(self, timeout_s: float) -> bool:
        """Whether the engine is ready within ``timeout_s``; False as soon as it is clear that it will not be."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._status in {EngineStatus.STARTING, EngineStatus.RESTARTING}:
                    self._changed.clear()
                    await self._changed.wait()
        return self._status is EngineStatus.READY

    async def prove(self) -> str:
        """One synthetic request through its own queue, now: empty when it was answered, else the code of what went wrong.

        ``unproved``: it declares no such request; ``engine.busy`` is no proof of illness.
        """
        if self._status is not EngineStatus.READY:
            return self._status.value
        if self.spec.probe is None:
            return "unproved"
        return "" if await self._prober.ask() else self._prober.last_code

    async def stop(self, drain_s: float = 5.0) -> None:
        """Refuse new requests, let running ones finish within ``drain_s``, end the child. No child survives this."""
        self._stopping = True
        self._dispatcher.refusal = self._unavailable
        self._dispatcher.end_waiting(self._unavailable)
        process, life = self._process, self._life
        if process is not None and self._status is EngineStatus.READY:
            process.send(Close(drain_s))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(drain_s + self._rhythm.drain_grace_s):
                    await asyncio.shield(process.gone)
        if life is not None:
            life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await life
        self._life = None
        self._dispatcher.end_all(self._unavailable)
        self._ledger.release(self.spec.name)
        self._enter(EngineStatus.STOPPED)

    def reset(self) -> None:
        """An operator says that the cause is gone: close the circuit, forget poisonous requests, start now."""
        self._circuit.reset()
        self._dispatcher.poison.clear()
        self._reset.set()

    def restart(self) -> None:
        """End the child and start another; idempotent requests that were not answered yet run again.

        A person says so, and means a new beginning: poisonous requests are forgotten.
        """
        self._dispatcher.poison.clear()
        if self._process is not None:
            self._process.kill("restart asked")

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            cause = await self._one_life()
            if self._stopping:
                return
            if cause == MEMORY.code:
                self._give_up(EngineStatus.REFUSED)
                return
            wait_s = 0.0 if cause in _OWN_ENDS else self._circuit.died(loop.time())
            if wait_s is None:
                await self._open_circuit()
            else:
                self._enter(EngineStatus.RESTARTING)
                await asyncio.sleep(wait_s)
            self.restarts += 1

    def _give_up(self, status: EngineStatus) -> None:
        self._enter(status)
        self._dispatcher.refusal = self._unavailable
        self._dispatcher.end_waiting(self._unavailable)

    async def _open_circuit(self) -> None:
        loop = asyncio.get_running_loop()
        self._opens_again_at = loop.time() + self._circuit.pause_s
        self._give_up(EngineStatus.CIRCUIT_OPEN)
        _log.error(
            "engine keeps dying and is left alone for a while", engine=self.spec.name, reason_code=self.last_death
        )
        self._reset.clear()
        try:
            async with asyncio.timeout(self._circuit.pause_s):
                await self._reset.wait()  # ``wait_for`` would lose a stop that comes with the reset
        except TimeoutError:
            self._circuit.half_open(loop.time())
        self._dispatcher.refusal = None
        self._enter(EngineStatus.RESTARTING)

    async def _one_life(self) -> str:
        """Run one child until it is gone; the cause of its death."""
        process = EngineProcess(self.spec, on_message=self._on_message, on_writable=self._dispatcher.pump)
        self._process = process
        helpers: list[asyncio.Task[None]] = []
        cause = ""
        try:
            await process.spawn()
            loaded = await self._load(process)
            self._ledger.reserve(self.spec.name, max(self.spec.footprint_bytes, loaded.footprint_bytes))
            helpers = self._ready(process, loaded)
            await asyncio.shield(process.gone)
        except ProntuarioError as error:
            cause = error.kind.code
        except LoadError as error:
            cause = str(error)
        except Exception as error:  # noqa: BLE001  whatever a start raises, the engine is retried and the core lives
            cause = type(error).__name__
            _log.error("engine did not start", engine=self.spec.name, exc_info=error)
        finally:
            self._enter(EngineStatus.RESTARTING)
            self._loaded = self._loading = self._watch = None
            for helper in helpers:
                helper.cancel()
            await _quietly(process.end())
        cause = cause or process.cause_of_death
        self._dispatcher.detach(blame=cause not in _OWN_ENDS)
        return self._record_death(cause, process)

    def _record_death(self, cause: str, process: EngineProcess) -> str:
        self.last_death = cause
        if self._metrics is not None:
            self._metrics.deaths.labels(self.spec.name, cause).inc()
        _log.warning(
            "engine child is gone",
            engine=self.spec.name,
            pid=process.pid,
            reason_code=cause,
            restarts=self.restarts,
            bytes=process.stderr.bytes_seen,
        )
        return cause

    async def _load(self, process: EngineProcess) -> Loaded:
        loading: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
        self._loading = loading
        process.send(Load(self.spec.factory, dict(self.spec.config)))
        ends: set[asyncio.Future[Any]] = {loading, process.gone}
        await asyncio.wait(ends, timeout=self.spec.load_limit_s, return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            return loading.result()
        loading.cancel()
        process.kill("load limit")
        await asyncio.shield(process.gone)
        raise LoadError("")

    def _ready(self, process: EngineProcess, loaded: Loaded) -> list[asyncio.Task[None]]:
        footprint = max(self.spec.footprint_bytes, loaded.footprint_bytes)
        self._loaded = loaded
        self._watch = Watch(self.spec, process, self._rhythm, footprint)
        self._prober = Prober(self.spec, self._dispatcher, self._rhythm)
        self._enter(EngineStatus.READY)
        self._dispatcher.attach(process.channel)
        _log.info(
            "engine ready",
            engine=self.spec.name,
            pid=process.pid,
            model=loaded.model_id,
            model_sha256=loaded.model_sha256,
            demonstration=loaded.demonstration,
        )
        return [_background(self._watch.run()), _background(self._probe_until_ill(process))]

    async def _probe_until_ill(self, process: EngineProcess) -> None:
        if self.spec.probe is not None:
            await self._prober.run()
            process.kill("probe")

    def _on_message(self, message: FromEngine) -> None:
        if isinstance(message, Output):
            self._dispatcher.on_output(message)
        elif isinstance(message, Pong):
            if self._watch is not None:
                self._watch.on_pong(message, asyncio.get_running_loop().time())
            if self._metrics is not None:
                self._metrics.tell(self.spec.name, message.stats)
        elif isinstance(message, Failed):
            _log.warning("engine failed a request", engine=self.spec.name, code=message.code)
            self._dispatcher.on_failed(message)
        elif self._loading is not None and not self._loading.done():
            if isinstance(message, Loaded):
                self._loading.set_result(message)
            elif isinstance(message, LoadFailed):
                self._loading.set_exception(LoadError(f"load failed: {message.code}"))

    def _unavailable(self) -> ProntuarioError:
        after = _RETRY_AFTER_S
        if self._status is EngineStatus.CIRCUIT_OPEN:
            after = max(after, self._opens_again_at - asyncio.get_running_loop().time())
        return UNAVAILABLE(engine=self.spec.name, retry_after=after)

    def _enter(self, status: EngineStatus) -> None:
        self._status = status
        self._changed.set()

    # -- what people see --------------------------------------------------------------------------------------------------
    @property
    def pid(self) -> int:
        """The child's process id; 0 while there is none."""
        alive = self._process is not None and not self._process.gone.done()
        return self._process.pid if self._process is not None and alive else 0

    @property
    def resident_bytes(self) -> int:
        """The child's resident memory when it was last looked at."""
        return self._watch.resident_bytes if self._watch is not None else 0

    @property
    def stats(self) -> dict[str, float]:
        """The engine's own figures, at most a few seconds old."""
        return dict(self._watch.stats) if self._watch is not None else {}

    def last_lines(self) -> list[str]:
        """The end of the child's stderr: for the operator's eyes; it may quote data, never log it."""
        return self._process.stderr.lines() if self._process is not None else []

    async def health(self) -> Health:
        """Judged by the last real or synthetic answer."""
        name, status = self.spec.name, self._status
        if status in {EngineStatus.STARTING, EngineStatus.RESTARTING}:
            return Health(
                "degraded",
                f"{name} is {status.value}",
                "wait; the last cause is in the engine list",
                message_pt=f"{name} está iniciando",
                advice_pt="espere; a última causa está na lista de motores",
            )
        if status is not EngineStatus.READY:
            return Health(
                "failed",
                f"{name}: {status.value} ({self.last_death})",
                "see the engine list, then restart it",
                message_pt=f"{name} está parado ({self.last_death})",
                advice_pt="veja a lista de motores e reinicie-o",
            )
        if self._prober.failures:
            return Health(
                "degraded",
                f"{name} does not answer ({self._prober.last_code})",
                "it is restarted by itself",
                message_pt=f"{name} não responde ({self._prober.last_code})",
                advice_pt="ele é reiniciado sozinho",
            )
        return Health("ok", f"{name} answers", message_pt=f"{name} responde")


class LoadError(Exception):
    """The child did not load: ``str()`` is the cause, or empty when the process itself tells it."""


def _background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work)


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """Finish ``work`` even if we are cancelled meanwhile: a child must not be left behind."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
