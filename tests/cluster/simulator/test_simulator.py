"""A short run of the simulator, and proof that its checks notice every broken rule."""

from __future__ import annotations

import pytest

from tests.cluster.simulator.__main__ import main, simulate
from tests.cluster.simulator.pair import Pair
from tests.cluster.simulator.rules import BREAKABLE

SEED = 1


def test_no_promise_is_broken_in_three_hundred_schedules() -> None:
    verdicts = simulate(300, SEED, None, stop_at_first=False, say=False)
    assert [verdict for verdict in verdicts if verdict.violation] == []
    assert sum(verdict.acknowledged for verdict in verdicts) > 300 * 20, (
        "a schedule that acknowledges nothing proves nothing"
    )
    assert sum(verdict.transitions for verdict in verdicts) > 300 * 2


@pytest.mark.parametrize("seed", [5008996, 5022631, 5044181, 5072000, 5088223])
def test_whoever_loses_the_lease_on_the_way_out_leaves_the_key_alone(seed: int) -> None:
    """Of a hundred thousand, those in which a leaving node lost its lease before the slow peer had everything."""
    assert Pair(seed).run().violation is None


@pytest.mark.parametrize("rule", sorted(BREAKABLE))
def test_a_broken_rule_is_caught_within_a_thousand_schedules(rule: str) -> None:
    assert simulate(1000, SEED, rule, stop_at_first=True, say=False)[-1].violation is not None


def test_the_same_seed_is_the_same_schedule() -> None:
    first, second = Pair(7).run(), Pair(7).run()
    assert first == second


def test_the_last_line_is_the_benches_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schedules", "3", "--seed", "5"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith('{"name": "simulator", "ok": true')
