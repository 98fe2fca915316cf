"""What bench-start makes of its observations: the longest standstill after a restart, and who counts as at rest."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import pytest

from appliance.daemon.demo.phone import RefusedError
from bench.bench_start import resident
from bench.node import BenchNode
from bench.soak_books import Books
from bench.soak_record import Ledger, Person, Readings
from bench.soak_watch import ENGINE
from bench.start_restart import Load, longest_gap


def test_the_longest_gap_is_the_one_that_ends_after_the_blow() -> None:
    moments = [0.0, 5.0, 5.1, 5.2, 7.2, 7.3]
    assert longest_gap(moments, since=5.15, until=7.4) == pytest.approx(2.0)
    assert longest_gap(moments, since=4.0, until=7.4) == pytest.approx(5.0)


def test_who_never_answers_again_stands_still_until_the_end() -> None:
    assert longest_gap([0.0, 1.0], since=1.5, until=9.0) == 8.0
    assert longest_gap([], since=1.5, until=9.0) == 7.5
    assert longest_gap([0.0, 1.0, 20.0], since=1.5, until=9.0) == 8.0


class Service:
    """A phone's line to nowhere: it keeps what is created, and refuses everything else."""

    user = "dra.silva"

    async def create(self, resource: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {**resource, "id": resource["identifier"][0]["value"], "meta": {"versionId": "1"}}

    async def put(self, *_: object) -> dict[str, Any]:
        raise RefusedError(412, {"code": "fhir.version"})

    async def get(self, _path: str, **_query: str) -> dict[str, Any]:
        raise RefusedError(404, {"code": "fhir.not_found"})


async def test_a_person_goes_on_until_it_is_over_and_what_was_refused_is_told() -> None:
    ledger = Ledger()
    person = Person(Service(), ledger, random.Random(3))  # type: ignore[arg-type]
    await person.arrive()
    load = Load([person], ledger, Books())
    began = time.monotonic()
    task = asyncio.create_task(load.one(person, Readings(load.people, ledger)))
    deadline = began + 60
    while time.monotonic() < deadline:
        await asyncio.sleep(0.01)
        if len(load.unanswered) >= 3 and len(load.written) >= 3:
            break
    load.over.set()
    await task
    assert isinstance(load.written, array)
    assert min(load.written) >= began
    assert len(load.read) == 0
    assert any("404 fhir.not_found" in one for one in load.unanswered)
    assert ledger.writes == 4 + len(load.written)


def test_the_parts_of_a_node_are_known_by_what_they_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "core.pid").write_text(f"{os.getpid()}\n")
    family = (
        "import subprocess, sys; waits = [sys.executable, '-c', 'input()'];"
        f"both = [subprocess.Popen([*waits, name], stdin=subprocess.PIPE) for name in ('admin_ui', '{ENGINE}')];"
        "print('there', flush=True); input(); [one.communicate() for one in both]"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", family], stdin=pipe, stdout=pipe, text=True) as up:
        assert up.stdout is not None
        up.stdout.readline()
        found = resident(BenchNode("https://localhost", tmp_path, up))
        up.communicate("\n")
    assert set(found) == {"core", "admin", "engines"}
    assert min(found.values()) > 0
