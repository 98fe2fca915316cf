"""Before an update is begun: what was checked is what is copied, and another one is never taken for the one under way."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from appliance.operations.updates.fitness import SPARE_BYTES
from appliance.operations.updates.journal import Place
from appliance.operations.updates.preparing import Preparation
from appliance.operations.updates.state import Step
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.clock import SystemClock
from tests.fakes.updates import KNOWN, NEW, OLD, PARTS, make_place, manifest, write_bundle

FILES = {path: body for path, body in PARTS.items() if not path.startswith("packs/")}
ROOM = 1 << 40


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "stick", manifest(FILES), files=FILES)


def test_the_same_bundle_again_is_as_it_was_left(place: Place, home: Path, stick: Path) -> None:
    preparation = Preparation(place, home, SystemClock(), migrations=KNOWN, free=lambda _: ROOM)
    state = preparation.stage(stick)
    assert (state.version, state.before, state.step) == (NEW, OLD, Step.TURN)
    assert preparation.stage(stick) == state


def test_another_bundle_under_the_same_version_is_not_taken_for_it(
    place: Place, home: Path, stick: Path, tmp_path: Path
) -> None:
    """The maker mended it and kept its number: who stages it must not be told that it is, while the old one lies there."""
    preparation = Preparation(place, home, SystemClock(), migrations=KNOWN, free=lambda _: ROOM)
    state = preparation.stage(stick)
    mended = write_bundle(tmp_path / "mended", manifest(FILES, notes_en="Mended."), files=FILES)
    with pytest.raises(ProntuarioError) as caught:
        preparation.stage(mended)
    assert caught.value.kind.code == "update.unfinished"
    assert place.load() == state


def test_a_stick_that_shows_one_bundle_and_gives_another_is_refused(
    place: Place, home: Path, stick: Path, tmp_path: Path
) -> None:
    """Both are signed; the one that is copied was never asked whether it may come here."""
    other = write_bundle(tmp_path / "other", manifest(FILES, from_version="0.9.0"), files=FILES)

    def changed(_folder: Path) -> int:
        shutil.copytree(other, stick, dirs_exist_ok=True)
        return ROOM

    with pytest.raises(ProntuarioError) as caught:
        Preparation(place, home, SystemClock(), migrations=KNOWN, free=changed).stage(stick)
    assert caught.value.kind.code == "update.altered"
    assert place.load() is None


def test_what_an_ended_update_left_staged_is_room_for_the_next(
    place: Place, home: Path, stick: Path, tmp_path: Path
) -> None:
    """Nobody is told to free space for which the next staging makes room by itself."""
    state = Preparation(place, home, SystemClock(), migrations=KNOWN, free=lambda _: ROOM).stage(stick)
    left = sum(one.stat().st_size for one in place.staged.rglob("*") if one.is_file())
    told = manifest(FILES, notes_en="Mended.")
    mended = write_bundle(tmp_path / "mended", told, files=FILES)
    tables = sum(file.size for part in told.of_kind("table") for file in part.files)
    needed = told.size + 2 * told.installed_bytes + SPARE_BYTES + tables
    place.save(msgspec.structs.replace(state, step=Step.ROLLED_BACK))
    with pytest.raises(ProntuarioError) as caught:
        Preparation(place, home, SystemClock(), migrations=KNOWN, free=lambda _: needed - left - 1).stage(mended)
    assert caught.value.kind.code == "update.no_room"
    ready = Preparation(place, home, SystemClock(), migrations=KNOWN, free=lambda _: needed - left)
    assert ready.verify(mended) == told
    assert ready.stage(mended).version == NEW
