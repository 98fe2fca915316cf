"""The faults of the chaos run do what their names say, and every one of them comes up."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from bench.chaos_pair import both, plan
from bench.pair_faults import MEASURED, MIXED


class Recorded:
    """Writes down what is asked of it; ``power_on`` gives back something to wait for, as the lab does."""

    def __init__(self, log: list[str], name: str = "", cut_already: frozenset[tuple[str, ...]] = frozenset()) -> None:
        self._log = log
        self._name = name
        self._cut_already = cut_already

    @property
    def disks(self) -> dict[str, Recorded]:
        return {node: Recorded(self._log, f"disk {node}.") for node in ("a", "b")}

    def __getattr__(self, name: str) -> Any:
        if name == "net":
            return Recorded(self._log, "net.", self._cut_already)

        if name == "is_cut":
            return lambda *ends: ends in self._cut_already

        def call(*arguments: object, **named: object) -> Callable[[], None]:
            told = [str(one) for one in arguments] + [f"{key}={value}" for key, value in named.items()]
            self._log.append(f"{self._name}{name}({', '.join(told)})")
            return lambda: self._log.append(f"{name} waited for")

        return call


def befall(
    name: str, node: str = "a", cut_already: frozenset[tuple[str, ...]] = frozenset()
) -> tuple[list[str], list[str]]:
    log: list[str] = []
    heal = MIXED[name](Recorded(log, cut_already=cut_already), node)  # type: ignore[arg-type]
    hurt = list(log)
    log.clear()
    heal()
    return hurt, log


@pytest.mark.parametrize(
    ("name", "hurt", "healed"),
    [
        ("crash", ["power_off(a)"], ["power_on(a)", "power_on waited for"]),
        ("standby crash", ["power_off(b)"], ["power_on(b)", "power_on waited for"]),
        ("SIGSTOP", ["freeze(a)"], ["thaw(a)"]),
        ("standby SIGSTOP", ["freeze(b)"], ["thaw(b)"]),
        ("LAN cut", ["net.isolate(a)"], ["net.heal()"]),
        ("direct-link cut", ["net.cut(a, b, direct)"], ["net.heal(a, b, direct)"]),
        ("links between the two", ["net.cut(a, b)", "net.cut(a, b, direct)"], ["net.heal()"]),
        ("deaf primary", ["net.cut(voter, a, both=False)", "net.cut(b, a, both=False)"], ["net.heal()"]),
        ("split off", ["net.isolate(a, direct=True)"], ["net.heal()"]),
        ("planned handover", ["hand_over(a)"], []),
        ("core killed", ["kill_core(a)"], []),
        ("etcd member killed", ["kill_named(a, etcd)"], []),
        ("disk full on the primary", ["disk a.fill()"], ["disk a.free()"]),
        ("disk full on the standby", ["disk b.fill()"], ["disk b.free()"]),
        ("voter cut", ["net.isolate(voter)"], [f"net.heal(voter, {one})" for one in ("a", "b", "client")]),
    ],
)
def test_a_fault_hurts_what_it_names_and_heals(name: str, hurt: list[str], healed: list[str]) -> None:
    assert befall(name) == (hurt, healed)


def test_a_slow_cable_is_slow_at_both_ends_and_mended_at_both() -> None:
    hurt, healed = befall("slow cable")
    assert ["replace" in call for call in hurt] == [True, True]
    assert ["del" in call for call in healed] == [True, True]
    for calls in (hurt, healed):
        assert [call.partition(",")[0] for call in calls] == ["net.run(a", "net.run(b"]


@pytest.mark.parametrize("lies_beneath", [("voter", "a"), ("a", "voter")])
def test_a_second_fault_does_not_heal_what_the_first_one_cut(lies_beneath: tuple[str, str]) -> None:
    """A split-off primary that got its voter back led on, where no client could reach it."""
    assert befall("voter cut", cut_already=frozenset({lies_beneath}))[1] == [
        "net.heal(voter, b)",
        "net.heal(voter, client)",
    ]
    assert befall("direct-link cut", cut_already=frozenset({("a", "b", "direct")})) == ([], [])


def test_every_fault_has_been_described_above() -> None:
    assert len(MIXED) == 16
    assert MEASURED.keys() <= MIXED.keys()


def test_the_first_rounds_go_through_every_fault_once() -> None:
    names = [name for name, _ in plan(len(MIXED), random.Random(3))]
    assert sorted(names) == sorted(MIXED)


def test_later_rounds_have_double_faults_and_a_seed_repeats_the_plan() -> None:
    names = [name for name, _ in plan(100, random.Random(5))]
    assert any(", then " in name for name in names)
    assert names == [name for name, _ in plan(100, random.Random(5))]
    assert names != [name for name, _ in plan(100, random.Random(6))]


def test_a_second_fault_heals_before_the_first() -> None:
    log: list[str] = []
    heal = both(MIXED["crash"], MIXED["voter cut"], random.Random(1))(Recorded(log), "b")  # type: ignore[arg-type]
    assert log[:2] == ["power_off(b)", "net.isolate(voter)"]
    assert log[2:] == [f"net.heal(voter, {one})" for one in ("a", "b", "client")]
    log.clear()
    heal()
    assert log == ["power_on(b)", "power_on waited for"]
