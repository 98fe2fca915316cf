"""Start and rest: a start to ``/health/ready``, restarts of core under fifty phones, and what the node takes when nobody asks.

The peer is Quart on Hypercorn saying hello over TLS, started by the same Python in the same run; the node's start besides it
checks the record, opens it, starts Litestream and answers while its models are still being loaded. The home is there already;
the files are in the page cache, for this program can't empty it. The exit status is 1 when an acknowledged write was lost
or a call was never answered, never for a time. Usage: ``bench_start.py [--starts 5] [--restarts 5] [--phones 50] [--settle 20]``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import httpx
import psutil
import uvloop

from appliance.config.model import Cluster, Paths
from appliance.daemon.pair.plan import render
from bench.bench_soak import engines_ready
from bench.node import COMMAND, ROOT, BenchNode, serving
from bench.report import Report, say
from bench.soak_watch import ENGINE
from bench.start_restart import restarts

PEER = Path(__file__).with_name("start_peer.py")
PEER_NAME = "Quart+Hypercorn hello"
LIMIT_S, ASK_EVERY_S = 120.0, 0.005
HELLOS = 20
MIB = 2**20
NOWHERE = "10.77.77.1"
"""An address that vipd may put up and is never asked to."""


def until_ready(url: str, context: ssl.SSLContext) -> None:
    """Ask until 200."""
    deadline = time.monotonic() + LIMIT_S
    with httpx.Client(verify=context, timeout=5) as http:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if http.get(f"{url}/health/ready").status_code == httpx.codes.OK:
                    return
            time.sleep(ASK_EVERY_S)
    raise SystemExit(f"{url} was not ready within {LIMIT_S:g} s")


def trusting(home: Path) -> ssl.SSLContext:
    """TLS that believes this node, and the peer, which shows the node's certificate."""
    return ssl.create_default_context(cafile=Paths(home).ca)


def start_node(home: Path, options: tuple[str, ...] = ("--no-admin",)) -> tuple[float, float]:
    """(seconds to the first 200 of ``/health/ready``, seconds until every model is ready)."""
    began = time.monotonic()
    with serving(home, *options) as node:
        until_ready(node.api, trusting(home))
        ready_s = time.monotonic() - began
        asyncio.run(engines_ready(node.client("ti.partida", "it")))
        return ready_s, time.monotonic() - began


@contextmanager
def peer(home: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The peer's address, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    secrets = Paths(home).secrets
    argv = [sys.executable, str(PEER), str(port), str(secrets / "server.pem"), str(secrets / "server.key")]
    with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"https://localhost:{port}", process
        finally:
            process.terminate()


def start_peer(home: Path, context: ssl.SSLContext) -> float:
    """Seconds to its first 200."""
    began = time.monotonic()
    with peer(home) as (url, _process):
        until_ready(url, context)
        return time.monotonic() - began


def starts(home: Path, report: Report, rounds: int) -> None:
    """The node and the peer in turn, after one of each that does not count."""
    start_node(home)
    context = trusting(home)
    start_peer(home, context)
    node, models, other = [], [], []
    for number in range(rounds):
        ready_s, models_s = start_node(home)
        node.append(ready_s)
        models.append(models_s)
        other.append(start_peer(home, context))
        say(
            f"start {number + 1} of {rounds}: ready after {ready_s:.2f} s, models after {models_s:.2f} s, peer {other[-1]:.2f} s"
        )
    median = statistics.median
    report.row(
        f"start to /health/ready, median of {rounds}", median(node), "s", peer=PEER_NAME, peer_value=median(other)
    )
    report.row(f"start to /health/ready, longest of {rounds}", max(node), "s", peer=PEER_NAME, peer_value=max(other))
    report.row(f"start to the last model ready, median of {rounds}", median(models), "s")


# -- at rest -----------------------------------------------------------------------------------------------------------
def resident(node: BenchNode) -> dict[str, int]:
    """Bytes by part; engines together."""
    found = {"core": psutil.Process(node.core_pid).memory_info().rss}
    for child in psutil.Process(node.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            line = child.cmdline()
            name = "admin" if "admin_ui" in line else "engines" if ENGINE in line else ""
            name = "litestream" if child.name() == "litestream" else name
            if name:
                found[name] = found.get(name, 0) + child.memory_info().rss
    return found


def peer_at_rest(home: Path, settle_s: float) -> int:
    """Bytes of the peer after some requests and a pause."""
    with peer(home) as (url, process):
        until_ready(url, trusting(home))
        with httpx.Client(verify=trusting(home)) as http:
            for _ in range(HELLOS):
                http.get(f"{url}/health/ready").raise_for_status()
        time.sleep(settle_s)
        return int(psutil.Process(process.pid).memory_info().rss)


def vipd_at_rest(folder: Path, settle_s: float) -> int | None:
    """Bytes of vipd and its guard, which keep an address that nobody asks for; None where it can't run."""
    home, (ready, ready_end) = folder / "vipd", os.pipe()
    home.mkdir()
    cluster = Cluster(
        mode="paired",
        vip_addresses=(NOWHERE,),
        vip_interface="lo0" if sys.platform == "darwin" else "lo",
        vipd_socket=str(folder / "socket" / "vipd.sock"),
    )
    Paths(home).config.write_text(render("cluster", cluster))
    argv = [*COMMAND, "vipd", "--home", str(home), f"--ready-fd={ready_end}"]
    with subprocess.Popen(argv, cwd=ROOT, pass_fds=(ready_end,), stderr=subprocess.PIPE, text=True) as process:
        os.close(ready_end)
        with os.fdopen(ready) as line:
            serves = bool(line.readline())
        if not serves:
            say(f"vipd can't run here: {process.communicate()[1].strip()[-300:]}")
            return None
        time.sleep(settle_s)
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        found = sum(one.memory_info().rss for one in family)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT_S)
        return int(found)


def at_rest(home: Path, report: Report, settle_s: float) -> None:
    """Resident memory of every part of a node that nobody asks anything."""
    with serving(home) as node:
        until_ready(node.api, trusting(home))
        asyncio.run(engines_ready(node.client("ti.partida", "it")))
        time.sleep(settle_s)
        parts = resident(node)
    hello, vipd = peer_at_rest(home, settle_s), vipd_at_rest(home.parent, settle_s)
    for name in ("core", "admin"):
        report.row(f"resident memory at rest: {name}", parts[name] / MIB, "MiB", peer=PEER_NAME, peer_value=hello / MIB)
    if vipd is not None:
        report.row(
            "resident memory at rest: vipd and its guard", vipd / MIB, "MiB", peer=PEER_NAME, peer_value=hello / MIB
        )
    for name in ("engines", "litestream"):
        report.row(f"resident memory at rest: {name}", parts.get(name, 0) / MIB, "MiB")


def main() -> int:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=5)
    parser.add_argument("--phones", type=int, default=50)
    parser.add_argument("--settle", type=float, default=20.0, help="seconds of rest before memory is read")
    asked = parser.parse_args()
    report, scratch = Report("start"), Path(tempfile.mkdtemp(prefix="prontuario-bench-"))
    home = scratch / "home"
    try:
        starts(home, report, asked.starts)
        at_rest(home, report, asked.settle)
        with serving(home, "--no-admin") as node, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            wrong = runner.run(restarts(node, report, asked.phones, asked.restarts))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for sentence in wrong:
        say(f"NOT SOUND: {sentence}")
    report.print()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
