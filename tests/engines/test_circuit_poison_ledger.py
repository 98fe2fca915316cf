from __future__ import annotations

import psutil
import pytest

from appliance.engines.circuit import DEATHS, PAUSE_S, WINDOW_S, Circuit
from appliance.engines.ledger import MemoryLedger
from appliance.engines.poison import PoisonRegister, fingerprint
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import EngineSpec
from appliance.plugin_api.errors import ProntuarioError


def test_the_fifth_death_within_a_minute_opens_the_circuit() -> None:
    circuit = Circuit()
    waits = [circuit.died(float(second)) for second in range(DEATHS)]
    assert waits[-1] is None
    assert None not in waits[:-1]


def test_waits_grow_from_death_to_death_and_stay_short() -> None:
    circuit = Circuit()
    waits = [wait for second in range(DEATHS - 1) if (wait := circuit.died(float(second))) is not None]
    assert waits == sorted(set(waits))
    assert waits[0] <= 0.2
    assert waits[-1] <= 5.0


def test_deaths_far_apart_never_open_it() -> None:
    circuit = Circuit()
    waits = [circuit.died(number * WINDOW_S) for number in range(20)]
    assert len(set(waits)) == 1
    assert waits[0] is not None


def test_a_death_on_trial_opens_it_again_at_once() -> None:
    circuit = Circuit()
    for second in range(DEATHS):
        circuit.died(float(second))
    circuit.half_open(PAUSE_S)
    assert circuit.died(PAUSE_S + 1) is None


def test_a_trial_that_lasts_a_window_counts_as_healthy() -> None:
    circuit = Circuit()
    for second in range(DEATHS):
        circuit.died(float(second))
    circuit.half_open(PAUSE_S)
    assert circuit.died(PAUSE_S + WINDOW_S + 1) is not None


def test_an_operator_closes_it() -> None:
    circuit = Circuit()
    for second in range(DEATHS):
        circuit.died(float(second))
    circuit.reset()
    assert circuit.died(float(DEATHS)) is not None


def test_a_request_is_poisonous_after_two_deaths() -> None:
    register = PoisonRegister()
    bad, innocent = fingerprint("chat", b"bad"), fingerprint("chat", b"good")
    register.blame([bad, innocent])
    assert register.suspect(bad)
    assert not register.poisonous(bad)
    register.blame([bad])
    assert register.poisonous(bad)
    assert not register.poisonous(innocent)


def test_twins_at_one_death_count_as_one() -> None:
    register = PoisonRegister()
    mark = fingerprint("chat", b"same")
    register.blame([mark, mark, mark])
    assert not register.poisonous(mark)


async def test_a_restart_by_hand_gives_what_was_refused_another_chance() -> None:
    engine = EngineSupervisor(EngineSpec("echo", "x:y"), MemoryLedger(1 << 20))
    mark = fingerprint("chat", b"accused")
    for _ in range(2):
        engine.requests.poison.blame([mark])
    assert engine.requests.poison.poisonous(mark)
    engine.restart()
    assert not engine.requests.poison.suspect(mark)


def test_an_acquitted_request_is_no_suspect_any_more() -> None:
    register = PoisonRegister()
    mark = fingerprint("chat", b"x")
    register.blame([mark])
    register.acquit(mark)
    assert not register.suspect(mark)
    assert len(register) == 0


def test_the_register_is_bounded_and_forgets_the_oldest() -> None:
    register = PoisonRegister(remembered=3)
    marks = [fingerprint("chat", bytes([number])) for number in range(5)]
    for mark in marks:
        register.blame([mark])
    assert [register.suspect(mark) for mark in marks] == [False, False, True, True, True]


def test_kind_and_payload_both_count_and_are_not_confused() -> None:
    assert fingerprint("a", b"b") != fingerprint("b", b"a")
    assert fingerprint("ab", b"") != fingerprint("a", b"b")


def test_a_model_that_does_not_fit_is_refused_with_the_figures() -> None:
    ledger = MemoryLedger(1000)
    ledger.reserve("speech", 600)
    with pytest.raises(ProntuarioError) as refusal:
        ledger.reserve("chat", 500)
    assert refusal.value.kind.code == "engine.memory"
    assert refusal.value.details["free_bytes"] == 400
    assert refusal.value.details["needed_bytes"] == 500
    assert ledger.held() == {"speech": 600}


def test_a_second_reservation_replaces_the_first() -> None:
    ledger = MemoryLedger(1000)
    ledger.reserve("chat", 600)
    ledger.reserve("chat", 900)
    assert ledger.free_bytes == 100
    with pytest.raises(ProntuarioError):
        ledger.reserve("chat", 1001)
    assert ledger.held() == {"chat": 900}


def test_released_memory_is_free_again() -> None:
    ledger = MemoryLedger(1000)
    ledger.reserve("chat", 1000)
    ledger.release("chat")
    ledger.release("chat")
    assert ledger.free_bytes == 1000


def test_without_a_configured_budget_it_is_a_share_of_the_machine() -> None:
    total = psutil.virtual_memory().total
    assert total * 0.5 < MemoryLedger(0).budget_bytes < total * 0.7
