"""A running pair for system tests: two whole nodes and the third voter, in child processes on loopback ports."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from appliance.config import Paths
from appliance.daemon.pair.plan import PairPlan, VipBackend
from appliance.daemon.pair.up_pair import prepare_pair
from tests.conftest import command, start_node, stop_node, wait_ready

PATIENCE_S = 180.0
ENGINES = ("facenet_auth", "medgemma_chat", "medical_images", "whisper_stt")
"""Plugins that a test may switch off which asks nothing of them: every node would load their models."""
UNHURRIED = "lease_ttl_s = 3.0\netcd_heartbeat_ms = 150\netcd_election_ms = 1500\nship_deadline_s = 10.0"
"""On a machine that runs other tests beside this one, a second's stall is no fault: the shipped times would depose and mark."""


@dataclass
class RunningPair:
    """``nodes``: name → ready facts (api, ca, home, pid)."""

    nodes: dict[str, dict[str, Any]]
    home: Path
    scratch: Path
    primary: str
    _again: list[subprocess.Popen[str]] = field(default_factory=list)

    def client(self, user: str = "med", role: str = "physician") -> dict[str, str]:
        """A device enrolled on the primary; its certificate and token are good on both."""
        out = self.scratch / f"{user}.json"
        home = str(self.nodes[self.primary]["home"])
        command("client", "enrol", "--home", home, "--user", user, "--role", role, "--out", str(out))
        return dict(json.loads(out.read_text()))

    def http(self, node: str, client: dict[str, str]) -> httpx.Client:
        context = ssl.create_default_context(cafile=client["ca"])
        context.load_cert_chain(client["cert"], client["key"])
        headers = {"Authorization": f"Bearer {client['token']}"}
        return httpx.Client(base_url=str(self.nodes[node]["api"]), verify=context, headers=headers, timeout=20)

    def kill(self, node: str) -> None:
        """The machine loses its power: every process of the node ends at the same moment."""
        root = psutil.Process(int(self.nodes[node]["pid"]))
        processes = [root, *root.children(recursive=True)]
        for one in processes:
            with suppress(psutil.NoSuchProcess):  # a child of a moment, gone since it was listed
                one.suspend()
        for one in processes:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(processes, timeout=30)

    def start_again(self, node: str) -> None:
        """The power is back: the node starts as launchd would start it; returns once it is ready."""
        home, log = self.home / node, self.scratch / f"{node}.again.stderr"
        argv = [sys.executable, "-m", "appliance.daemon", "up", "--home", str(home), "--no-admin", "--ready-json"]
        with log.open("a") as stderr:
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=stderr, text=True)
        self._again.append(process)
        self.nodes[node] |= {"pid": wait_ready(process, log)["pid"]}

    @contextmanager
    def started_again(self, node: str) -> Iterator[None]:
        """``start_again``, and the node is stopped at the end of the block."""
        self.start_again(node)
        try:
            yield
        finally:
            stop_node(self._again[-1])

    def standing(self, client: dict[str, str]) -> tuple[str, str]:
        """The node that says it leads and its mode; empty: nobody does now."""
        for node in self.nodes:
            with suppress(httpx.TransportError), self.http(node, client) as http:
                answer = http.get("/health/primary")
                if answer.is_success:
                    return node, str(answer.headers["prontuario-mode"])
        return "", ""

    def paired(self, client: dict[str, str]) -> bool:
        """Whether somebody leads and acknowledged means on both nodes."""
        return self.standing(client)[1] == "paired"

    def stop(self) -> None:
        """Stop what was started again."""
        for process in self._again:
            stop_node(process)


def eventually(true: Callable[[], bool], what: str) -> None:
    """Wait until ``true`` says so; a connection that fails says no."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        try:
            if true():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"never: {what}")


def mode_of(http: httpx.Client) -> str:
    return str(http.get("/health/ready").headers["prontuario-mode"])


def prepared_pair(home: Path, backend: VipBackend | None = None, disabled: Sequence[str] = ()) -> PairPlan:
    """Found a pair below ``home`` that is patient with a busy machine; ``disabled`` plugins stay off."""
    plan = asyncio.run(prepare_pair(home, None, backend))
    for node in ("a", "b"):
        config = Paths(home / node).config
        told = config.read_text().replace("[cluster]\n", f"[cluster]\n{UNHURRIED}\n", 1)
        config.write_text(f"disabled_plugins = {json.dumps(list(disabled))}\n{told}")
    return plan


@contextmanager
def running_pair(
    folder: Path, configured: Callable[[str], str] = str, *, disabled: Sequence[str] = ()
) -> Iterator[RunningPair]:
    """``up --pair --no-restart`` below ``folder``, paired when it is given; ``configured`` changes both nodes' settings."""
    home = folder / "pair"
    os.environ.setdefault("PRONTUARIO_TERMINAL_LOG", "info")
    prepared_pair(home, disabled=disabled)
    for node in ("a", "b"):
        config = Paths(home / node).config
        config.write_text(configured(config.read_text()))
    process = start_node(home, "--pair", "--no-restart", "--no-admin")
    pair: RunningPair | None = None
    try:
        facts = wait_ready(process, folder / "pair.stderr")
        pair = RunningPair(facts["nodes"], home, folder, facts["primary"])
        with pair.http(pair.primary, pair.client()) as http:
            eventually(lambda: mode_of(http) == "paired", "paired")
        yield pair
    finally:
        if pair is not None:
            pair.stop()
        stop_node(process)
