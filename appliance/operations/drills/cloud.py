"""The monthly cloud fallback: only where a cloud or a copy outside is configured, and never taken for passed where it is not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, runtime_checkable

import msgspec

from appliance.operations.drills.conductor import Drill
from appliance.operations.drills.mirror import MirrorParts, rehearse_mirror
from appliance.operations.drills.rehearsal import Rehearsal

MONTH_S: Final = 30 * 24 * 3600.0
_STEP: Final = ("cloud", "Atendimento de emergência na nuvem", "Emergency service in the cloud")


class CloudRehearsal(msgspec.Struct, frozen=True):
    """What the cloud's plugin measured: until it served, in seconds, and of ``watched`` writes how many were missing there."""

    rto_s: float
    watched: int
    lost: int


@runtime_checkable
class Rehearses(Protocol):
    """A ``CloudSync`` that can rehearse its own emergency service."""

    def rehearse(self) -> Awaitable[CloudRehearsal]:
        """Start it, read what it has, stop it. Raises ``ProntuarioError``."""
        ...


def cloud_drill(
    cloud: Callable[[], object | None], here: Callable[[], bool], mirror: MirrorParts | None = None
) -> Drill:
    """``cloud``: the configured provider of the moment; None: there is none. ``mirror``: of a copy outside this Mac."""

    async def perform(rehearsal: Rehearsal) -> None:
        if mirror is not None:
            await rehearse_mirror(rehearsal, mirror)
        name, pt, en = _STEP
        provider = cloud()
        if provider is None:
            why = ("não há nuvem neste hospital (gcp_sync).", "this hospital has no cloud (gcp_sync).")
            rehearsal.not_configured(name, pt, en, why=why)
            return
        if not isinstance(provider, Rehearses):
            why = ("o plugin da nuvem não sabe ensaiar.", "the cloud's plugin can't rehearse.")
            rehearsal.not_configured(name, pt, en, why=why)
            return
        async with rehearsal.step(name, pt, en):
            told = await provider.rehearse()
            rehearsal.measured(told.rto_s, lost=told.lost, watched=told.watched)

    return Drill(
        name="cloud", title_pt="ensaio mensal da nuvem", title_en="monthly cloud fallback", every_s=MONTH_S,
        about_pt="A cópia fora deste Mac é restaurada e lida, onde há uma; o atendimento de emergência na nuvem é ligado, lido e "
        "desligado, onde há nuvem.",
        about_en="The copy outside this Mac is restored and read, where there is one; the emergency service in the cloud is "
        "switched on, read and switched off, where there is a cloud.",
        perform=perform, shared=True, here=here,
    )  # fmt: skip
