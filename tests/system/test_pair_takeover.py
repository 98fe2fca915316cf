"""Two real nodes: what was acknowledged is on both, the other one serves when one dies, and the dead one comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import command
from tests.system.pair import ENGINES, RunningPair, eventually, mode_of, running_pair

pytestmark = [pytest.mark.system, pytest.mark.timeout(900), pytest.mark.xdist_group("pair")]


def patient(family: str) -> dict[str, object]:
    return {"resourceType": "Patient", "name": [{"family": family}]}


def test_what_was_acknowledged_survives_a_death_a_drill_and_a_handover(tmp_path: Path) -> None:
    """One pair for all three: a dies and comes back, b leads; a drill moves the lead to a, an order gives it back to b."""
    with running_pair(tmp_path, disabled=ENGINES) as pair:
        client = pair.client()
        with pair.http("a", client) as a, pair.http("b", client) as b:
            dead_and_back(pair, client, a, b)
            drilled(pair, a, b)
            handed_over(pair, a, b)
            eventually(lambda: mode_of(b) == "paired", "a follows")
            a_full_simulation_leaves_a_report_that_proves_itself(pair)
            eventually(lambda: a.get("/health/primary").status_code == 200, "a serves")


def dead_and_back(pair: RunningPair, client: dict[str, str], a: httpx.Client, b: httpx.Client) -> None:
    """A dead node's work goes on at the other, and it comes back as standby."""
    refused = b.get("/fhir/R4/Patient/1")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
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
    pair.start_again("a")
    eventually(lambda: pair.paired(client), "paired again")
    assert (a.get("/health/primary").status_code, b.get("/health/primary").status_code) == (503, 200)
    told = status_of(pair, "b")
    assert (told["leader"], told["in_sync"], told["mode"]) == ("b", "a", "paired")
    assert "promoted" in {event["kind"] for event in told["events"]}


def drilled(pair: RunningPair, a: httpx.Client, b: httpx.Client) -> None:
    """A planned handover from b to a loses nothing and is measured."""
    ids = [b.post("/fhir/R4/Patient", json=patient(f"D{n}")).json()["id"] for n in range(5)]
    ordered = command("cluster", "drill", "--home", str(pair.home / "b")).stdout
    assert "Signed report (passed)" in ordered, "an operator's order leaves the same report as the weekly one"
    history = json.loads(command("drill", "history", "--home", str(pair.home / "b"), "--json").stdout)
    (made,) = [one for one in history if one["drill"] == "failover"]
    assert (made["outcome"], made["node"], made["rpo_writes"], made["watched_writes"] >= 10) == (
        "passed",
        "b",
        0,
        True,
    ), made
    eventually(lambda: a.get(f"/fhir/R4/Patient/{ids[-1]}").status_code == 200, "a serves")
    assert [a.get(f"/fhir/R4/Patient/{one}").status_code for one in ids] == [200] * 5
    eventually(lambda: mode_of(a) == "paired", "b follows")
    drill = status_of(pair, "a")["drill"]
    assert (drill["before"], drill["after"], drill["ok"]) == ("b", "a", True)
    tasks = json.loads(command("schedule", "list", "--home", str(pair.home / "a"), "--json").stdout)
    proofs = {task["node"]: task["here"] for task in tasks if task["name"] == "restore-proof"}
    assert proofs == {"a": False, "b": True}, "the standby proves what it received, and the primary knows"


def handed_over(pair: RunningPair, a: httpx.Client, b: httpx.Client) -> None:
    """A node that answers can't be called lost; it may be given the lead."""
    kept = a.post("/fhir/R4/Patient", json=patient("Handed over")).json()["id"]
    home = str(pair.home / "a")
    refused = command("cluster", "mark-lost", "--home", home, "--yes-i-typed", "b", check=False)
    assert refused.returncode == 1, "a node that answers is not lost"
    handed = command("cluster", "handover", "--home", home, "--yes-i-typed", "yes")
    assert "Nothing is lost" in handed.stdout
    eventually(lambda: b.get(f"/fhir/R4/Patient/{kept}").status_code == 200, "b serves again")


def a_full_simulation_leaves_a_report_that_proves_itself(pair: RunningPair) -> None:
    """b leads, restores its copy and hands over to a; the report tells it, and the pair's root knows who signed."""
    a, b, pdf = str(pair.home / "a"), str(pair.home / "b"), pair.scratch / "drill.pdf"
    told = json.loads(command("drill", "run", "simulation", "--home", b, "--json").stdout)
    assert (told["outcome"], told["rpo_writes"], told["node"]) == ("passed", 0, "b"), told
    assert told["rto_s"] > 0
    assert told["watched_writes"] >= 20, (
        "acknowledged writes were looked for in the copy and on the node that took over"
    )
    history = json.loads(command("drill", "history", "--home", a, "--json").stdout)
    assert [one["drill"] for one in history if one["node"] == "b"] == ["simulation", "failover"], "a knows b's reports"
    command("drill", "report", told["id"], "--home", a, "--to", str(pdf))
    verdict = json.loads(command("drill", "verify", str(pdf), "--home", a, "--json").stdout)
    assert (verdict["ok"], verdict["trusted"], verdict["signer"]) == (True, True, "b")
    assert [step["name"] for step in verdict["facts"]["steps"]] == [
        "note",
        "restore",
        "handover",
        "writes",
        "note there",
    ]
    content = bytearray(pdf.read_bytes())
    content[len(content) // 2] ^= 1
    pdf.write_bytes(content)
    assert command("drill", "verify", str(pdf), "--home", b, check=False).returncode != 0


def status_of(pair: RunningPair, node: str) -> dict[str, Any]:
    """What ``cluster status`` says there."""
    return dict(json.loads(command("cluster", "status", "--home", str(pair.home / node), "--json").stdout))
