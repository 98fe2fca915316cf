"""Alerts about work of days: an update that got stuck half-way, a drill that failed or found no quiet hour, a disk that fills."""

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
from tests.unit.operations.test_budgets import DAY_S, GB, Ground
from tests.unit.operations.watching.test_broken_inputs import Box

Staged = Callable[..., Stage]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


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


async def test_a_drill_that_is_announced_and_finds_no_quiet_hour(staged: Staged, tmp_path: Path) -> None:  # noqa: F811
    stage = staged()
    box = Box(tmp_path, metrics=stage.metrics, clock=stage.clock)
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


async def test_a_drill_that_fails(staged: Staged, tmp_path: Path) -> None:  # noqa: F811
    def fall(_rehearsal: Rehearsal) -> None:
        raise NOT_RESTORABLE(exit_code=3)

    stage = staged(disturbs=False)
    box = Box(tmp_path, metrics=stage.metrics, clock=stage.clock)
    stage.act = fall
    with pytest.raises(ProntuarioError):
        await stage.turn()
    box.expect("DrillFailed")


async def test_a_disk_that_will_be_full_within_the_month(tmp_path: Path) -> None:
    """Forty-five gigabytes a day on a disk of a terabyte."""
    ground = Ground(tmp_path)
    box = Box(tmp_path, metrics=ground.metrics, clock=ground.clock)
    await ground.ledger.sample()
    box.expect(within=310)
    for _ in range(10):
        ground.clock.pass_time(DAY_S)
        ground.used += 45 * GB
        await ground.ledger.sample()
    box.expect("CapacityEnding", within=310)
