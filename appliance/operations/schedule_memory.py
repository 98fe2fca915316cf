"""What the schedule remembers of each task, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from appliance.plugin_api.errors import ProntuarioError
from appliance.security.files import write_file
from appliance.store.durable import make_folder
from appliance.telemetry.logs import get_logger

log = get_logger("schedule")
Figure = int | float | str


class Trouble(msgspec.Struct, frozen=True):
    """Why a task failed and what to do, in both languages; ``code`` never changes its meaning."""

    code: str
    cause_pt: str
    cause_en: str
    step_pt: str
    step_en: str


class Run(msgspec.Struct, frozen=True):
    """One run that ended: when (FHIR instant), how long it took, and whether it succeeded."""

    ended_at: str
    seconds: float
    ok: bool


class Memory(msgspec.Struct):
    """One task's past. ``due_s`` and ``ok_s`` are seconds since 1970; ``due_s`` 0 is now, ``ok_s`` 0 is never."""

    due_s: float
    ok_s: float = 0.0
    ok_at: str | None = None
    last: Run | None = None
    failures: int = 0
    trouble: Trouble | None = None
    figures: dict[str, Figure] = {}


class TaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """One task on one node as people see it. ``here``: its role runs it; ``due_at``: empty for at once."""

    node: str
    name: str
    title_pt: str
    title_en: str
    every_s: float
    here: bool
    running: bool
    due_at: str
    ok_at: str | None
    last: Run | None
    failures: int
    trouble: Trouble | None
    figures: dict[str, Figure]


def load(file: Path) -> dict[str, Memory]:
    """What was remembered; nothing when there is no file, or when it can't be read (then everything is due again)."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Memory])
    except FileNotFoundError:
        return {}
    except (msgspec.MsgspecError, OSError) as error:
        log.warning("what the schedule remembered can't be read; it begins anew", error=type(error).__name__)
        return {}


def save(file: Path, memory: Mapping[str, Memory]) -> None:
    """Remember; a full disk is told by others, and costs only that a task runs once more after a restart. Blocks."""
    try:
        make_folder(file.parent.absolute())
        write_file(file, msgspec.json.format(msgspec.json.encode(memory)))
    except OSError as error:
        log.warning("the schedule could not remember a run", error=type(error).__name__)


def trouble_of(error: BaseException, *, limit_s: float) -> Trouble:
    """What people are told. The text of an unexpected error is never shown: it may quote the data that broke it."""
    if isinstance(error, ProntuarioError):
        return Trouble(
            error.kind.code,
            error.sentence("pt"),
            error.sentence("en"),
            error.next_step("pt"),
            error.next_step("en"),
        )
    step_pt, step_en = "Veja core.jsonl; se repetir, chame o suporte.", "See core.jsonl; if it repeats, call support."
    if isinstance(error, TimeoutError):
        hours = f"{limit_s / 3600:.1f}"
        return Trouble("schedule.late", f"não terminou em {hours} h", f"did not end within {hours} h", step_pt, step_en)
    name = type(error).__name__
    return Trouble("schedule.failed", f"falhou ({name})", f"failed ({name})", step_pt, step_en)
