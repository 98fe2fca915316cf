"""Two real nodes: what was acknowledged is on both, the other one serves when one dies, and the dead one comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import command
from tests.system.pair import eventually, mode_of, running_pair

pytestmark = [pytest.mark.system, pytest.mark.timeout(900), pytest.mark.xdist_group("pair")]


def patient(family: str) -> dict[str, object]:
    return {"resourceType": "Patient", "name": [{"family": family}]}


def test_a_dead_node_s_work_goes_on_at_the_other_and_it_comes_back_as_standby(tmp_path: Path) -> None:
    with running_pair(tmp_path) as pair:
        client = pair.client()
        with pair.http("a", client) as a, pair.http("b", client) as b:
            refused = b.get("/fhir/R4/Patient/1")
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            assert "cluster.standby" in refused.text
            assert (a.get("/health/primary").status_code, b.get("/health/primary").status_code) == (200, 503)
            ids = [a.post("/fhir/R4/Patient", json=patient(f"P{n}")).json()["id"] for n in range(20)]
            once = {"Idempotency-Key": "the-same-tap"}
            first = a.post("/fhir/R4/Patient", json=patient("Once"), headers=once)
            assert first.headers["prontuario-mode"] == "paired"
            pair.kill("a")
            eventually(lambda: b.get(f"/fhir/R4/Patient/{ids[0]}").status_code == 200, "b serves")
            assert [b.get(f"/fhir/R4/Patient/{one}").status_code for one in ids] == [200] * 20
            again = b.post("/fhir/R4/Patient", json=patient("Once"), headers=once)
            assert again.json() == first.json()
            assert again.headers["idempotency-replayed"] == "true"
            alone = b.post("/fhir/R4/Patient", json=patient("Alone"))
            assert (alone.status_code, alone.headers["prontuario-mode"]) == (201, "degraded")
            assert int(alone.headers["prontuario-epoch"]) > int(first.headers["prontuario-epoch"])
            with pair.started_again("a"):
                eventually(lambda: mode_of(b) == "paired", "paired again")
                assert a.get("/health/primary").status_code == 503
                home = str(tmp_path / "pair" / "b")
                told = json.loads(command("cluster", "status", "--home", home, "--json").stdout)
                assert (told["leader"], told["in_sync"], told["mode"]) == ("b", "a", "paired")
                assert "promoted" in {event["kind"] for event in told["events"]}


def test_a_planned_handover_loses_nothing_and_is_measured(tmp_path: Path) -> None:
    with running_pair(tmp_path) as pair:
        client = pair.client()
        with pair.http("a", client) as a, pair.http("b", client) as b:
            ids = [a.post("/fhir/R4/Patient", json=patient(f"P{n}")).json()["id"] for n in range(5)]
            done = command("cluster", "drill", "--home", str(tmp_path / "pair" / "a"))
            assert "nobody served for" in done.stdout
            eventually(lambda: b.get(f"/fhir/R4/Patient/{ids[-1]}").status_code == 200, "b serves")
            assert [b.get(f"/fhir/R4/Patient/{one}").status_code for one in ids] == [200] * 5
            eventually(lambda: mode_of(b) == "paired", "a follows")
            told = json.loads(command("cluster", "status", "--home", str(tmp_path / "pair" / "b"), "--json").stdout)
            drill = told["drill"]
            assert (drill["before"], drill["after"], drill["ok"]) == ("a", "b", True)
            tasks = json.loads(command("schedule", "list", "--home", str(tmp_path / "pair" / "b"), "--json").stdout)
            proofs = {task["node"]: task["here"] for task in tasks if task["name"] == "restore-proof"}
            assert proofs == {"b": False, "a": True}, "the standby proves what it received, and the primary knows"
            refused = command(
                "cluster", "mark-lost", "--home", str(tmp_path / "pair" / "b"), "--yes-i-typed", "a", check=False
            )
            assert refused.returncode == 1, "a node that answers is not lost"
            handed = command("cluster", "handover", "--home", str(tmp_path / "pair" / "b"), "--yes-i-typed", "yes")
            assert "Nothing is lost" in handed.stdout
            eventually(lambda: a.get(f"/fhir/R4/Patient/{ids[-1]}").status_code == 200, "a serves again")
