"""For every rule, figures that are an alert and figures that are none, as Prometheus and the box would see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appliance.operations.watching.conditions import PREFIX, Snapshot

STEP_S = 60
POINTS = 31
"""Half an hour: longer than any rule waits."""
DAY_S = 86400.0
GIB = 1 << 30


@dataclass(frozen=True)
class Line:
    """One series: ``values`` are constant, or ``POINTS`` of them; the clock begins at 0 as promtool's does."""

    metric: str
    values: float | Sequence[float]
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def points(self) -> list[float]:
        return list(self.values) if isinstance(self.values, Sequence) else [self.values] * POINTS

    @property
    def series(self) -> str:
        told = ",".join(f'{name}="{value}"' for name, value in sorted(self.labels.items()))
        return f"{self.metric}{{{told}}}"


@dataclass(frozen=True)
class Example:
    bad: tuple[Line, ...]
    good: tuple[Line, ...]


def ours(metric: str, values: float | Sequence[float], **labels: str) -> Line:
    return Line(PREFIX + metric, values, labels)


def gauge(metric: str, bad: float, good: float, **labels: str) -> Example:
    return Example((ours(metric, bad, **labels),), (ours(metric, good, **labels),))


def counter(metric: str, by: float, good_by: float, **labels: str) -> Example:
    """It rises five minutes before the end by ``by``, in the good case by ``good_by``."""
    before = POINTS - 5
    return Example(
        (ours(metric, [7.0] * before + [7.0 + by] * (POINTS - before), **labels),),
        (ours(metric, [7.0] * before + [7.0 + good_by] * (POINTS - before), **labels),),
    )


def share(part: str, whole: str, bad: float, good: float, of: float, **labels: str) -> Example:
    total = ours(whole, of, **labels)
    return Example((ours(part, bad, **labels), total), (ours(part, good, **labels), total))


EXAMPLES: dict[str, Example] = {
    "NodeDown": Example(
        (ours("node_up", 0, node="b"), Line("up", 1, {"job": "prontuario"})),
        (ours("node_up", float("nan"), node="b"), Line("up", 1, {"job": "prontuario"}), Line("up", 0, {"job": "x"})),
    ),
    "PeerAway": gauge("cluster_peer_reachable", 0, 1),
    "ReadOnly": gauge("cluster_leader_known", 0, 1),
    "ClusterDegraded": gauge("cluster_degraded", 1, 0),
    "ReplicationLag": gauge("cluster_lag_seconds", 12, float("nan")),
    "VoterLost": share("cluster_voters_healthy", "cluster_voters", 2, 3, 3),
    "ClockOff": gauge("clock_peer_offset_seconds", -1.5, -0.9),
    "DiskFilling": gauge("node_disk_free_bytes", 15 * GIB, 21 * GIB),
    "DiskFull": gauge("node_disk_free_bytes", 1 * GIB, 3 * GIB),
    "CopyStopped": gauge("litestream_up", 0, 1),
    "WritesUnconfirmed": counter("store_unconfirmed_total", 2, 0),
    "RestoreProofFailed": gauge("schedule_failures", 1, 0, task="restore-proof"),
    "RestoreProofLate": gauge("schedule_late", 1, 0, task="restore-proof"),
    "RoutineFailed": gauge("schedule_failures", 2, 1, task="blob-check"),
    "JobsGivenUp": counter("jobs_ended_total", 1, 0, kind="draft", outcome="dead"),
    "DrillAnnounced": gauge("drill_announced", 1, 0, drill="failover"),
    "DrillPutOff": gauge("drill_put_off", 1, 0, drill="failover"),
    "DrillFailed": gauge("drill_failed", 1, 0, drill="simulation"),
    "CapacityEnding": gauge("capacity_days_left", 12, float("nan"), what="disk"),
    "AuditMismatch": gauge("audit_log_intact", 0, 1),
    "AuditNotWritten": counter("http_audit_failures_total", 1, 0),
    "CertificateEnding": gauge("certificate_expires_seconds", 20 * DAY_S, 40 * DAY_S, certificate="server"),
    "CertificateEnds": gauge("certificate_expires_seconds", 3 * DAY_S, 0, certificate="node"),
    "EngineCircuitOpen": gauge("engine_circuit_open", 1, 0, engine="chat"),
    "EngineDying": counter("engine_deaths_total", 4, 2, engine="chat", cause="SIGKILL"),
    "QueueFull": share("engine_waiting", "engine_queue_limit", 95, 40, 100, engine="chat"),
    "FallbackActive": counter("capability_fallbacks_total", 3, 0, capability="chat_model"),
    "OnBattery": gauge("ups_on_battery", 1, 0),
    "BatteryLow": gauge("ups_battery_low", 1, 0),
    "UpsSilent": gauge("ups_up", 0, 1),
    "BatteryWorn": gauge("ups_battery_worn", 1, 0),
    "UpdateHalfDone": gauge("update_half_done", 1, 0),
    "UpdateStuck": gauge("update_stuck", 1, 0),
    "AlertsNotSent": gauge("alerts_unsent", 3, 0),
}  # fmt: skip


def snapshots(lines: Sequence[Line]) -> list[Snapshot]:
    """What the box sees of these series, one look after the other."""
    seen = []
    for point in range(POINTS):
        series: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for line in lines:
            series.setdefault(line.metric, {})[tuple(sorted(line.labels.items()))] = line.points[point]
        seen.append(Snapshot(float(point * STEP_S), series))
    return seen
