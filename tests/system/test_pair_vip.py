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

from appliance.daemon.pair.namespaces import Namespaces, list_namespaces, why_no_namespaces
from appliance.daemon.pair.own_network import plan_in_namespaces
from tests.conftest import command, start_node, stop_node, wait_ready
from tests.system.pair import eventually, mode_of

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("pair"),
    pytest.mark.skipif(why_no_namespaces() is not None, reason=str(why_no_namespaces())),
]


@contextmanager
def pair_with_address(home: Path, backend: str) -> Iterator[dict[str, Any]]:
    """``up --pair --vip``; its ready facts. It ends with 0 and leaves no namespace."""
    process = start_node(home, "--pair", "--vip", "--vip-backend", backend, "--no-restart", "--no-admin")
    try:
        yield wait_ready(process, home.parent / f"{home.name}.stderr")
    finally:
        status = stop_node(process)
    assert status == 0
    prefix = plan_in_namespaces(home, ("a", "b", "w")).namespaces
    assert not [name for name in list_namespaces() if name.startswith(prefix)]


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


def address_in(facts: dict[str, Any], node: str) -> bool:
    """Whether the kernel of that node has the pair's address now, read through its ``up`` process."""
    table = Path(f"/proc/{facts['nodes'][node]['pid']}/net/fib_trie").read_text(encoding="ascii")
    return f"|-- {facts['client_address'].split(':')[0]}\n" in table


def core_of(facts: dict[str, Any], node: str) -> int:
    return int(json.loads((Path(facts["nodes"][node]["home"]) / "run" / "core.pid").read_text()))


@pytest.mark.parametrize(
    ("backend", "blow"),
    [("ip", signal.SIGKILL), ("keepalived", signal.SIGSTOP)],
    ids=["ip-killed", "keepalived-stopped"],
)
def test_the_address_is_at_the_survivor_when_core_is_killed_or_stopped(
    tmp_path: Path, backend: str, blow: signal.Signals
) -> None:
    with pair_with_address(tmp_path / "p", backend) as facts, phone(facts, tmp_path) as http:
        old = facts["primary"]
        new = "ab".replace(old, "")
        eventually(lambda: mode_of(http) == "paired", "paired")
        assert (address_in(facts, old), address_in(facts, new)) == (True, False)
        kept = http.post("/fhir/R4/Patient", json={"resourceType": "Patient", "name": [{"family": "Kept"}]})
        assert kept.status_code == 201
        core = core_of(facts, old)
        os.kill(core, blow)
        eventually(lambda: not address_in(facts, old), "gone from the old primary")
        eventually(lambda: address_in(facts, new), "at the new one")
        path = f"/fhir/R4/Patient/{kept.json()['id']}"
        eventually(lambda: http.get(path).status_code == 200, "the address serves again")
        later = http.get("/health/primary")
        assert int(later.headers["prontuario-epoch"]) > int(kept.headers["prontuario-epoch"])
        if blow is signal.SIGSTOP:
            os.kill(core, signal.SIGCONT)
        eventually(lambda: mode_of(http) == "paired", "the old one follows")
        assert (address_in(facts, old), address_in(facts, new)) == (False, True)


def test_an_operator_s_handover_takes_the_address_along(tmp_path: Path) -> None:
    with pair_with_address(tmp_path / "p", "ip") as facts, phone(facts, tmp_path) as http:
        old = facts["primary"]
        new = "ab".replace(old, "")
        eventually(lambda: mode_of(http) == "paired", "paired")
        command("cluster", "handover", "--home", facts["nodes"][old]["home"], "--yes-i-typed", "yes")
        eventually(lambda: address_in(facts, new) and not address_in(facts, old), "moved")
        eventually(lambda: http.get("/health/primary").status_code == 200, "serves")
        inside = Namespaces(plan_in_namespaces(tmp_path / "p", ("a", "b", "w")).namespaces).name(new)
        assert inside in list_namespaces()
