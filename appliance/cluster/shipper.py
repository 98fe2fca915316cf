"""The primary's half of replication: sends every new LTX file to the peer, and knows what the peer holds.

Level 0 goes over a link of its own, pipelined, one round trip a file. It is read from Litestream's working folder, where a
file appears first, else from the spool, else the smallest larger step that the spool has takes its place. So the same
loop serves the hot path, the return of a peer after hours, and a peer that lost a file: whatever it answers to hold,
the next file is the one that continues from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from appliance.cluster.ltx import LEVELS, LtxFile, listing, next_after
from appliance.cluster.model import Position
from appliance.cluster.patience import answered_in_time
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_messages import OLDEST_PROTOCOL, PART_BYTES, PROTOCOL, AskHeld, Held, Hello, PutLtx
from appliance.cluster.replication_errors import EPOCH_AHEAD, OTHER_BODY, PEER_AWAY, PEER_MISUNDERSTOOD, STALE_EPOCH
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.threads import opened
from appliance.telemetry.logs import get_logger

log = get_logger("shipper")
_WINDOW_BYTES: Final = 8 << 20
"""Sent and not yet answered, at most: then the sender waits, and with it the writers."""
_WINDOW_FILES: Final = 32
_IDLE_S: Final = 0.2
_PAUSE_S: Final = 0.1
_REFUSED_PAUSE_S: Final = 1.0
_PART_LIMIT_S: Final = 5.0
_LAST_PART_LIMIT_S: Final = 120.0
"""The peer fsyncs the whole of a large file before it answers its last part."""
HOLE_S: Final = 5.0
"""How long a piece may be missing from the spool (Litestream merges files) before only a new epoch helps."""
_FATAL: Final = frozenset({STALE_EPOCH.code, OTHER_BODY.code})
SPOOL_HOLE: Final = "cluster.spool_hole"
HOPELESS: Final = frozenset({OTHER_BODY.code, SPOOL_HOLE})
"""Troubles in which the peer can never hold all of this epoch: a new one, which begins with a whole image, mends them."""


SPOKEN: Final = range(PROTOCOL, OLDEST_PROTOCOL - 1, -1)
"""The protocols that are offered to the peer, the newest first."""


class Shipper:
    """Ships the Litestream that writes ``spool`` in ``epoch``; ``working`` is ``ltx.working_folder(database)``."""

    def __init__(
        self,
        epoch: int,
        spool: Path,
        working: Path,
        link: PeerLink,
        *,
        node: str,
        on_held: Callable[[Position], None] = lambda _position: None,
        hole_s: float = HOLE_S,
        protocols: Sequence[int] = SPOKEN,
    ) -> None:
        self.epoch = epoch
        self._spool = spool
        self._working = working
        self._link = link
        self._node = node
        self._on_held = on_held
        self._hole_s = hole_s
        self._protocols = protocols
        self._local = 0
        self._sent = 0
        self._held: int | None = None
        self._asked = 0
        self._answered = 0
        self._window = 0
        self._flying: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._hole_since: float | None = None
        self._failure: ProntuarioError | None = None
        self.trouble: str | None = None
        """Code of what only a new epoch can mend (``cluster.other_body``, ``cluster.spool_hole``) or of a fence above us."""
        self.refused = ""
        """Code with which the peer last refused a file (a full disk, say), until it holds everything again."""
        self.monotonic: Callable[[], float] = time.monotonic
        """By which the lag is measured."""
        self.behind_since_s: float | None = None
        """Since when (``monotonic``) the peer lacks something; None: it holds everything known here."""

    @property
    def held(self) -> Position | None:
        """What the peer answered last; None: not heard of yet, or not any more."""
        return None if self._held is None else Position(self.epoch, self._held)

    @property
    def local(self) -> int:
        """The highest TXID known here."""
        return self._local

    @property
    def caught_up(self) -> bool:
        """Whether the peer answers, and holds everything that is known here."""
        return self.trouble is None and self._held is not None and self._held >= self._local > 0

    @property
    def lag_s(self) -> float:
        """For how long the peer has lacked something."""
        return 0.0 if self.behind_since_s is None else max(0.0, self.monotonic() - self.behind_since_s)

    def start(self) -> None:
        """Begin to ship."""
        self._task = asyncio.create_task(self._ship(), name="shipper")

    async def close(self) -> None:
        """Stop; whoever waits gets ``cluster.peer_away``."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        await self._drop_flying()
        for _, waiter in self._waiting:
            waiter.cancel()

    def offer(self, txid: int) -> None:
        """There is something new, up to ``txid``."""
        if txid > self._local:
            self._local = txid
            self._note_lag()
            self._wake.set()

    async def wait_held(self, txid: int, deadline_s: float) -> None:
        """Return once the peer holds everything up to ``txid``.

        Raises:
            ProntuarioError: ``cluster.peer_away``: not within ``deadline_s`` seconds of this process's own time.
        """
        self.offer(txid)
        if self._held is not None and self._held >= txid:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (txid, waiter)
        self._waiting.append(entry)
        try:
            if not await answered_in_time(waiter, deadline_s):
                raise PEER_AWAY(retry_after=1.0)
            await waiter
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    # -- the loop -------------------------------------------------------------------------------------------------------
    async def _ship(self) -> None:
        while True:
            await self._link.wait_up()
            pause_s = _PAUSE_S
            try:
                position = await self._greet()
                self._sent = position.txid
                self._asked = self._answered = 0
                self._accept(0, position)
                if self.trouble not in HOPELESS:
                    self.trouble = None
                await self._pump()
            except ProntuarioError as error:
                if error.kind.code in _FATAL and self.trouble != error.kind.code:
                    log.warning("the peer does not take what this node ships", code=error.kind.code, epoch=self.epoch)
                if error.kind.code in _FATAL:
                    self.trouble, pause_s = error.kind.code, _REFUSED_PAUSE_S
                elif error.kind is not PEER_AWAY and error.kind is not EPOCH_AHEAD:
                    log.warning("the peer could not keep what was shipped", code=error.kind.code)
                if error.kind is not PEER_AWAY:
                    self.refused = error.kind.code
            finally:
                await self._drop_flying()
                self._held = None
                self._note_lag()
            await asyncio.sleep(pause_s)

    async def _greet(self) -> Position:
        """What the peer holds, in the newest protocol that it speaks; asked anew each time, for it may have been updated."""
        for protocol in self._protocols:
            try:
                hello = Hello(self._node, protocol, self.epoch)
                answer = await self._link.ask(hello, Held, deadline_s=_PART_LIMIT_S)
            except ProntuarioError as error:
                if error.kind is not PEER_MISUNDERSTOOD or protocol == self._protocols[-1]:
                    raise
            else:
                return answer.position
        raise PEER_MISUNDERSTOOD(question="no protocol")

    async def _pump(self) -> None:
        """Send until something fails."""
        while True:
            self._wake.clear()
            if self._failure is not None:
                raise self._failure
            while self._window < _WINDOW_BYTES and len(self._flying) < _WINDOW_FILES:
                if not await self._send_next():
                    break
            try:
                async with asyncio.timeout(_IDLE_S):
                    await self._wake.wait()
            except TimeoutError:
                self.offer(await asyncio.to_thread(self._newest))
                if not self._flying:
                    await self._ask_held()

    async def _send_next(self) -> bool:
        """Send the file that continues from what was sent; whether there was one."""
        if self._sent >= self._local:
            return False
        found = self._open_l0(self._sent + 1) or await asyncio.to_thread(self._open_step, self._sent)
        if found is None:
            self._mind_hole()
            return False
        self._hole_since = None
        if self.trouble == SPOOL_HOLE:
            self.trouble = None  # Litestream has made a larger step over it
        file, path, size = found
        self._sent = file.last
        self._window += size
        self._asked += 1
        if size <= PART_BYTES:
            try:
                body = path.read_bytes()  # it was written a moment ago: from the cache, faster than a hop to a thread
            except FileNotFoundError:
                self._sent, self._window = file.first - 1, self._window - size
                return True
            task = asyncio.create_task(self._put_small(self._asked, file, body), name="ship")
        else:
            task = asyncio.create_task(self._put_large(self._asked, file, path, size), name="ship")
        self._flying.add(task)
        task.add_done_callback(self._flying.discard)
        return True

    async def _put_small(self, number: int, file: LtxFile, body: bytes) -> None:
        with self._taking_off(len(body)):
            put = PutLtx(self.epoch, file.level, file.name, 0, len(body), body)
            self._accept(number, (await self._link.ask(put, Held, deadline_s=_PART_LIMIT_S)).position)

    async def _put_large(self, number: int, file: LtxFile, path: Path, size: int) -> None:
        with self._taking_off(size):
            position = await send_large(self._link, self.epoch, file, path, size)
            self._accept(number, position)

    @contextlib.contextmanager
    def _taking_off(self, size: int) -> Iterator[None]:
        try:
            yield
        except ProntuarioError as error:
            self._failure = error
        except OSError:
            self._failure = PEER_AWAY()
        finally:
            self._window -= size
            self._wake.set()

    async def _drop_flying(self) -> None:
        flying = list(self._flying)
        for task in flying:
            task.cancel()
        if flying:
            await asyncio.wait(flying)
        self._failure, self._window = None, 0

    async def _ask_held(self) -> None:
        """When all is still: does the peer still hold what it said? A file may have been lost there."""
        self._asked += 1
        number = self._asked
        answer = await self._link.ask(AskHeld(self.epoch), Held, deadline_s=_PART_LIMIT_S)
        self._accept(number, answer.position)

    # -- what the peer holds --------------------------------------------------------------------------------------------
    def _accept(self, number: int, position: Position) -> None:
        if number < self._answered:
            return  # overtaken by a later answer
        self._answered = number
        if self._held is not None and position.txid < self._held:
            log.error("the peer lost what it held; sending again", count=self._held - position.txid)
            self._sent = position.txid
        self._held = position.txid
        self._note_lag()
        reached = [entry for entry in self._waiting if entry[0] <= position.txid]
        for entry in reached:
            self._waiting.remove(entry)
            if not entry[1].done():
                entry[1].set_result(None)
        self._on_held(position)

    def _note_lag(self) -> None:
        if self.caught_up:
            self.behind_since_s, self.refused = None, ""
        elif self.behind_since_s is None:
            self.behind_since_s = self.monotonic()

    # -- files ----------------------------------------------------------------------------------------------------------
    def _open_l0(self, txid: int) -> tuple[LtxFile, Path, int] | None:
        file = LtxFile(txid, txid, 0)
        for folder in (self._working, self._spool):
            with contextlib.suppress(FileNotFoundError):
                return file, file.path(folder), file.path(folder).stat().st_size
        return None

    def _open_step(self, after: int) -> tuple[LtxFile, Path, int] | None:
        file = next_after(listing(self._spool), after)
        with contextlib.suppress(FileNotFoundError):
            return None if file is None else (file, file.path(self._spool), file.path(self._spool).stat().st_size)
        return None

    def _newest(self) -> int:
        """The highest TXID on the disk: Litestream also syncs by itself."""
        files = [*listing(self._working, (0,)), *listing(self._spool, LEVELS)]
        return max((file.last for file in files), default=0)

    def _mind_hole(self) -> None:
        now = time.monotonic()
        self._hole_since = self._hole_since or now
        if now - self._hole_since > self._hole_s and self.trouble is None:
            self.trouble = SPOOL_HOLE
            log.error("the spool has a hole; only a new epoch mends it", sequence=self._sent + 1, epoch=self.epoch)


async def send_large(link: PeerLink, epoch: int, file: LtxFile, path: Path, size: int) -> Position:
    """Send a file part by part; what the peer then holds. Each part waits for the last one's answer.

    Raises:
        ProntuarioError: what the peer refused with, or ``cluster.peer_away``.
        OSError: the file can't be read.
    """
    position = Position(epoch, 0)
    with await opened(path.open, "rb") as source:
        for offset in range(0, max(size, 1), PART_BYTES):
            body = await asyncio.to_thread(source.read, PART_BYTES)
            put = PutLtx(epoch, file.level, file.name, offset, size, body)
            limit_s = _LAST_PART_LIMIT_S if offset + len(body) >= size else _PART_LIMIT_S
            position = (await link.ask(put, Held, deadline_s=limit_s)).position
    return position
