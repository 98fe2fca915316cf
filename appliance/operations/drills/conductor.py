"""When drills happen: announced, put off while somebody dictates, never twice in one period, each with its signed report."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from appliance.operations.drills.errors import CONSULTS, DRILL_FAILED, DRILL_PUT_OFF, DRILL_UNKNOWN
from appliance.operations.drills.meters import Meters
from appliance.operations.drills.model import DrillRow, Facts, Outcome, Summary, outcome_of, summary_of
from appliance.operations.drills.pdf import draw
from appliance.operations.drills.rehearsal import Rehearsal, StepFailed
from appliance.operations.drills.shelf import Shelf
from appliance.operations.drills.signing import Seal, sign
from appliance.operations.errors import TASK_BUSY
from appliance.operations.schedule import Later, Schedule, Task
from appliance.operations.schedule_memory import Figure
from appliance.security.files import write_file
from appliance.store.durable import make_folder
from appliance.store.threads import to_the_end
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("drills")
RECENT: Final = 0.7
"""Of its period: a drill that the other node made less long ago is not made again, whoever's turn it is."""
RETRY_S: Final = 24 * 3600.0
LIMIT_S: Final = 12 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """One kind. ``disturbs``: it interrupts people, so it is announced and waits for consults; ``shared``: one for both nodes."""

    name: str
    title_pt: str
    title_en: str
    about_pt: str
    about_en: str
    every_s: float
    perform: Callable[[Rehearsal], Awaitable[None]]
    disturbs: bool = False
    shared: bool = False
    here: Callable[[], bool] = lambda: True


class Standing(msgspec.Struct):
    """What is remembered of a drill that has not happened yet; ``not_before_s`` in seconds since 1970, 0: not announced."""

    not_before_s: float = 0.0
    announced_at: str = ""
    postponed: int = 0
    put_off: bool = False
    asked_by: str = ""


async def _nobody() -> int:
    return 0


