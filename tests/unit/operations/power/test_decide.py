"""The invariants of ``decide`` over made-up histories, and the stories that they come from."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.operations.power.decide import Action, Observation, Rules, State, decide
from appliance.operations.power.reading import Reading, Supply

RULES = Rules(confirm_s=5.0, calm_s=60.0, handover_s=30.0)
MAINS, BATTERY, LOW = Supply.MAINS, Supply.BATTERY, Supply.LOW
RANK = {MAINS: 0, BATTERY: 1, LOW: 2}


@dataclass
class History:
    """Feeds ``decide`` and remembers what it ordered, with the moment and what it saw."""

    state: State = field(default_factory=State)
    now: float = 0.0
    seen: list[Observation] = field(default_factory=list)
    orders: list[tuple[Action, int]] = field(default_factory=list)
    beliefs: list[State] = field(default_factory=list)

    def look(
        self, supply: Supply | None, *, leads: bool = True, peer: Supply | None = None, able: bool = False
    ) -> None:
        reading = Reading(supply=supply) if supply is not None else None
        observation = Observation(now=self.now, reading=reading, leads=leads, peer=peer, peer_can_take_over=able)
        self.state, actions = decide(self.state, observation, RULES)
        self.orders += [(action, len(self.seen)) for action in actions]
        self.seen.append(observation)
        self.beliefs.append(self.state)

    def during(
        self,
        seconds: float,
        supply: Supply | None,
        *,
        leads: bool = True,
        peer: Supply | None = None,
        able: bool = False,
    ) -> None:
        for _ in range(int(seconds)):
            self.look(supply, leads=leads, peer=peer, able=able)
            self.now += 1.0

    @property
    def ordered(self) -> list[Action]:
        return [action for action, _ in self.orders]


@st.composite
def histories(draw: st.DrawFn) -> History:
    told = History()
    supplies = st.sampled_from([MAINS, BATTERY, LOW, None])
    for _ in range(draw(st.integers(1, 12))):
        supply, peer = draw(supplies), draw(supplies)
        leads, able = draw(st.booleans()), draw(st.booleans())
        for _ in range(draw(st.integers(1, 12))):
            told.look(supply, leads=leads, peer=peer, able=able)
            told.now += draw(st.sampled_from([0.5, 2.0, 7.0, 40.0]))
    return told


def least_bad_since(told: History, index: int, seconds: float) -> int:
    """The least bad rank of every reading of the last ``seconds`` before observation ``index``, the first of them included."""
    until = told.seen[index].now
    window = [one for one in told.seen[: index + 1] if one.now > until - seconds]
    return min(RANK[one.reading.supply] for one in window if one.reading is not None)


@settings(max_examples=120, deadline=None)
@given(histories())
def test_every_invariant_holds(told: History) -> None:
    for action, index in told.orders:
        seen, state = told.seen[index], told.beliefs[index]
        assert seen.reading is not None, "1: a silent UPS is no reason"
        if action is Action.HAND_OVER:
            assert seen.leads, "3"
            assert seen.peer_can_take_over, "3"
            assert seen.peer is MAINS if state.supply is BATTERY else seen.peer is not LOW, "3"
        if action in {Action.HAND_OVER, Action.SHUT_DOWN}:
            assert state.supply is not MAINS, "6"
        if action is Action.SHUT_DOWN:
            assert state.supply is LOW, "4"
    assert told.ordered.count(Action.SHUT_DOWN) <= 1, "4"
    off = next((index for action, index in told.orders if action is Action.SHUT_DOWN), len(told.seen))
    assert all(index <= off for _, index in told.orders), "nothing follows a shutdown"


@settings(max_examples=120, deadline=None)
@given(histories())
def test_nothing_worse_is_believed_before_it_lasted(told: History) -> None:
    before = State()
    for index, state in enumerate(told.beliefs):
        if RANK[state.supply] > RANK[before.supply]:
            assert least_bad_since(told, index, RULES.confirm_s) >= RANK[state.supply], "2"
        before = state


@settings(max_examples=120, deadline=None)
@given(histories())
def test_background_work_is_shed_exactly_while_nobody_is_known_to_be_on_mains(told: History) -> None:
    for seen, state in zip(told.seen, told.beliefs, strict=True):
        if seen.reading is not None and not state.off:
            assert state.shedding is (state.supply is not MAINS and seen.peer is not MAINS), "5"
    shed = [action is Action.SHED for action in told.ordered if action in {Action.SHED, Action.RESUME}]
    assert shed == [turn % 2 == 0 for turn in range(len(shed))], "never ordered twice in a row"


@settings(max_examples=120, deadline=None)
@given(histories())
def test_a_shutdown_of_the_leader_waits_for_a_handover_that_is_possible(told: History) -> None:
    for action, index in told.orders:
        seen = told.seen[index]
        if action is Action.SHUT_DOWN and seen.leads and seen.peer_can_take_over and seen.peer is not LOW:
            asked = [told.seen[at].now for order, at in told.orders if order is Action.HAND_OVER and at <= index]
            assert asked, "4"
            assert seen.now - asked[0] >= RULES.handover_s, "4"


@given(st.lists(st.sampled_from([BATTERY, LOW, None]), min_size=1, max_size=40))
def test_a_supply_that_flaps_faster_than_confirm_changes_nothing(bad: list[Supply | None]) -> None:
    told = History()
    for supply in bad:
        told.during(3, supply, peer=MAINS, able=True)
        told.during(2, MAINS, peer=MAINS, able=True)
    assert told.ordered == []
    assert told.state.supply is MAINS


def test_on_battery_the_leader_hands_over_once_and_the_standby_goes_on() -> None:
    told = History()
    told.during(20, BATTERY, peer=MAINS, able=True)
    assert told.ordered == [Action.HAND_OVER]
    assert told.seen[told.orders[0][1]].now >= RULES.confirm_s
    told.during(100, BATTERY, leads=False, peer=MAINS, able=False)
    told.during(100, MAINS, leads=False, peer=MAINS, able=True)
    assert told.ordered == [Action.HAND_OVER], "no automatic fail-back"


def test_a_handover_that_does_not_happen_is_asked_for_again() -> None:
    told = History()
    told.during(100, BATTERY, peer=MAINS, able=True)
    assert told.ordered == [Action.HAND_OVER] * 4


def test_with_both_on_battery_background_work_is_shed_until_mains_is_back_for_good() -> None:
    told = History()
    told.during(20, BATTERY, peer=BATTERY, able=True)
    assert told.ordered == [Action.SHED]
    told.during(RULES.calm_s - 10, MAINS, peer=BATTERY)
    told.during(2, BATTERY, peer=BATTERY)
    told.during(RULES.calm_s - 10, MAINS, peer=BATTERY)
    assert told.ordered == [Action.SHED], "mains that comes and goes is not back"
    told.during(20, MAINS, peer=BATTERY)
    assert told.ordered == [Action.SHED, Action.RESUME]


def test_a_node_alone_sheds_and_then_goes_off_in_good_order() -> None:
    told = History()
    told.during(60, BATTERY)
    told.during(60, LOW)
    assert told.ordered == [Action.SHED, Action.SHUT_DOWN]


def test_a_low_leader_hands_over_first_even_to_a_node_of_unknown_supply() -> None:
    told = History()
    told.during(12, LOW, able=True)
    assert told.ordered == [Action.SHED, Action.HAND_OVER]
    told.during(2, LOW, leads=False, able=True)
    assert told.ordered[-1] is Action.SHUT_DOWN


def test_with_both_low_both_go_off() -> None:
    told = History()
    told.during(12, LOW, peer=LOW, able=True)
    assert told.ordered == [Action.SHED, Action.SHUT_DOWN]


def test_a_ups_that_falls_silent_on_battery_keeps_what_was_believed_and_acts_no_more() -> None:
    told = History()
    told.during(20, BATTERY)
    ordered = list(told.ordered)
    told.during(500, None, peer=MAINS, able=True)
    assert told.ordered == ordered
    assert (told.state.supply, told.state.silent_since) == (BATTERY, 20.0)


def test_one_reading_after_a_long_silence_is_not_enough() -> None:
    told = History()
    told.look(LOW)
    told.during(300, None)
    told.look(LOW)
    assert told.state.supply is MAINS
    assert told.ordered == []


def test_a_low_battery_is_judged_by_the_hospitals_thresholds_too() -> None:
    half = Reading(supply=BATTERY, charge_percent=50.0, runtime_s=900.0)
    assert half.judged(20.0, 180.0) == half
    assert half.judged(50.0, 180.0).supply is LOW
    assert half.judged(20.0, 900.0).supply is LOW
    assert msgspec.structs.replace(half, supply=MAINS).judged(100.0, 9999.0).supply is MAINS
    assert Reading(supply=BATTERY).judged(100.0, 9999.0).supply is BATTERY, "what is not told is not low"
