"""The hands on one half of a pair: what they see of it, and what they ask of core. What they do to a Mac: tests/packaging."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.cluster.model import NOTHING, ClusterStatus, Role
from appliance.config.model import Paths
from appliance.daemon.updates import hands as hands_module
from appliance.daemon.updates.hands import MacHands
from appliance.daemon.updates.programs import Machine, Ran, last_line
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import Shelf
from appliance.operations.updates.decide import Seen
from appliance.operations.updates.state import Pack, State
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import packs
from tests.fakes.updates import NEW, OLD, KilledError, make_place, write_bundle

STATE = State(run="r", version=NEW, before=OLD, staged="/staged", window="00:00-00:00")
Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class NoPrograms:
    """Nothing is run in these tests."""

    def run(self, words: Sequence[str], limit_s: float, *, hold: int, owner: Path | None = None) -> Ran:
        raise AssertionError(words)


class Scripts:
    """Shipped scripts by their names, each with an exit status; ``ran`` is what was run."""

    def __init__(self, **statuses: int) -> None:
        self.statuses, self.ran = statuses, list[list[str]]()

    def run(self, words: Sequence[str], limit_s: float, *, hold: int, owner: Path | None = None) -> Ran:
        script = Path(words[0])
        self.ran.append([script.name, *words[1:]])
        return Ran(self.statuses[script.stem], f"{script.name} says so")


class KilledMeanwhile:
    """Whoever runs programs here is killed before they end; what they hold stays with them."""

    def __init__(self) -> None:
        self.held: list[int] = []

    def run(self, words: Sequence[str], limit_s: float, *, hold: int, owner: Path | None = None) -> Ran:
        self.held.append(os.dup(hold))
        raise KilledError


class Core(socketserver.ThreadingUnixStreamServer):
    """Core's operator socket, answering by a table; ``asked`` is what it was asked."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self.answers, self.asked = answers, list[dict[str, Any]]()
        super().__init__(str(path), _Line)


