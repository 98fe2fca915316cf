"""A whole pair in its own network: clients know only the virtual IP, and it is where the record can be written."""

from __future__ import annotations

import json
import os
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.daemon.pair.namespaces import list_namespaces, why_no_namespaces
from appliance.daemon.pair.plan import VipBackend
from tests.conftest import command, start_node, stop_node, wait_ready
from tests.system.pair import ENGINES, eventually, mode_of, prepared_pair

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("pair"),
    pytest.mark.skipif(why_no_namespaces() is not None, reason=str(why_no_namespaces())),
]


@contextmanager
def pair_with_address(home: Path, backend: VipBackend) -> Iterator[dict[str, Any]]:
    """``up --pair --vip``; its ready facts. It ends with 0 and leaves no namespace. Engines have no part in this."""
    plan = prepared_pair(home, backend, ENGINES)
    process = start_node(home, "--pair", "--no-restart", "--no-admin")
    try:
        yield wait_ready(process, home.parent / f"{home.name}.stderr")
    finally:
        status = stop_node(process)
    assert status == 0
    assert not [name for name in list_namespaces() if name.startswith(plan.namespaces)]


def phone(facts: dict[str, Any], scratch: Path) -> httpx.Client:
    """A device that was given one address: the pair's."""
    out = scratch / "ana.json"
    home = facts["nodes"][facts["primary"]]["home"]
    command("client", "enrol", "--home", home, "--user", "ana", "--role", "physician", "--out", str(out))
    client = json.loads(out.read_text())
    context = ssl.create_default_context(cafile=client["ca"])
    context.load_cert_chain(client["cert"], client["key"])
    headers = {"Authorization": f"Bearer {client['token']}"}
    base = f"https://{facts['client_address']}"
    # A connection that is cut without a word must not cost the test its patience.
    return httpx.Client(base_url=base, verify=context, headers=headers, timeout=5)


def holders(facts: dict[str, Any]) -> str:
    """The nodes whose kernel has the pair's address now, read through their ``up`` processes: "a", "b", or nobody: ""."""
    line = f"|-- {facts['client_address'].split(':')[0]}\n"
    tables = {node: Path(f"/proc/{facts['nodes'][node]['pid']}/net/fib_trie") for node in ("a", "b")}
    return "".join(node for node, table in tables.items() if line in table.read_text(encoding="ascii"))


def core_of(facts: dict[str, Any], node: str) -> int:
    return int(json.loads((Path(facts["nodes"][node]["home"]) / "run" / "core.pid").read_text()))


def serves(http: httpx.Client, path: str, *, since: int) -> bool:
    """Whether ``path`` is answered in an epoch after ``since``."""
    answer = http.get(path)
    return answer.status_code == 200 and int(answer.headers["prontuario-epoch"]) > since


@pytest.mark.parametrize(
    ("backend", "blow"),
    [
        pytest.param("ip", signal.SIGKILL, id="ip-killed"),
        pytest.param("keepalived", signal.SIGSTOP, id="keepalived-stopped"),
    ],
)
def test_the_address_goes_to_the_survivor_when_core_is_killed_or_stopped_and_along_with_a_handover(
    tmp_path: Path, backend: VipBackend, blow: signal.Signals
) -> None:
    with pair_with_address(tmp_path / "p", backend) as facts, phone(facts, tmp_path) as http:
        eventually(lambda: mode_of(http) == "paired", "paired")
        once, kept = {"Idempotency-Key": "kept"}, {"resourceType": "Patient", "name": [{"family": "Kept"}]}
        eventually(lambda: http.post("/fhir/R4/Patient", json=kept, headers=once).status_code == 201, "acknowledged")
        first = http.post("/fhir/R4/Patient", json=kept, headers=once)
        old = holders(facts)
        assert old in {"a", "b"}
        core = core_of(facts, old)
        os.kill(core, blow)
        path, epoch = f"/fhir/R4/Patient/{first.json()['id']}", int(first.headers["prontuario-epoch"])
        eventually(lambda: serves(http, path, since=epoch), "a later reign serves what was acknowledged")
        # A killed core is started again at once; where that takes less than a lease, its node may well lead again.
        gone = {"", old} if blow is signal.SIGSTOP else {""}
        eventually(lambda: holders(facts) in {"a", "b"} - gone, "the address is with the leader and nowhere else")
        if blow is signal.SIGSTOP:
            os.kill(core, signal.SIGCONT)
        eventually(lambda: mode_of(http) == "paired", "the old one follows")
        before = holders(facts)
        command("cluster", "handover", "--home", facts["nodes"]["a"]["home"], "--yes-i-typed", "yes")
        eventually(lambda: holders(facts) not in {before, ""}, "handed over with the lead")
        eventually(lambda: http.get("/health/primary").status_code == 200, "serves")