async def _no_others() -> Sequence[Summary]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where drills are made. ``consults`` tells how many are under way; ``elsewhere`` what the other node has made."""

    node: str
    hospital: str
    version: str
    clock: Clock
    metrics: Metrics
    seal: Seal
    folder: Path
    notice_s: float = 1800.0
    postpone_s: float = 900.0
    postpone_limit: int = 8
    consults: Callable[[], Awaitable[int]] = field(default=_nobody)
    elsewhere: Callable[[], Awaitable[Sequence[Summary]]] = field(default=_no_others)


class Conductor:
    """``add`` drills, then put ``tasks`` into the schedule."""

    def __init__(self, ground: Ground, schedule: Schedule) -> None:
        """Blocks a little: reads what was remembered."""
        self._ground, self._schedule = ground, schedule
        self._drills: dict[str, Drill] = {}
        self._memory = _load(ground.folder / "standing.json")
        self._meters = Meters(ground.metrics)
        self._running = ""
        self.shelf = Shelf(ground.folder)

    def add(self, drill: Drill) -> None:
        """Take it in, and into the schedule."""
        self._drills[drill.name] = drill
        self._meters.show(drill.name, self._standing(drill.name).put_off)
        self._schedule.add(
            Task(
                name=f"drill-{drill.name}", title_pt=f"Ensaio: {drill.title_pt}", title_en=f"Drill: {drill.title_en}",
                every_s=drill.every_s, run=partial(self._turn, drill), here=drill.here, retry_s=min(RETRY_S, drill.every_s / 2),
                limit_s=LIMIT_S,
            )
        )  # fmt: skip

    def recall(self) -> None:
        """Show in the metrics what the last reports said: a failure stays an alarm across a restart. Blocks a little."""
        for drill in self._drills.values():
            last = next(
                (one for one in self.shelf.history() if one.drill == drill.name and one.outcome != "given_up"), None
            )
            if last is not None:
                self._meters.recalled(last)

    # -- people ---------------------------------------------------------------------------------------------------------
    def check(self, name: str) -> None:
        """Raise what speaks against making ``name`` here now: ``drill.unknown``, ``schedule.elsewhere|running``."""
        if name not in self._drills:
            raise DRILL_UNKNOWN(name=name)
        self._schedule.check(f"drill-{name}")

    def ask(self, name: str, by: str) -> None:
        """A person wants it as soon as nobody dictates; ``check`` first."""
        self._standing(name).asked_by = by
        self._schedule.run_soon(f"drill-{name}")

    async def make(self, name: str, by: str) -> Facts:
        """Make ``name`` at once, with its report: ``by`` has asked for it elsewhere, and waited there for consults to end.

        Raises:
            ProntuarioError: ``drill.unknown``; ``schedule.elsewhere|running``.
        """
        self.check(name)
        if self._running:
            raise TASK_BUSY(name=f"drill-{self._running}")
        drill, standing = self._drills[name], self._standing(name)
        standing.asked_by = by
        return await self._make(drill, standing)

    async def rows(self) -> list[DrillRow]:
        """Every drill as this node sees it, with its last report, whichever node made it."""
        history = await self.history()
        told = {row.name: row for row in self._schedule.report(self._ground.node)}
        rows = []
        for drill in self._drills.values():
            task, standing = told[f"drill-{drill.name}"], self._standing(drill.name)
            last = next((one for one in history if one.drill == drill.name and self._counts(drill, one)), None)
            starts = standing.not_before_s
            rows.append(
                DrillRow(
                    node=self._ground.node, name=drill.name, title_pt=drill.title_pt, title_en=drill.title_en,
                    about_pt=drill.about_pt, about_en=drill.about_en, every_s=drill.every_s, here=task.here,
                    running=self._running == drill.name, due_at=task.due_at, announced_for=_instant(starts) if starts else "",
                    postponed=standing.postponed, put_off=standing.put_off, last=last,
                )
            )  # fmt: skip
        return rows

    async def history(self) -> list[Summary]:
        """Reports of both nodes, newest first."""
        own = await asyncio.to_thread(self.shelf.history)
        return sorted([*own, *await self._ground.elsewhere()], key=lambda one: one.ended_at, reverse=True)

    # -- the schedule's turn --------------------------------------------------------------------------------------------
    async def _turn(self, drill: Drill) -> Mapping[str, Figure]:
        standing = self._standing(drill.name)
        if self._running:  # a person's order
            raise Later(self._ground.postpone_s)
        if not standing.asked_by and drill.shared:
            last = await self._lately(drill)
            if last is not None:
                return {"made_by": last.node, "made_at": last.ended_at}
        if drill.disturbs:
            await self._wait_for_a_good_moment(drill, standing)
        report = await self._make(drill, standing)
        if report.outcome == "failed":
            told = summary_of(report)
            raise DRILL_FAILED(id=report.id, why_pt=told.why_pt, why=told.why_en)
        return _figures(report)

    async def _make(self, drill: Drill, standing: Standing) -> Facts:
        report = await self._perform(drill, standing)
        self._memory[drill.name] = Standing()
        await self._remember()
        self._meters.ended(summary_of(report))
        return report

    async def _wait_for_a_good_moment(self, drill: Drill, standing: Standing) -> None:
        now_s = self._ground.clock.now().timestamp()
        if not standing.asked_by and not self._is_expected(standing, now_s):
            await self._announce(drill, standing, now_s)
        if not standing.asked_by and now_s < standing.not_before_s:
            raise Later(standing.not_before_s - now_s)
        count = await self._ground.consults()
        if not count:
            return
        if standing.asked_by:
            standing.asked_by = ""
            raise CONSULTS(count=count)
        standing.postponed += 1
        if standing.postponed <= self._ground.postpone_limit:
            await self._remember()
            raise Later(self._ground.postpone_s)
        await self._give_up(drill, standing)

    def _is_expected(self, standing: Standing, now_s: float) -> bool:
        """Whether it is announced; not so long ago that nobody expects it any more (core was away, the other node led)."""
        patience_s = self._ground.postpone_s * (self._ground.postpone_limit + 2)
        return standing.not_before_s > 0 and now_s - standing.not_before_s <= patience_s

    async def _announce(self, drill: Drill, standing: Standing, now_s: float) -> None:
        standing.not_before_s, standing.postponed = now_s + self._ground.notice_s, 0
        standing.announced_at = instant(self._ground.clock.now())
        await self._remember()
        self._meters.announced(drill.name, on=True)
        log.info("a drill is announced", job=drill.name)

    async def _give_up(self, drill: Drill, standing: Standing) -> None:
        """A person has to find the time: say so until a drill was made, in a report too."""
        now = self._ground.clock.now()
        report = await self._report(drill, standing, Rehearsal(by=""), began=now, outcome="given_up")
        self._memory[drill.name] = Standing(put_off=True)
        await self._remember()
        self._meters.put_off(drill.name)
        raise DRILL_PUT_OFF(name=drill.name, count=report.postponed)

    async def _perform(self, drill: Drill, standing: Standing) -> Facts:
        rehearsal = Rehearsal(by=standing.asked_by or "agenda")
        began, ticks = self._ground.clock.now(), self._ground.clock.monotonic()
        self._running = drill.name
        self._meters.announced(drill.name, on=False)
        try:
            await drill.perform(rehearsal)
        except StepFailed:
            log.error("a drill stopped at a step that the rest needs", job=drill.name)  # noqa: TRY400  the step is told
        finally:
            self._running = ""
        seconds = self._ground.clock.monotonic() - ticks
        outcome = outcome_of(tuple(rehearsal.steps))
        return await self._report(drill, standing, rehearsal, began=began, seconds=seconds, outcome=outcome)

    async def _report(
        self,
        drill: Drill,
        standing: Standing,
        rehearsal: Rehearsal,
        *,
        began: datetime,
        outcome: Outcome,
        seconds: float = 0.0,
    ) -> Facts:
        ground, ended = self._ground, self._ground.clock.now()
        facts = Facts(
            id=f"{drill.name}-{ended:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}", drill=drill.name, title_pt=drill.title_pt,
            title_en=drill.title_en, node=ground.node, hospital=ground.hospital, version=ground.version,
            asked_by=standing.asked_by, announced_at=standing.announced_at, postponed=standing.postponed,
            began_at=instant(began), ended_at=instant(ended), seconds=round(seconds, 3), outcome=outcome,
            rto_s=rehearsal.rto_s, rpo_writes=rehearsal.rpo_writes, watched_writes=rehearsal.watched_writes,
            steps=tuple(rehearsal.steps), attachments=rehearsal.attachments(),
        )  # fmt: skip
        await to_the_end(self._sign_and_keep, facts, dict(rehearsal.files), ended)
        log.info("a drill ended", job=drill.name, status=outcome, duration_ms=int(seconds * 1000))
        return facts

    def _sign_and_keep(self, facts: Facts, files: dict[str, bytes], now: datetime) -> None:
        seal = self._ground.seal
        pdf = draw(facts, seal.key_id, _fingerprint(seal.authority()))
        self.shelf.keep(sign(facts, pdf, seal, now, instant(now)), pdf, files)

    # -- memory ---------------------------------------------------------------------------------------------------------
    async def _lately(self, drill: Drill) -> Summary | None:
        since = instant(self._ground.clock.now() - timedelta(seconds=RECENT * drill.every_s))
        made = (one for one in await self.history() if one.drill == drill.name and one.outcome != "given_up")
        return next((one for one in made if one.ended_at > since and one.outcome != "failed"), None)

    def _counts(self, drill: Drill, one: Summary) -> bool:
        return drill.shared or one.node == self._ground.node

    def _standing(self, name: str) -> Standing:
        return self._memory.setdefault(name, Standing())

    async def _remember(self) -> None:
        await to_the_end(_save, self._ground.folder / "standing.json", msgspec.json.encode(self._memory))


def _figures(facts: Facts) -> dict[str, Figure]:
    figures: dict[str, Figure] = {"report": facts.id, "outcome": facts.outcome, "seconds": facts.seconds}
    if facts.rto_s is not None:
        figures["rto_s"] = facts.rto_s
    if facts.rpo_writes is not None:
        figures["rpo_writes"] = facts.rpo_writes
    return figures


def _load(file: Path) -> dict[str, Standing]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Standing])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("what was remembered of drills can't be read; it begins anew", error=type(error).__name__)
        return {}


def _save(file: Path, content: bytes) -> None:
    try:
        make_folder(file.parent.absolute())
        write_file(file, content)
    except OSError as error:
        log.warning("a drill's standing could not be remembered", error=type(error).__name__)


def _instant(at_s: float) -> str:
    return instant(datetime.fromtimestamp(at_s, UTC))


def _fingerprint(pem: bytes) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    return x509.load_pem_x509_certificate(pem).fingerprint(SHA256()).hex()


__all__ = ["Conductor", "Drill", "Ground"]