class _Line(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        request = json.loads(self.rfile.readline())
        assert isinstance(self.server, Core)
        self.server.asked.append(request)
        answer = self.server.answers.get(request["verb"], lambda _: {"error": "unknown verb"})
        self.wfile.write(json.dumps(answer(request)).encode() + b"\n")


@contextmanager
def core(home: Path, **answers: Answer) -> Iterator[Core]:
    path = Paths(home).socket("control")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with Core(path, {name.replace("_", "."): answer for name, answer in answers.items()}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            path.unlink()


def status(role: Role, leader: str | None, in_sync: str | None) -> dict[str, Any]:
    told = ClusterStatus(
        node="a", peer="b", role=role, mode="paired", epoch=3, leader=leader, leader_since=None, own=NOTHING, peer_held=None,
        lag_txids=None, lag_s=None, in_sync=in_sync, unreplicated_rows=0, voters=(3, 3), vip=None, last_drill=None,
    )  # fmt: skip
    return {"status": msgspec.to_builtins(told)}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    (made / "prontuario.toml").write_text('[cluster]\nmode = "paired"\n')
    return made


@pytest.fixture
def hands(tmp_path: Path, home: Path) -> MacHands:
    return MacHands(make_place(tmp_path), home, NoPrograms())


def test_a_node_alone_is_seen_without_asking_core(hands: MacHands, home: Path) -> None:
    (home / "prontuario.toml").write_text("")
    assert hands.look(STATE) == Seen(OLD)
    halves = [msgspec.structs.replace(STATE, window=window) for window in ("00:00-12:00", "12:00-00:00")]
    assert [hands.look(one).in_window for one in halves].count(True) == 1, "it is now in one half of the day"
    (home / "prontuario.toml").unlink()
    assert hands.look(STATE) == Seen(OLD)


def test_a_node_of_a_pair_that_does_not_answer_is_neither_leader_nor_standby(hands: MacHands) -> None:
    assert hands.look(STATE) == Seen(OLD, paired=True)


def test_what_core_says_of_the_pair(hands: MacHands, home: Path) -> None:
    told = status(Role.STANDBY, "b", "a")
    with core(home, cluster_status=lambda _: told, update_peer=lambda _: {"version": NEW, "at_work": True}):
        assert hands.look(STATE) == Seen(
            OLD, paired=True, leads=False, leader=True, in_step=True, peer_version=NEW, peer_at_work=True
        )
        told = status(Role.STANDBY, "b", None)
        assert not hands.look(STATE).in_step
        told = status(Role.PRIMARY, "a", "b")
        assert (hands.look(STATE).leads, hands.look(STATE).in_step) == (True, True)
        told = status(Role.PRIMARY, "a", None)
        assert not hands.look(STATE).in_step
        told = status(Role.STANDBY, None, "a")
        assert not hands.look(STATE).leader


def test_a_node_whose_update_went_back_keeps_the_other_from_leaving_it_two_versions_behind(
    hands: MacHands, home: Path, tmp_path: Path
) -> None:
    """It could not read the database of the one after the next, and nobody would be left to take over."""
    state = msgspec.structs.replace(STATE, staged=str(write_bundle(tmp_path / "bundle")))
    told = status(Role.STANDBY, "b", "a")
    for version, fits in (("0.9.0", False), (OLD, True), (NEW, True), ("unknown", True)):
        with core(home, cluster_status=lambda _: told, update_peer=lambda _, said=version: {"version": said}):
            assert hands.look(state).peer_fits is fits


def test_a_version_before_this_one_says_nothing_of_the_other_node(hands: MacHands, home: Path) -> None:
    with core(home, cluster_status=lambda _: status(Role.STANDBY, "b", "a")):
        assert (hands.look(STATE).peer_version, hands.look(STATE).peer_at_work) == ("", False)


def test_taking_over_and_giving_back_wait_until_it_is_so(hands: MacHands, home: Path) -> None:
    looks = iter([status(Role.STANDBY, "b", "a"), status(Role.PRIMARY, "a", None), status(Role.STANDBY, "b", None)])
    with core(home, cluster_act=lambda _: {"begun": "handover"}, cluster_status=lambda _: next(looks)) as server:
        hands.lead(STATE)
        hands.yield_lead(STATE)
        orders = [one["action"] for one in server.asked if one["verb"] == "cluster.act"]
        assert orders == ["handover", "handover"]
    assert next(looks, None) is None


def test_a_handover_that_is_refused_or_does_not_come_is_told(
    hands: MacHands, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with core(home, cluster_act=lambda _: {"error": "nobody is in step", "code": "cluster.no_handover"}):
        with pytest.raises(ProntuarioError, match="nobody is in step") as caught:
            hands.lead(STATE)
        assert caught.value.kind.code == "update.handover"
    monkeypatch.setattr(hands_module, "HANDOVER_LIMIT_S", 0.0)
    with (
        core(home, cluster_act=lambda _: {}, cluster_status=lambda _: status(Role.STANDBY, "b", "a")),
        pytest.raises(ProntuarioError, match="nothing happened"),
    ):
        hands.lead(STATE)


def test_models_are_put_to_work_by_core_and_a_refusal_is_told(hands: MacHands, home: Path) -> None:
    state = msgspec.structs.replace(STATE, packs=(Pack("one-1", "chat_model"), Pack("two-1", "embedder")))
    refused = {"error": "The pack two-1 failed its test.", "code": "pack.gate"}
    with core(home, models_activate=lambda one: refused if one["pack"] == "two-1" else {"pack": "one-1"}) as server:
        with pytest.raises(ProntuarioError, match="two-1 failed its test"):
            hands.models(state)
        assert [one["pack"] for one in server.asked] == ["one-1", "two-1"]


def test_models_go_back_also_when_no_core_answers(hands: MacHands, home: Path, tmp_path: Path) -> None:
    paths = Paths(home)
    packs.write_trusted(paths.pack_keys)
    shelf = Shelf(paths.models, paths.pack_keys)
    for version in (1, 2):
        packs.make(tmp_path / f"source-{version}", version=version)
        Intake(shelf, spare_bytes=0).take_in(tmp_path / f"source-{version}")
        shelf.point("chat_model", f"tiny-{version}")
    state = msgspec.structs.replace(STATE, packs=(Pack("tiny-2", "chat_model"),))
    for _ in range(2):
        hands.put_back(state)
        assert shelf.active("chat_model") == "tiny-1"


def test_a_version_that_came_back_by_itself_is_asked_how_it_is(tmp_path: Path, home: Path) -> None:
    place = make_place(tmp_path)
    gate, again = ["health_gate.sh", str(home), str(hands_module.GATE_S)], ["activate.sh", OLD, "/"]
    well = Scripts(health_gate=0)
    MacHands(place, home, well).back(STATE)
    assert well.ran == [gate], "it is not stopped once more"
    ill = Scripts(health_gate=1, activate=0)
    MacHands(place, home, ill).back(STATE)
    assert ill.ran == [gate, again]
    worse = Scripts(health_gate=1, activate=5)
    with pytest.raises(ProntuarioError, match=r"activate\.sh says so") as caught:
        MacHands(place, home, worse).back(STATE)
    assert caught.value.kind.code == "update.back"
    restarted = Scripts(activate=0)
    MacHands(place, home, restarted).back(msgspec.structs.replace(STATE, tables=("a/b",)))
    assert restarted.ran == [again]


def test_the_machine_s_programs_tell_how_they_ended(tmp_path: Path) -> None:
    machine = Machine()
    with make_place(tmp_path).work() as hold:
        done = machine.run(["sh", "-c", "echo first; echo; echo last >&2; exit 7"], 60.0, hold=hold, owner=tmp_path)
        assert "HOME" not in machine.run(["env"], 60.0, hold=hold).said
    assert (done.status, last_line(done.said)) == (7, "last")
    assert last_line("\n \n") == "it said nothing"


def test_what_a_killed_command_had_started_keeps_the_next_one_waiting(tmp_path: Path, home: Path) -> None:
    place, programs = make_place(tmp_path), KilledMeanwhile()
    staged = write_bundle(tmp_path / "bundle")
    state = msgspec.structs.replace(STATE, staged=str(staged))
    hands = MacHands(place, home, programs)
    for hand in (hands.switch, hands.prove, hands.back):
        with pytest.raises(KilledError):
            hand(state)
        with pytest.raises(ProntuarioError) as caught, place.work(limit_s=0.0):
            pytest.fail("two at work")
        assert caught.value.kind.code == "update.busy"
        os.close(programs.held.pop())
        place.settle()


def test_a_program_keeps_its_hold_when_its_caller_is_gone(tmp_path: Path) -> None:
    place = make_place(tmp_path)
    with place.work() as hold:
        orphan = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(hold,))
    with orphan, pytest.raises(ProntuarioError), place.work(limit_s=0.0):
        pytest.fail("two at work")
    place.settle()
