"""One drill under way: its steps with their times, what was measured, and the report that comes of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from appliance.operations.drills.model import Attachment, Step
from appliance.operations.schedule_memory import Figure, trouble_of
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.sqlite import Error as SqliteError
from appliance.telemetry.logs import get_logger

log = get_logger("drills")


class StepFailed(Exception):  # noqa: N818  says that there is no sense in going on; what failed stands in the step
    """A step failed on which the ones after it stand."""


@dataclass
class Rehearsal:
    """Given to whoever carries the drill out; ``by`` is who wanted it, for timelines."""

    by: str
    steps: list[Step] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    """Attachments by name."""
    rto_s: float | None = None
    rpo_writes: int | None = None
    watched_writes: int | None = None

    @asynccontextmanager
    async def step(self, name: str, pt: str, en: str, *, needed: bool = False) -> AsyncIterator[dict[str, Figure]]:
        """Do one thing inside; what it yields is filled with figures for people. A failure is noted, and swallowed.

        ``needed``: without it the rest makes no sense; its failure raises ``StepFailed``.
        """
        figures: dict[str, Figure] = {}
        began = time.monotonic()
        why_pt = why_en = ""
        try:
            yield figures
        except (ProntuarioError, SqliteError, OSError, TimeoutError, ValueError, LookupError) as error:
            log.error("a step of a drill failed", step=name, error=type(error).__name__)  # noqa: TRY400  told in the report
            trouble = trouble_of(error, limit_s=0.0)
            why_pt, why_en = f"{trouble.cause_pt} {trouble.step_pt}", f"{trouble.cause_en} {trouble.step_en}"
        self.steps.append(
            Step(
                name=name, pt=pt, en=en, outcome="failed" if why_pt else "passed",
                seconds=round(time.monotonic() - began, 3), figures=figures, why_pt=why_pt, why_en=why_en,
            )
        )  # fmt: skip
        if why_pt and needed:
            raise StepFailed(name)

    def not_configured(self, name: str, pt: str, en: str, *, why: tuple[str, str]) -> None:
        """Say that this part does not exist here, so that nobody takes its absence for a success; ``why``: (pt, en)."""
        self.steps.append(
            Step(
                name=name, pt=pt, en=en, outcome="not_configured", seconds=0.0,
                why_pt=f"Não configurado: {why[0]}", why_en=f"Not configured: {why[1]}",
            )
        )  # fmt: skip

    def measured(self, rto_s: float | None = None, *, lost: int | None = None, watched: int | None = None) -> None:
        """Note a measurement; of several, the worst RTO and the sum of what was lost stay."""
        if rto_s is not None:
            self.rto_s = round(max(rto_s, self.rto_s or 0.0), 3)
        if lost is not None and watched is not None:
            self.rpo_writes = (self.rpo_writes or 0) + lost
            self.watched_writes = (self.watched_writes or 0) + watched

    def attach(self, name: str, content: bytes) -> None:
        """Put a file beside the report."""
        self.files[name] = content

    def attachments(self) -> tuple[Attachment, ...]:
        """What was attached, in the order of names."""
        from hashlib import sha256

        return tuple(Attachment(name, len(body), sha256(body).hexdigest()) for name, body in sorted(self.files.items()))
