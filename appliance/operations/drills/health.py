"""The daily health validation: the doctor's checks, a synthetic request through every engine, a read of the record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from appliance.operations.drills.conductor import Drill
from appliance.operations.drills.errors import DOCTOR_FOUND, ENGINE_SILENT
from appliance.operations.drills.rehearsal import Rehearsal
from appliance.operations.proof import read_newest
from appliance.plugin_api.storage import Store

DAY_S: Final = 24 * 3600.0
READY_LIMIT_S: Final = 300.0
NO_ILLNESS: Final = frozenset({"engine.busy"})
"""A full queue is work, not illness."""
UNPROVED: Final = "unproved"
_SHOWN: Final = 5


class Finding(msgspec.Struct, frozen=True):
    """One of the doctor's: which check, and ``ok``, ``warning``, ``failed`` or ``skipped``."""

    check: str
    status: str


class Engine(Protocol):
    """As far as the drill asks it (``engines.supervisor.EngineSupervisor``)."""

    async def wait_ready(self, timeout_s: float) -> bool: ...

    async def prove(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthParts:
    """``doctor`` examines this node; ``engines`` by name; ``reads``: whether the record is open on this node."""

    doctor: Callable[[], Awaitable[Sequence[Finding]]]
    engines: Callable[[], dict[str, Engine]]
    store: Store
    reads: Callable[[], bool]


def health_drill(parts: HealthParts) -> Drill:
    """Every node makes its own."""

    async def perform(rehearsal: Rehearsal) -> None:
        await _doctor(rehearsal, parts)
        for name, engine in sorted(parts.engines().items()):
            await _engine(rehearsal, name, engine)
        if parts.reads():
            async with rehearsal.step("record", "Leitura do prontuário", "Read of the record") as figures:
                figures["read"] = await parts.store.read(read_newest) or "-"

    return Drill(
        name="health", title_pt="validação diária de saúde", title_en="daily health validation", every_s=DAY_S,
        about_pt="O doctor confere o nó, cada modelo responde a um pedido de teste e o prontuário é lido.",
        about_en="The doctor checks the node, every engine answers a test request, and the record is read.",
        perform=perform,
    )  # fmt: skip


async def _doctor(rehearsal: Rehearsal, parts: HealthParts) -> None:
    async with rehearsal.step("doctor", "Conferências do doctor", "The doctor's checks") as figures:
        found = await parts.doctor()
        figures.update(checks=len(found), warnings=sum(one.status == "warning" for one in found))
        failed = [one.check for one in found if one.status == "failed"]
        if failed:
            raise DOCTOR_FOUND(count=len(failed), checks=", ".join(failed[:_SHOWN]))


async def _engine(rehearsal: Rehearsal, name: str, engine: Engine) -> None:
    async with rehearsal.step(
        f"engine {name}", f"Pedido de teste ao modelo {name}", f"Test request to the engine {name}"
    ) as told:
        await engine.wait_ready(READY_LIMIT_S)
        wrong = await engine.prove()
        if wrong == UNPROVED:
            told["answer"] = UNPROVED
        elif wrong in NO_ILLNESS:
            told["answer"] = "busy"
        elif wrong:
            raise ENGINE_SILENT(engine=name, reason=wrong)
