"""Alerts about work of days: an update that got stuck half-way, a drill that failed or found no quiet hour, a disk that fills."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from appliance.config.model import Paths
from appliance.daemon.record import RecordSlot
from appliance.daemon.updates.desk import UpdatesDesk
from appliance.operations.packs.places import Places
from appliance.operations.updates.state import State, Step
from tests.fakes.updates import NEW, OLD, make_place
from tests.unit.operations.watching.test_broken_inputs import Box


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
