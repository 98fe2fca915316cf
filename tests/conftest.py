"""Shared by all tests: a real node, started once for each worker, and clients enrolled on it."""

from __future__ import annotations

import functools
import json
import os
import re
import secrets
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from appliance.plugin_api.blas import load_openblas

load_openblas()  # before any test module imports MLX: what runs in this process is 30 times faster with it

# A loaded machine is slow, not wrong. HYPOTHESIS_PROFILE=thorough tries ten times as many examples.
hypothesis.settings.register_profile("patient", deadline=None, max_examples=50)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=500)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))

collect_ignore_glob = [] if sys.platform == "darwin" else ["mac/*"]
"""What only a Mac can show is collected only there."""


@dataclass
class RunningNode:
    """A whole node in child processes, as ``prontuario up`` runs it."""

    api: str
    admin: str
    ca: Path
    home: Path
    process: subprocess.Popen[str]
    scratch: Path
    _clients: dict[str, dict[str, str]] = field(default_factory=dict)

    def client_json(self, role: str, user: str | None = None) -> dict[str, str]:
        """``{"api", "ca", "cert", "key", "token", "user"}`` of an enrolled device of a person with ``role``."""
        name = user or f"{role}.teste"
        if name not in self._clients:
            out = self.scratch / f"{name}.json"
            command("client", "enrol", "--home", str(self.home), "--user", name, "--role", role, "--out", str(out))
            self._clients[name] = json.loads(out.read_text())
        return self._clients[name]

    def http(self, role: str, **options: Any) -> httpx.Client:
        """An httpx client that is that person's phone."""
        return http_client(self.client_json(role), **options)

    @property
    def admin_credentials(self) -> tuple[str, str]:
        """(user, password) for the dashboard."""
        text = (self.home / "secrets" / "first-admin.txt").read_text()
        user, password = text.split()[:2]
        return user, password


def http_client(client: dict[str, str], **options: Any) -> httpx.Client:
    """An httpx client with the device certificate and token of a client file."""
    context = ssl.create_default_context(cafile=client["ca"])
    context.load_cert_chain(client["cert"], client["key"])
    headers = {"Authorization": f"Bearer {client['token']}"}
    return httpx.Client(base_url=client["api"], verify=context, headers=headers, timeout=60, **options)


def command(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run ``prontuario`` as a person would."""
    done = subprocess.run(
        [sys.executable, "-m", "appliance.daemon", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if check and done.returncode != 0:
        pytest.fail(f"prontuario {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def start_node(home: Path, *options: str) -> subprocess.Popen[str]:
    """Start ``prontuario up``; its first line on stdout is the ready JSON."""
    argv = [
        sys.executable,
        "-m",
        "appliance.daemon",
        "up",
        "--home",
        str(home),
        "--port-base",
        "0",
        "--ready-json",
        *options,
    ]
    log = (home.parent / f"{home.name}.stderr").open("a")
    try:
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | {"NO_COLOR": "1"})
    finally:
        log.close()


def wait_ready(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    """The ready JSON. Fails with the log when the node did not come up."""
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        return dict(json.loads(line))
    except ValueError:
        status = stop_node(process)
        pytest.fail(f"the node did not come up ({status}): {line!r}\n{log.read_text()[-4000:]}")


def stop_node(process: subprocess.Popen[str]) -> int:
    """SIGTERM and the exit status; the pipe is closed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        status = process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    if process.stdout is not None:
        process.stdout.close()
    return status


NODE, PAIR = "node", "pair"
"""Groups of tests that stay on one worker."""


@pytest.fixture(scope="session")
def running_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """One node for all tests of a worker; tests must not depend on what others left in it."""
    home = tmp_path_factory.mktemp(f"node-{secrets.token_hex(3)}") / "home"
    process = start_node(home)
    try:
        ready = wait_ready(process, home.parent / "home.stderr")
        yield RunningNode(ready["api"], ready["admin"], Path(ready["ca"]), home, process, home.parent)
    finally:
        assert stop_node(process) == 0


@functools.cache
def group_of(file: str) -> str:
    """Which tests stay on one worker: those of a file, for its fixtures; all that share the running node, or that start a pair.

    Told from the file's text, for the process that gives the tests out has nothing else (and xdist 3.8 does not read its own
    ``xdist_group`` under pytest 9).
    """
    text = (Path(__file__).parent.parent / file).read_text(encoding="utf-8")
    if told := re.search(r'xdist_group\("(\w+)"\)', text):
        return told[1]
    return NODE if "running_node" in text else file


class ByGroup(LoadScopeScheduling):
    """Gives a whole group to a worker, in the order in which the groups appear (``--no-loadscope-reorder``)."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.split("::", 1)[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return ByGroup(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The pairs begin at once, the running node's tests after a fifth of the others: nothing long is left for the end.

    They keep apart, for both want more than one core. Among themselves the others stay in random order.
    """
    parts: dict[str, list[pytest.Item]] = {PAIR: [], NODE: [], "": []}
    for item in items:
        if "running_node" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.system)
        group = group_of(str(item.path.relative_to(config.rootpath)))
        parts[group if group in parts else ""].append(item)
    others = parts[""]
    fifth = len(others) // 5
    items[:] = [*parts[PAIR], *others[:fifth], *parts[NODE], *others[fifth:]]
