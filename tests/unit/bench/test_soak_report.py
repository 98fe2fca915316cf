"""What makes a soak unsound, and that time alone never does; the watch sees growth and restarts of real processes."""

from __future__ import annotations

import argparse
import json
import os
import ssl
import subprocess
import sys
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from bench.soak_books import Books
from bench.soak_record import Ledger
from bench.soak_report import Outcome, tell
from bench.soak_watch import CORE, ENGINE, Part, Probe, Watch, measure

STANDING_IN = [sys.executable, "-c", "input()", ENGINE]


def probe() -> Probe:
    return Probe("https://localhost", ssl.create_default_context())


def part(resident: list[int]) -> Part:
    return Part(psutil.Process(), 1.0, 31.0, array("q", resident), array("q", [30] * len(resident)))


def outcome(minutes: float = 10.0, growth: float = 1.0, seconds: float = 0.01) -> Outcome:
    """A sound run; times begin at 0."""
    books, total = Books(), minutes * 60
    books.answered = array("d", [number / 20 for number in range(int(total) * 20)])
    for action in ("read a patient", "write a measurement"):
        books.took(action, seconds)
    watch = Watch(os.getpid, {})
    watch.parts[CORE] = part([100 << 20] * 60 + [int(growth * (100 << 20))] * 30)
    seen = probe()
    seen.seen = [(number / 4, True) for number in range(int(total) * 4)]
    return Outcome(books, Ledger(), watch, seen, [], 0.0, total, total, own_cpu_s=6.0)


def told(it: Outcome, capsys: pytest.CaptureFixture[str], minutes: float = 10.0, *, no_timing: bool = False) -> Any:
    asked = argparse.Namespace(minutes=minutes, phones=200, no_timing=no_timing)
    status = tell(it, asked)
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["name"] == "soak"
    return status, line["ok"], {row["what"]: row for row in line["rows"]}


def test_a_sound_run_tells_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    status, ok, rows = told(outcome(), capsys)
    assert (status, ok) == (0, True)
    assert rows["requests a minute over 10 min, 200 phones: least of all minutes"]["value"] == 1200
    assert rows["reads of the record: p99"]["value"] == 10.0
    assert rows["core: resident memory, last third"]["ratio"] == 1.0
    assert rows["core: CPU"]["value"] == 5.0
    assert rows["the bench's own CPU"]["value"] == 1.0


def test_slow_answers_miss_the_aim_and_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    status, ok, rows = told(outcome(seconds=0.2), capsys)
    assert (status, ok) == (0, False)
    assert not rows["writes to the record: p99"]["ok"]


def test_beside_other_work_times_have_no_aim(capsys: pytest.CaptureFixture[str]) -> None:
    status, ok, _rows = told(outcome(seconds=0.2), capsys, no_timing=True)
    assert (status, ok) == (0, True)


def test_an_error_a_loss_and_a_restart_are_each_unsound(capsys: pytest.CaptureFixture[str]) -> None:
    wrong, lossy, restarted = outcome(), outcome(), outcome()
    wrong.books.wrong("GET /fhir/R4/Patient: 500 internal")
    lossy.missing.append("Observation x")
    restarted.watch.restarts.append("engine whisper")
    for it in (wrong, lossy, restarted):
        status, ok, _rows = told(it, capsys, no_timing=True)
        assert (status, ok) == (1, False)


def test_being_told_to_wait_is_told_and_forgiven(capsys: pytest.CaptureFixture[str]) -> None:
    it = outcome()
    it.books.refused("POST /api/patients", 429, "engine.busy", retry_after=True)
    status, ok, rows = told(it, capsys)
    assert (status, ok) == (0, True)
    assert rows["told to wait (429 with Retry-After)"]["value"] == 1


def test_only_beside_other_work_is_a_standstill_an_excuse(capsys: pytest.CaptureFixture[str]) -> None:
    it = outcome()
    it.probe.stalls.append((50.0, 52.0))
    it.books.cuts.append((53.0, "GET /api/notes: cut (ReadError)"))
    assert told(it, capsys)[:2] == (1, False)
    status, ok, rows = told(it, capsys, no_timing=True)
    assert (status, ok) == (0, True)
    assert rows["given up or cut while the machine stood still"]["value"] == 1


