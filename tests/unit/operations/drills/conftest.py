"""A node's authority and key, a record without Litestream, and a conductor whose clock a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.config.model import Config, Paths
from appliance.config.model import Store as StoreConfig
from appliance.daemon.drills import NodeSeal
from appliance.operations.drills.conductor import Conductor, Drill, Ground
from appliance.operations.drills.model import Facts, Step, Summary
from appliance.operations.drills.rehearsal import Rehearsal
from appliance.operations.schedule import Schedule
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.telemetry.metrics import Metrics
from tests.fakes.hand_clock import HandClock

DAY_S = 86400.0


def seal_in(folder: Path, node: str = "mac-a") -> NodeSeal:
    """A whole authority of its own below ``folder``."""
    paths = Paths(folder)
    authority = Authority.open(paths, Config(), HandClock().now())
    return NodeSeal(HeadSigner.open(paths, Vault(bytes(32))), authority, node)


@pytest.fixture(scope="module")
def seal(tmp_path_factory: pytest.TempPathFactory) -> NodeSeal:
    return seal_in(tmp_path_factory.mktemp("authority"))


def facts(**changed: object) -> Facts:
    told: dict[str, object] = {
        "id": "failover-20260302-120000-abc", "drill": "failover", "title_pt": "troca semanal de nó", "title_en": "weekly failover",
        "node": "mac-a", "hospital": "Hospital São Lucas", "version": "0.1.0", "asked_by": "", "announced_at": "",
        "postponed": 0, "began_at": "2026-03-02T12:00:00.000Z", "ended_at": "2026-03-02T12:00:01.000Z", "seconds": 1.0,
        "outcome": "passed", "rto_s": 0.42, "rpo_writes": 0, "watched_writes": 31,
        "steps": (Step(name="handover", pt="O outro nó assume", en="b", outcome="passed", seconds=0.5, figures={"x": 1}),),
    }  # fmt: skip
    return Facts(**{**told, **changed})  # type: ignore[arg-type]


@dataclass
class Stage:
    """A conductor with one drill, ``walk``, that does what the test says."""

    conductor: Conductor
    schedule: Schedule
    clock: HandClock
    metrics: Metrics
    folder: Path
    runs: int = 0
    consults: int = 0
    elsewhere: list[Summary] = field(default_factory=list)
    act: Callable[[Rehearsal], None] = lambda _rehearsal: None

    async def perform(self, rehearsal: Rehearsal) -> None:
        self.runs += 1
        async with rehearsal.step("walk", "Andar", "Walk"):
            self.act(rehearsal)

    async def turn(self) -> None:
        """What the schedule does when the drill is due; raises as it raises."""
        task = self.schedule._tasks["drill-walk"]
        await task.run()

    def figure(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(f"prontuario_{name}", {"drill": "walk"})
        assert value is not None
        return value


@pytest.fixture
def staged(tmp_path: Path, seal: NodeSeal) -> Callable[..., Stage]:
    def make(*, disturbs: bool = True, shared: bool = False) -> Stage:
        clock, metrics = HandClock(), Metrics()
        schedule = Schedule(tmp_path / "schedule.json", clock)
        stage: Stage

        async def consults() -> int:
            return stage.consults

        async def elsewhere() -> list[Summary]:
            return stage.elsewhere

        ground = Ground(
            node="mac-a", hospital="Hospital São Lucas", version="0.1.0", clock=clock, metrics=metrics, seal=seal,
            folder=tmp_path / "drills", consults=consults, elsewhere=elsewhere, postpone_limit=2,
        )  # fmt: skip
        stage = Stage(Conductor(ground, schedule), schedule, clock, metrics, tmp_path / "drills")
        stage.conductor.add(
            Drill(
                name="walk", title_pt="andar", title_en="walk", about_pt="Anda.", about_en="Walks.", every_s=7 * DAY_S,
                perform=stage.perform, disturbs=disturbs, shared=shared,
            )
        )  # fmt: skip
        return stage

    return make


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(tmp_path / "record" / "record.sqlite", StoreConfig(litestream=False)) as database:
        yield database
