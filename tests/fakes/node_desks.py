"""A crowded node that doctor has something to say about: what the dashboard's pages of capacity and diagnosis are shown."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.operations.budgets import Budget, CapacityReport
from appliance.operations.doctor.model import Finding
from appliance.operations.doctor.run import Report
from appliance.operations.forecast import DAY_S, forecast

GIB = 1 << 30


def crowded() -> CapacityReport:
    """Models near their limit, the API over it, a disk that lasts 24 days, and memory that nobody has watched for long."""
    disk = [(day * DAY_S, (520.0 + 20 * day) * GIB) for day in range(10)]
    memory = [(day * DAY_S, 300.0 * GIB) for day in range(2)]
    figures = (("ai", 300, 288, 274), ("api", 100, 0, 104), ("data", 100, 0, 3))
    return CapacityReport(
        machine_bytes=512 * GIB,
        budgets=tuple(
            Budget(name=name, budget_bytes=limit * GIB, declared_bytes=declared * GIB, used_bytes=used * GIB)
            for name, limit, declared, used in figures
        ),
        forecasts=(forecast("disk", disk, 1200.0 * GIB), forecast("memory", memory, 500.0 * GIB)),
    )


@dataclass
class Ledger:
    """``appliance.api.admin_capacity.CapacityDesk``."""

    told: CapacityReport = field(default_factory=crowded)

    async def report(self) -> CapacityReport:
        return self.told


def finding(name: str, status: str, step: str = "", verdict: str = "v", runbook: str = "") -> Finding:
    return Finding(
        id=name, verdict=verdict, status=status, group="home", title_pt=f"Sobre {name}", title_en=f"About {name}",
        cause_pt=f"causa de {name}", cause_en=f"cause of {name}", step_pt=step, step_en=step, runbook=runbook,
    )  # type: ignore[arg-type]  # fmt: skip


REPORT = Report(
    at="2026-11-21T18:10:00.000Z", status="failed",
    findings=[
        finding("clock", "ok"), finding("time-machine", "skipped"), finding("firewall", "skipped", "Rode: sudo prontuario doctor"),
        finding("ups", "warning", "Ligue o nobreak."), finding("disk-space", "failed", "Libere espaço.", "full", "disk-full"),
    ],
)  # fmt: skip
