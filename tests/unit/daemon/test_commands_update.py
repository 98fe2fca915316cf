"""``prontuario update`` as a person types it: what it says, refuses and leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from appliance.daemon.cli import main
from appliance.daemon.exits import Exit
from appliance.operations.updates.journal import Place
from appliance.operations.updates.state import State, Step, noted
from appliance.store.migrate import known_migrations
from tests.fakes.updates import MAKER, NEW, OLD, PARTS, STRANGER, make_place, manifest, public_pem, schema, write_bundle

WITHOUT_PACK = {path: body for path, body in PARTS.items() if not path.startswith("packs/")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    told = manifest(WITHOUT_PACK, schema=schema(*known_migrations()))
    return write_bundle(tmp_path / "stick", told, files=WITHOUT_PACK)


def say(place: Place, *words: object, told: str = "") -> Result:
    """Run the command as ``prontuario`` does, with a home beside the program's folder."""
    home = place.prefix.parent / "home"
    home.mkdir(exist_ok=True)
    verb, *rest = map(str, words)
    options = [f"--prefix={place.prefix}", *([] if verb in {"status", "trust"} else [f"--home={home}"])]
    return CliRunner().invoke(main, ["update", verb, *options, *rest], input=told)


def test_verify_reads_everything_and_changes_nothing(place: Place, stick: Path) -> None:
    before = sorted(place.prefix.rglob("*"))
    done = say(place, "verify", stick)
    assert done.exit_code == 0, done.output
    assert f"{NEW}, made 2026-11-21, from {OLD} on" in done.output
    assert "Mais rápido." in done.output
    assert sorted(place.prefix.rglob("*")) == before
    told = json.loads(say(place, "verify", stick, "--json").stdout)
    assert (told["version"], [part["kind"] for part in told["parts"]]) == (NEW, ["package", "table"])


def test_a_refusal_says_why_and_what_to_do(place: Place, stick: Path) -> None:
    victim = stick / next(iter(WITHOUT_PACK))
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    for verb in ("verify", "stage", "apply"):
        done = say(place, verb, stick)
        assert done.exit_code == Exit.FAILED
        assert "is not the file that was signed. Nothing changed." in done.output
        assert "(update.altered)" in done.output
    assert place.load() is None


def test_staged_once_it_waits_and_another_one_is_refused(place: Place, stick: Path, tmp_path: Path) -> None:
    assert say(place, "apply").exit_code == Exit.FAILED
    done = say(place, "stage", stick)
    assert done.exit_code == 0, done.output
    assert "sudo prontuario update apply" in done.output
    state = place.load()
    assert state is not None
    assert (state.before, state.version, state.step, state.tables) == (
        OLD,
        NEW,
        Step.TURN,
        ("medical_images/label_sets/knee.toml",),
    )
    assert say(place, "stage", stick).exit_code == 0
    files = {"prontuario-1.2.0.pkg": b"newer"}
    parts = (msgspec.structs.replace(manifest(files).parts[0], name="1.2.0"),)
    newer = manifest(files, version="1.2.0", schema=schema(*known_migrations()), parts=parts)
    other = say(place, "stage", write_bundle(tmp_path / "other", newer, files=files))
    assert "half done" in other.output
    assert place.load() == state


def test_a_mac_alone_has_the_version_typed(place: Place, stick: Path) -> None:
    say(place, "stage", stick)
    done = say(place, "apply", told="1.0\n")
    assert done.exit_code == Exit.FAILED
    assert "Este Mac trabalha sozinho" in done.output
    assert "update.confirmation" in done.output
    state = place.load()
    assert state is not None
    assert not state.confirmed
    assert say(place, "apply", "--window=2-4").exit_code == Exit.USAGE


def test_a_window_that_has_not_come_is_waited_for(place: Place, stick: Path) -> None:
    say(place, "stage", stick)
    done = say(place, "apply", "--window=00:00-00:00", "--no-wait")  # an empty one never comes
    assert done.exit_code == Exit.UNHEALTHY
    assert "espera a confirmação ou a janela" in done.output
    state = place.load()
    assert state is not None
    assert (state.step, state.waits, state.window) == (Step.TURN, "confirmation", "00:00-00:00")


def test_status_tells_the_step_and_the_past(place: Place) -> None:
    assert f"runs          {OLD}" in say(place, "status").output
    state = noted(
        State(run="r", version=NEW, before=OLD, staged="/s", step=Step.PROVE), "2026-11-21T03:00:00Z", "begun"
    )
    place.save(state)
    done = say(place, "status")
    assert done.exit_code == Exit.UNHEALTHY
    assert f"{OLD} to {NEW}: consulta sintética" in done.output
    place.remember(msgspec.structs.replace(state, run="earlier", step=Step.ROLLED_BACK))
    told = json.loads(say(place, "status", "--json").stdout.splitlines()[0])
    assert (told["step"], told["half_done"], told["past"][0]["step_pt"]) == ("prove", True, "desfeita")
    assert "not installed by the package" in say(Place(place.prefix.parent / "nowhere"), "status").output


def test_taking_back_is_confirmed_and_told(place: Place, stick: Path) -> None:
    assert say(place, "rollback", f"--yes-i-typed={OLD}").exit_code == Exit.FAILED, "there is nothing to take back"
    say(place, "stage", stick)
    assert "nothing was done" in say(place, "rollback", "--yes-i-typed=no").output
    done = say(place, "rollback", f"--yes-i-typed={OLD}")
    assert done.exit_code == 0, done.output
    state = place.load()
    assert state is not None
    assert (state.step, state.failure) == (Step.ROLLED_BACK, "update.asked_back")
    told = [(one.step.value, one.what) for one in state.entries]
    assert (told[:2], told[-1]) == ([("turn", "begun"), ("turn", "asked")], ("rolled-back", "done"))


def test_one_command_at_a_time(place: Place, stick: Path) -> None:
    with place.alone():
        assert "update.busy" in say(place, "stage", stick).output


def test_a_disk_that_takes_nothing_more_is_told_in_a_sentence(place: Place, stick: Path) -> None:
    (place.folder / ".lock").mkdir()  # a file can't be written there, as on a full disk
    done = say(place, "stage", stick)
    assert done.exit_code == Exit.FAILED
    assert isinstance(done.exception, SystemExit), "no traceback"
    assert ".lock: Is a directory. Nothing further was done." in done.output
    assert "give the same command again" in done.output
    assert place.load() is None


def test_a_key_is_trusted_by_its_file(place: Place, tmp_path: Path) -> None:
    key = tmp_path / "stranger.pub.pem"
    key.write_bytes(public_pem(STRANGER))
    done = say(place, "trust", key)
    assert done.exit_code == 0
    assert len(place.trusted()) == 2
    assert MAKER.public_key().public_bytes_raw() in {one.public_bytes_raw() for one in place.trusted()}
