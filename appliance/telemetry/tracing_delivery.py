"""Ended spans on their way to the collector: a bounded queue, and one task that sends what gathered.

The collector is a convenience, the record is not: whoever ends a span never waits, what finds no room is dropped and
counted, and a collector that is dead, slow or talks nonsense costs a line in the log and nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import httpx

from appliance.config.model import Tracing
from appliance.telemetry.inside import OutsideError, pinned
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics
from appliance.telemetry.tracing import RecordedSpan
from appliance.telemetry.tracing_json import export_request, rejected_spans

log = get_logger("tracing")
_ATTEMPTS: Final = 3
_LONGEST_PAUSE_S: Final = 60.0
_MOST_ANSWER_BYTES: Final = 64 << 10
_OK: Final = 200
_COME_BACK: Final = frozenset({429, 502, 503, 504})
"""Answers after which OTLP/HTTP has the same request sent again."""


class _Trouble(Exception):  # noqa: N818  no error: what keeps a batch here
    """It was not delivered, for the reason ``code``; ``again``: the same batch may be taken later."""

    def __init__(self, code: str, *, again: bool) -> None:
        self.code, self.again = code, again
        super().__init__(code)


class Delivery:
    """``start`` and ``close`` it; ``put`` takes spans at any time, from the event loop's thread."""

    def __init__(self, config: Tracing, networks: Sequence[str], resource: Mapping[str, str], metrics: Metrics) -> None:
        """``networks``: the hospital's. ``resource``: what is said of this node.

        Raises:
            OSError: ``config.ca`` can't be read, or (``ssl.SSLError``) holds no certificate.
        """
        self._config = config
        self._networks = networks
        self._resource = resource
        self._tls = _tls(config)
        self._queue: deque[RecordedSpan] = deque()
        self._batch: list[RecordedSpan] = []
        self._tries = 0
        self._failures = 0
        self._closing = asyncio.Event()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._spans = metrics.counter("trace_spans_total", "Spans of traces, by what became of them", ("outcome",))
        waiting = metrics.gauge("trace_spans_waiting", "Spans that wait to be sent to the collector")
        waiting.set_function(lambda: len(self._queue) + len(self._batch))

    def put(self, span: RecordedSpan) -> None:
        """Take an ended span, or drop it and count that."""
        waiting = len(self._queue) + len(self._batch)
        if waiting >= self._config.queue_spans or self._closing.is_set():
            self._count("queue_full" if not self._closing.is_set() else "unsent")
            return
        self._queue.append(span)
        if len(self._queue) >= self._config.batch_spans:
            self._wake.set()

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._serve(), name="tracing")

    async def close(self) -> None:
        """Send what waits, once and within ``flush_s``; what is left then is counted as ``unsent``."""
        self._closing.set()
        self._wake.set()
        task, self._task = self._task, None
        if task is not None:
            try:
                await asyncio.wait({task}, timeout=self._config.flush_s)
            finally:
                task.cancel()
                await asyncio.wait({task})
        self._count("unsent", len(self._queue) + len(self._batch))
        self._queue.clear()
        self._batch = []

    async def _serve(self) -> None:
        last = False
        while not last:
            await self._gather()
            last = self._closing.is_set()
            await self._send_all()

    async def _gather(self) -> None:
        """Until it is time to send: a full batch hurries only while the collector is well."""
        pause_s = min(_LONGEST_PAUSE_S, self._config.every_s * 2**self._failures)
        woken = self._closing if self._failures else self._wake
        try:
            async with asyncio.timeout(pause_s):
                await woken.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _send_all(self) -> None:
        """Batch after batch, until nothing waits or one was not delivered."""
        while self._batch or self._queue:
            while self._queue and len(self._batch) < self._config.batch_spans:
                self._batch.append(self._queue.popleft())
            try:
                async with asyncio.timeout(self._config.timeout_s):
                    rejected = await self._send(self._batch)
            except _Trouble as trouble:
                self._not_delivered(trouble)
                return
            except TimeoutError:
                self._not_delivered(_Trouble("timeout", again=True))
                return
            self._delivered(rejected)

    def _delivered(self, rejected: int) -> None:
        rejected = min(rejected, len(self._batch))
        self._count("rejected", rejected)
        self._count("sent", len(self._batch) - rejected)
        if self._failures:
            log.info("traces reach the collector again")
        self._batch, self._tries, self._failures = [], 0, 0

    def _not_delivered(self, trouble: _Trouble) -> None:
        if not self._failures:
            log.warning("traces do not reach the collector; care goes on without them", reason_code=trouble.code)
        self._failures = min(self._failures + 1, 10)
        self._tries += 1
        if not trouble.again or self._tries >= _ATTEMPTS:
            self._count("failed", len(self._batch))
            self._batch, self._tries = [], 0

    async def _send(self, batch: Sequence[RecordedSpan]) -> int:
        """One POST; how many of the spans the collector did not take. Raises ``_Trouble``."""
        try:
            place = await pinned(self._config.endpoint, self._networks)
        except OutsideError as error:
            raise _Trouble("outside" if "outside" in str(error) else "name", again=False) from None
        headers = {"Content-Type": "application/json", "Host": place.authority, "Accept-Encoding": "identity"}
        body = export_request(batch, self._resource)
        try:
            async with (
                httpx.AsyncClient(verify=self._tls, timeout=None, trust_env=False) as client,  # noqa: S113  the caller's limit
                client.stream(
                    "POST", place.url, content=body, headers=headers, extensions={"sni_hostname": place.name}
                ) as answer,
            ):
                if answer.status_code != _OK:
                    raise _Trouble(f"http_{answer.status_code}", again=answer.status_code in _COME_BACK)
                return rejected_spans(await _beginning(answer))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _Trouble(type(error).__name__, again=True) from None

    def _count(self, outcome: str, spans: int = 1) -> None:
        self._spans.labels(outcome).inc(spans)


async def _beginning(answer: httpx.Response) -> bytes:
    """No more of the answer than an honest collector has to say."""
    said = b""
    async for piece in answer.aiter_raw():
        said += piece
        if len(said) > _MOST_ANSWER_BYTES:
            break
    return said[:_MOST_ANSWER_BYTES]


def _tls(config: Tracing) -> ssl.SSLContext:
    if config.endpoint.startswith("https:"):
        return ssl.create_default_context(cafile=config.ca or None)
    return ssl.SSLContext(
        ssl.PROTOCOL_TLS_CLIENT
    )  # for plain HTTP: never used, and httpx would load every root there is