def test_one_cut_in_a_thousand_is_borne_beside_other_work_and_no_other_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    it = outcome()
    it.books.cuts += [(float(at), "GET /api/notes: cut (ReadError)") for at in range(12)]
    assert len(it.books.answered) == 12_000
    assert told(it, capsys)[:2] == (1, False)
    assert told(it, capsys, no_timing=True)[:2] == (0, False)
    it.books.cuts.append((13.0, "GET /api/notes: cut (ReadError)"))
    assert told(it, capsys, no_timing=True)[:2] == (1, False)
    del it.books.cuts[1:]
    it.books.wrong("GET /fhir/R4/Patient: 500 internal")
    assert told(it, capsys, no_timing=True)[:2] == (1, False)


def test_growth_is_unsound_from_ten_minutes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(outcome(minutes=30.0, growth=1.05), capsys, minutes=30.0)[:2] == (1, False)
    assert told(outcome(minutes=30.0, growth=1.02), capsys, minutes=30.0)[:2] == (0, True)
    assert told(outcome(minutes=2.0, growth=1.05), capsys, minutes=2.0)[:2] == (0, True)


def test_in_ten_minutes_allocators_may_settle_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(outcome(growth=1.45), capsys)[:2] == (0, False)
    assert told(outcome(growth=1.50), capsys)[:2] == (1, False)


def test_an_outage_is_in_the_account_and_no_matter_of_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    it = outcome()
    it.probe.seen[100:106] = [(at, False) for at, _ in it.probe.seen[100:106]]
    status, ok, rows = told(it, capsys)
    assert (status, ok) == (0, False)
    assert rows["without an answer"]["value"] == rows["longest without an answer"]["value"] == 1.5


def test_a_probe_that_fails_late_does_not_hide_the_answers_after_it() -> None:
    seen = probe()
    seen.seen = [(0.0, True), (0.5, True), (0.75, True), (0.25, False)]
    account = seen.uptime(0.0, 1.0)
    assert (account.probes, account.outages) == (4, [0.25])


def test_probes_before_and_after_the_load_are_not_in_the_account() -> None:
    seen = probe()
    seen.seen = [(0.0, False), (0.25, True), (0.5, True), (0.75, False)]
    account = seen.uptime(0.25, 0.75)
    assert (account.probes, account.outages) == (2, [])


def test_a_node_that_does_not_answer_the_probe_stands_still_like_one_without_a_processor() -> None:
    seen = probe()
    seen.seen = [(5.0, True), (6.0, False)]
    seen.stalls = [(1.0, 2.5)]
    assert seen.standstills() == [(1.0, 2.5), (6.0, 7.0)]


def test_a_second_without_a_processor_is_a_standstill() -> None:
    seen = probe()
    for due, woken in ((10.0, 10.2), (11.0, 12.5), (13.0, 13.9)):
        seen._woken(due, woken)
    assert (seen.late_s, seen.stalls) == (1.5, [(11.0, 12.5)])


@contextmanager
def standing_in() -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like an engine's."""
    with subprocess.Popen(STANDING_IN, stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_watch_finds_core_and_its_engines_by_name_and_sees_a_restart() -> None:
    with standing_in() as first:
        watch = Watch(os.getpid, {first.pid: "whisper"})
        watch.look_round()
        assert {CORE, "engine whisper"} <= set(watch.parts)
        engine = watch.parts["engine whisper"]
        measure(engine)
        watch.look_round()
        assert (engine.process.pid, watch.restarts) == (first.pid, [])
    with standing_in() as second:
        watch.look_round()
        assert (engine.process.pid, watch.restarts) == (second.pid, ["engine whisper"])
        measure(engine)
    assert len(engine.resident) == len(engine.files) == 2
    assert min(*engine.resident, *engine.files) > 0
    assert engine.cpu_s >= 0
