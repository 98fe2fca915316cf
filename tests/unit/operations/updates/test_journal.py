"""An update's folder: the state survives, the keys are safe, one command at a time."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from appliance.operations.updates.journal import Place
from appliance.operations.updates.state import Pack, State, Step, noted
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.updates import MAKER, NEW, OLD, STRANGER, make_place, public_pem

STATE = State(run="r", version=NEW, before=OLD, staged="/staged")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def test_what_was_saved_is_what_is_loaded(place: Place) -> None:
    assert place.load() is None
    state = noted(msgspec.structs.replace(STATE, tables=("a/b",), step=Step.SWITCH), "2026-11-21T00:00:00Z", "begun")
    before = os.umask(0o077)  # as root's shell may have it
    try:
        place.save(state)
    finally:
        os.umask(before)
    assert place.load() == state
    assert place.state_file.stat().st_mode & 0o777 == 0o644, "the node's own user reads it"
    assert place.folder.stat().st_mode & 0o777 == 0o755


def test_the_past_grows_once_for_each_run_and_knows_the_newest_that_was_done(place: Place) -> None:
    place.save(STATE)
    place.remember(msgspec.structs.replace(STATE, step=Step.ROLLED_BACK))
    assert (place.past().newest, len(place.past().runs)) == ("", 1)
    place.remember(msgspec.structs.replace(STATE, step=Step.DONE))
    place.remember(msgspec.structs.replace(STATE, step=Step.DONE))
    assert (place.past().newest, len(place.past().runs)) == (NEW, 1)
    place.remember(msgspec.structs.replace(STATE, run="s", version="9.0.0", step=Step.ROLLED_BACK))
    assert (place.past().newest, len(place.past().runs)) == (NEW, 2)


def test_files_that_can_t_be_read_are_no_reason_to_begin_anew(place: Place) -> None:
    place.save(STATE)
    place.remember(STATE)
    for file, read in ((place.state_file, place.load), (place.past_file, place.past)):
        file.write_bytes(b'{"run": "r", "surprise": 1}')
        with pytest.raises(ProntuarioError) as caught:
            read()
        assert caught.value.kind.code == "update.state"


def test_what_a_newer_program_wrote_is_read_by_the_one_that_it_went_back_to(place: Place) -> None:
    """``rollback`` is the newer one's command; the older one's core, alerts and next update go on from its file."""
    state = noted(msgspec.structs.replace(STATE, packs=(Pack("p-1", "chat"),)), "2026-11-21T00:00:00Z", "asked")
    place.save(state)
    told = msgspec.json.decode(place.state_file.read_bytes())
    for one in (told, told["packs"][0], told["entries"][0]):
        one["of_tomorrow"] = True
    place.state_file.write_bytes(msgspec.json.encode(told))
    assert place.load() == state
    place.past_file.write_bytes(msgspec.json.encode({"newest": NEW, "runs": [told]}))
    assert place.past().runs == (state,)


def test_what_runs_and_where_its_programs_are(place: Place, tmp_path: Path) -> None:
    assert (place.running(), place.switching()) == (OLD, False)
    (place.prefix / "switching").write_text(OLD)
    assert place.switching()
    assert place.program(NEW) == place.prefix / "versions" / NEW / "bin" / "prontuario"
    assert place.script(OLD, "activate.sh") == place.prefix / "versions" / OLD / "scripts" / "activate.sh"
    with pytest.raises(ProntuarioError) as caught:
        Place(tmp_path / "nowhere").running()
    assert caught.value.kind.code == "update.not_installed"


def test_a_key_that_was_brought_is_trusted(place: Place, tmp_path: Path) -> None:
    assert [one.public_bytes_raw() for one in place.trusted()] == [MAKER.public_key().public_bytes_raw()]
    key = tmp_path / "stranger.pem"
    key.write_bytes(public_pem(STRANGER))
    assert len(place.trust(key)) == 16
    assert len(place.trusted()) == 2
    key.write_bytes(b"no key")
    with pytest.raises(ProntuarioError) as caught:
        place.trust(key)
    assert caught.value.kind.code == "pack.key"


@pytest.mark.parametrize("which", ["prefix", "folder", "keys"])
def test_keys_that_others_may_change_are_not_trusted(place: Place, which: str) -> None:
    getattr(place, which).chmod(0o777)
    with pytest.raises(ProntuarioError) as caught:
        place.trusted()
    assert caught.value.kind.code == "update.unsafe"


def test_a_link_in_the_keys_place_is_not_followed(place: Place, tmp_path: Path) -> None:
    elsewhere = place.keys.rename(tmp_path / "elsewhere")
    place.keys.symlink_to(elsewhere)
    with pytest.raises(ProntuarioError) as caught:
        place.trusted()
    assert caught.value.kind.code == "update.unsafe"


def test_one_command_at_a_time(place: Place) -> None:
    with place.alone():
        with pytest.raises(ProntuarioError) as caught, place.alone():
            pytest.fail("two are in")
        assert caught.value.kind.code == "update.busy"
    with place.alone():
        assert place.load() is None
