"""Power fails: one half of a pair hands over under writing clients, and a node alone closes down in good order."""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from pysqlite3 import dbapi2

from appliance.config import Paths
from tests.conftest import RunningNode, command, start_node, stop_node, wait_ready
from tests.fakes import upsd
from tests.system.pair import RunningPair, eventually, running_pair

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("pair"),
    pytest.mark.skipif(not upsd.PRESENT, reason="nut-server is not installed"),
]
WRITERS = 4
PATIENCE_S = 120.0
DISABLED = 'disabled_plugins = ["whisper_stt", "medgemma_chat", "medical_images", "facenet_auth", "speech_out"]'
"""Power has nothing to do with models."""


def short_folder() -> Path:
    """NUT puts a Unix socket below it: a path of pytest's would be too long."""
    return Path(tempfile.mkdtemp(prefix="ups"))


def steady(text: str) -> str:
    """Longer times than other pairs': only the power may move the record here, not a machine that is busy with other tests."""
    for hurried, unhurried in (
        ("lease_ttl_s = 3.0", "lease_ttl_s = 15.0"),
        ("_ms = 150\n", "_ms = 500\n"),
        ("_ms = 1500\n", "_ms = 5000\n"),
    ):
        assert hurried in text
        text = text.replace(hurried, unhurried)
    assert "disabled_plugins = []" in text
    return text.replace("disabled_plugins = []", DISABLED)


def fed_by(rack: upsd.Rack, more: str = "") -> str:
    return (
        f'\n[power]\nkind = "nut"\nport = {rack.port}\nups = "{upsd.NAME}"\npoll_s = 0.2\nconfirm_s = 1.0\ncalm_s = 2.0\n'
        f"handover_s = 60.0\n{more}"
    )


@dataclass
class Writers:
    """Clients that write without a pause, each at whichever node takes it, and remember what was acknowledged."""

    pair: RunningPair
    client: dict[str, str]
    acknowledged: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(PATIENCE_S)

    def _write(self, number: int) -> None:
        with self.pair.http("a", self.client) as a, self.pair.http("b", self.client) as b:
            self._write_to([a, b], number)

    def _write_to(self, clients: list[httpx.Client], number: int) -> None:
        serial, turn = 0, 0
        while not self._stop.is_set():
            body = {"resourceType": "Patient", "name": [{"family": f"W{number}-{serial}"}]}
            once = {"Idempotency-Key": f"power-{number}-{serial}"}
            try:
                answer = clients[turn].post("/fhir/R4/Patient", json=body, headers=once)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 201:
                self.acknowledged.append(str(answer.json()["id"]))
                serial += 1
            else:
                turn = 1 - turn
                time.sleep(0.05)


def families(http: httpx.Client, ids: list[str]) -> list[str]:
    """Every name, once the node says that it has the record; one that it does not know is lost."""

    def family(one: str) -> str:
        found: list[httpx.Response] = []

        def served() -> bool:
            found.append(http.get(f"/fhir/R4/Patient/{one}"))
            return found[-1].status_code != 503

        eventually(served, "the record is served")
        assert found[-1].status_code == 200, f"lost: {one}"
        return str(found[-1].json()["name"][0]["family"])

    return [family(one) for one in ids]


def test_on_battery_the_node_that_serves_hands_over_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    with upsd.rack(short_folder()) as first, upsd.rack(short_folder()) as second:
        racks = {"a": first, "b": second}

        def configured(text: str) -> str:
            node = "b" if 'node = "b"' in text else "a"
            return steady(text) + fed_by(racks[node])

        with running_pair(tmp_path, configured) as pair:
            client = pair.client()
            writers = Writers(pair, client)
            with writers.at_work():
                eventually(lambda: len(writers.acknowledged) > WRITERS, "written before the power fails")
                first.say("OB DISCHRG", charge=88)
                eventually(lambda: pair.standing(client)[0] == "b", "the other node serves")
                before = len(writers.acknowledged)
                eventually(lambda: len(writers.acknowledged) > before + WRITERS, "written after the handover")
            with pair.http("b", client) as b:
                found = families(b, writers.acknowledged)
                assert len(found) == len(set(found)) == len(writers.acknowledged), "nothing lost, nothing doubled"
            first.say("OL CHRG", charge=90)
            eventually(lambda: pair.paired(client), "the node whose power failed follows")
            assert pair.standing(client)[0] == "b", "no automatic fail-back"
            log = (pair.home / "a" / "logs" / "core.jsonl").read_text().splitlines()
            steps = [told["step"] for told in map(json.loads, log) if told.get("event") == "power: the node acts"]
            assert steps[0] in {"hand_over", "shed"}, "it was the power"
            assert "hand_over" in steps
            assert "shut_down" not in steps, "the battery was not low"


def test_at_the_end_of_the_battery_a_lone_node_closes_everything_and_switches_the_machine_off(tmp_path: Path) -> None:
    home, mark = tmp_path / "home", tmp_path / "switched-off"
    command("init", "--home", str(home), "--profile", "development")
    with upsd.rack(short_folder()) as rack:
        script = f"open({str(mark)!r}, 'w').close()"
        toml = Paths(home).config
        off = f"shutdown_command = {json.dumps([sys.executable, '-c', script])}\n"
        toml.write_text(f"{DISABLED}\n" + toml.read_text() + fed_by(rack, off))
        one = serving(home)
        with one.http("physician") as http:
            patient = http.post("/fhir/R4/Patient", json={"resourceType": "Patient"}).json()["id"]
        rack.say("OB LB", charge=5)
        eventually(mark.exists, "switched off")
        with dbapi2.connect(Paths(home).database) as record:
            assert record.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert record.execute("SELECT count(*) FROM record_head WHERE id = ?", (patient,)).fetchone() == (1,)
        assert stop_node(one.process) == 0
        rack.say("OL CHRG", charge=30)
        mark.unlink()
        again = serving(home)
        try:
            with again.http("physician") as http:
                assert http.get(f"/fhir/R4/Patient/{patient}").status_code == 200
            assert not mark.exists()
        finally:
            assert stop_node(again.process) == 0


def serving(home: Path) -> RunningNode:
    process = start_node(home, "--no-admin")
    ready = wait_ready(process, home.parent / "home.stderr")
    return RunningNode(ready["api"], ready["admin"], Path(ready["ca"]), home, process, home.parent)
