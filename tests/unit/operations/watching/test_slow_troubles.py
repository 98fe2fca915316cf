"""Alerts about work of days: an update that got stuck half-way, a drill that failed or found no quiet hour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from appliance.config.model import Paths
from appliance.daemon.record import RecordSlot
from appliance.daemon.updates.desk import UpdatesDesk
from appliance.operations.backup import NOT_RESTORABLE
from appliance.operations.drills.rehearsal import Rehearsal
from appliance.operations.packs.places import Places
from appliance.operations.schedule import Later
from appliance.operations.updates.state import State, Step
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.updates import NEW, OLD, make_place
from tests.unit.operations.drills.conftest import Stage, seal, staged  # noqa: F401  fixtures
from tests.unit.operations.watching.box import Box, fires

Staged = Callable[..., Stage]


@fires("UpdateHalfDone", "UpdateStuck")
def test_an_update_that_stays_between_two_versions_and_one_that_can_not_go_back(box: Box, tmp_path: Path) -> None:
    """The update's own journal, as a power cut leaves it."""
    place, paths = make_place(tmp_path), Paths(tmp_path / "home")
    UpdatesDesk(paths, RecordSlot(), box.metrics, OLD, places=Places(paths.inbox, ()), place=place)
    state = State(run="r", version=NEW, before=OLD, staged="/staged", step=Step.TURN)
    place.save(state)
    box.expect(within=1300)
    place.save(msgspec.structs.replace(state, step=Step.SWITCH))
    box.expect("UpdateHalfDone", within=1300)
    place.save(msgspec.structs.replace(state, step=Step.STUCK))
    box.expect("UpdateHalfDone", "UpdateStuck")
    place.save(msgspec.structs.replace(state, step=Step.DONE))
    box.expect()


@fires("DrillAnnounced", "DrillPutOff")
async def test_a_drill_that_is_announced_and_finds_no_quiet_hour(box: Box, staged: Staged) -> None:  # noqa: F811
    """Until a person chooses the hour."""
    stage = staged()
    box.metrics, box.clock = stage.metrics, stage.clock
    box.expect()
    stage.consults = 2
    with pytest.raises(Later):
        await stage.turn()
    box.expect("DrillAnnounced")
    stage.clock.pass_time(1801)
    for _ in range(2):
        with pytest.raises(Later):
            await stage.turn()
    with pytest.raises(ProntuarioError):
        await stage.turn()
    box.expect("DrillPutOff")
    stage.consults = 0
    stage.conductor.ask("walk", "ana.ti")
    await stage.turn()
    box.expect()


@fires("DrillFailed")
async def test_a_drill_that_fails_and_is_made_again(box: Box, staged: Staged) -> None:  # noqa: F811
    def fall(_rehearsal: Rehearsal) -> None:
        raise NOT_RESTORABLE(exit_code=3)

    def walk(_rehearsal: Rehearsal) -> None:
        """Well this time."""

    stage = staged(disturbs=False)
    box.metrics, box.clock = stage.metrics, stage.clock
    stage.act = fall
    with pytest.raises(ProntuarioError):
        await stage.turn()
    box.expect("DrillFailed")
    stage.act = walk
    await stage.turn()
    box.expect()
