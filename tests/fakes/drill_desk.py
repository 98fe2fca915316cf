"""A desk over a real conductor whose one drill passes, fails or finds nothing configured, as a test says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from appliance.config.model import Memory
from appliance.daemon.drills import NodeSeal
from appliance.operations.backup import NOT_RESTORABLE
from appliance.operations.budgets import CapacityLedger, CapacityParts
from appliance.operations.drills.conductor import Conductor, Drill, Ground
from appliance.operations.drills.model import DrillRow, Summary
from appliance.operations.drills.rehearsal import Rehearsal
from appliance.operations.schedule import Schedule
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.metrics import Metrics

GB = 10**9


class RehearsedDesk:
    """Implements ``appliance.api.admin_drills.DrillDesk`` and, by ``capacity``, the other desk. ``start`` and ``stop`` it."""

    def __init__(self, folder: Path, seal: NodeSeal) -> None:
        self.schedule = Schedule(folder / "schedule.json", SystemClock(), settle_s=1e9, poll_s=0.02)
        ground = Ground(
            node="mac-a", hospital="Hospital São Lucas", version="0.1.0", clock=SystemClock(), metrics=Metrics(), seal=seal,
            folder=folder / "drills",
        )  # fmt: skip
        self.conductor = Conductor(ground, self.schedule)
        self.fails = False
        for name, title in (("failover", "troca semanal de nó"), ("cloud", "ensaio mensal da nuvem")):
            self.conductor.add(
                Drill(
                    name=name, title_pt=title, title_en=f"{name} drill", about_pt=f"Sobre {name}.", about_en=f"About {name}.",
                    every_s=7 * 86400.0, perform=self._failover if name == "failover" else self._cloud,
                )
            )  # fmt: skip
        self.capacity = CapacityLedger(
            CapacityParts(
                home=folder, config=Memory(ai_bytes=300 * GB, api_bytes=100 * GB, data_bytes=100 * GB), clock=SystemClock(),
                engines=list, processes=lambda _home: [], disk=lambda _home: (GB, 1000 * GB), machine_bytes=512 * GB,
            ),
            Metrics(),
        )  # fmt: skip

    async def _failover(self, rehearsal: Rehearsal) -> None:
        async with rehearsal.step("handover", "O outro nó assume", "The other node takes over"):
            rehearsal.measured(0.73, lost=0, watched=24)
            if self.fails:
                raise NOT_RESTORABLE(exit_code=9)

    async def _cloud(self, rehearsal: Rehearsal) -> None:
        why = ("não há nuvem.", "there is no cloud.")
        rehearsal.not_configured("cloud", "Nuvem", "Cloud", why=why)

    async def drills(self) -> Sequence[DrillRow]:
        return await self.conductor.rows()

    async def history(self) -> Sequence[Summary]:
        return await self.conductor.history()

    def check(self, name: str) -> None:
        self.conductor.check(name)

    def ask(self, name: str, by: str) -> None:
        self.conductor.ask(name, by)

    async def report(self, report_id: str) -> bytes:
        return self.conductor.shelf.pdf(report_id)
