"""Figures of the machine that rules look at: disk, certificates, the audit log's soundness."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from cryptography import x509

from appliance.operations.errors import AUDIT_DAMAGED
from appliance.operations.schedule import Task
from appliance.operations.schedule_memory import Figure, Trouble
from appliance.plugin_api.storage import Store
from appliance.security.audit_heads import Report, check_log
from appliance.telemetry.metrics import Metrics

DAY_S: Final = 24 * 3600.0
AUDIT_CHECK: Final = "audit-check"


def expiry(path: Path) -> float:
    """When the certificate in ``path`` ends, in seconds since 1970; 0: there is none, or it can't be read."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc.timestamp()
    except (OSError, ValueError):
        return 0.0


def show_machine(metrics: Metrics, home: Path, certificates: Mapping[str, Path]) -> None:
    """From now on disk and certificates (by a name for people) are read whenever the metrics are."""
    free = metrics.gauge("node_disk_free_bytes", "Free space of the disk with the home; NaN: it can't be asked")
    free.set_function(lambda: _space(home, "free"))
    total = metrics.gauge("node_disk_total_bytes", "Size of the disk with the home")
    total.set_function(lambda: _space(home, "total"))
    ends = metrics.gauge("certificate_expires_seconds", "When it ends, since 1970; 0: there is none", ("certificate",))
    for name, path in certificates.items():
        ends.labels(name).set_function(partial(expiry, path))


def _space(home: Path, part: str) -> float:
    try:
        return float(getattr(shutil.disk_usage(home), part))
    except OSError:
        return float("nan")


class AuditCheck:
    """Reads the whole audit log against its signed heads once a day, and shows whether it agrees."""

    def __init__(self, store: Store, metrics: Metrics, check: Callable[[Store], Awaitable[Report]] = check_log) -> None:
        """``check``: by which keys and against which heads, see ``audit_heads.HeadSigner.check``."""
        self._store, self._check = store, check
        self._intact = metrics.gauge(
            "audit_log_intact", "Whether the last check of the audit log found it whole; 1 before the first"
        )
        self._intact.set(1)

    def recall(self, trouble: Trouble | None) -> None:
        """Why the last check before this start failed, if it did: a restart mends no log."""
        if trouble is not None and trouble.code == AUDIT_DAMAGED.code:
            self._intact.set(0)

    async def check(self) -> Mapping[str, Figure]:
        """Raises ``audit.damaged`` with how many problems there are; a report names each (``/api/audit/verify``)."""
        report = await self._check(self._store)
        self._intact.set(report.ok)
        if not report.ok:
            raise AUDIT_DAMAGED(count=len(report.problems))
        return {"events": report.size, "heads": report.heads_checked}


def audit_task(check: AuditCheck, here: Callable[[], bool]) -> Task:
    """The check as recurring work of the node with the record."""
    return Task(
        name=AUDIT_CHECK,
        title_pt="Conferência do registro de auditoria",
        title_en="Check of the audit log",
        every_s=DAY_S,
        run=check.check,
        here=here,
    )
