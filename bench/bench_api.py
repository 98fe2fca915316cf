"""FHIR reads and name searches: CPU and throughput, with auth and audit, against FastAPI+uvicorn+aiosqlite without them.

Both sides: TLS 1.3 with client certificates, 50 keep-alive connections, the same rows, the same client process. CPU is
that of the server process with all its threads (psutil); Litestream, which makes our audit trail durable, is a child
process and is reported in a row of its own. Rounds alternate between the two servers; the median counts.

Usage: python bench/bench_api.py [--patients 5000] [--requests 4000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil
from api_rows import ROOT, patients, search_terms
from report import Report, say

HERE = Path(__file__).resolve().parent
CONNECTIONS = 50


@dataclass
class Side:
    """One server and what was measured of it."""

    name: str
    process: subprocess.Popen[str]
    ready: dict[str, Any]
    client: dict[str, Any]
    measured: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def run(self, what: str, paths: list[str], requests: int) -> None:
        """One round; CPU in µs a request."""
        before, beside = cpu_seconds(self.ready["pid"]), cpu_seconds(self.ready.get("litestream"))
        job = {
            **self.client,
            "port": self.ready["port"],
            "paths": paths,
            "connections": CONNECTIONS,
            "requests": requests,
        }
        done = subprocess.run(
            [sys.executable, str(HERE / "api_client.py")],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            check=True,
        )
        result = json.loads(done.stdout)
        if set(result["statuses"]) != {"200"}:
            raise SystemExit(f"{self.name}: {what}: {result['statuses']}")
        row = {
            "cpu": (cpu_seconds(self.ready["pid"]) - before) / requests * 1e6,
            "beside": (cpu_seconds(self.ready.get("litestream")) - beside) / requests * 1e6,
            "rate": requests / result["seconds"],
            "p50": result["p50_ms"],
            "p99": result["p99_ms"],
            "bytes": result["bytes"] / requests,
        }
        say(f"  {self.name} {what}: " + ", ".join(f"{key} {value:.0f}" for key, value in row.items()))
        self.measured.setdefault(what, []).append(row)

    def median(self, what: str, key: str) -> float:
        return statistics.median(row[key] for row in self.measured[what])


def cpu_seconds(pid: int | None) -> float:
    """User and system time of one process, its ended children left out."""
    if pid is None:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def start(argv: list[str]) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """A server in a child process, and its ready line."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{argv[1]} did not start")
    return process, json.loads(line)


def wait_listening(port: int) -> None:
    """Until somebody accepts on ``port``."""
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the peer did not come up")


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(ours: Side, peer: Side, options: argparse.Namespace) -> None:
    """All rounds, the two sides in turn."""
    rows = patients(options.patients)
    step = max(1, options.patients // 997)
    reads = [f"/fhir/R4/Patient/p{number}" for number in range(0, options.patients, step)]
    searches = [f"/fhir/R4/Patient?{urlencode({'name': term})}" for term in search_terms(rows, 500)]
    say("warming up")
    for side in (ours, peer):
        side.run("warm-up", reads + searches, len(reads) + len(searches))
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        for what, paths in (("read by id", reads), ("name search", searches)):
            for side in (ours, peer):
                side.run(what, paths, options.requests)


def show(report: Report, ours: Side, peer: Side) -> None:
    """The figures that README quotes."""
    name = peer.name
    for what in ("read by id", "name search"):
        cpu, peer_cpu = ours.median(what, "cpu"), peer.median(what, "cpu")
        report.row(f"{what}: CPU a request", cpu, "µs", peer=name, peer_value=peer_cpu, aim=("<=", 1.5), on="ratio")
        rate, peer_rate = ours.median(what, "rate"), peer.median(what, "rate")
        report.row(
            f"{what}: requests a second, {CONNECTIONS} connections", rate, "1/s", peer=name, peer_value=peer_rate
        )
        p99, peer_p99 = ours.median(what, "p99"), peer.median(what, "p99")
        report.row(f"{what}: p99", p99, "ms", peer=name, peer_value=peer_p99)
        report.row(f"{what}: Litestream's CPU beside it (not included above)", ours.median(what, "beside"), "µs")


def main() -> None:
    """Start both, measure, stop both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=5000)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="prontuario-bench-"))
    processes: list[subprocess.Popen[str]] = []
    try:
        say(f"filling two databases with {options.patients} patients")
        home, count = scratch / "home", str(options.patients)
        process, ready = start([sys.executable, str(HERE / "api_server.py"), str(home), count])
        processes.append(process)
        client = {key: ready[key] for key in ("ca", "cert", "key", "token")}
        ours = Side("prontuario", process, ready, client)
        port = free_port()
        tls = [ready["server_cert"], ready["server_key"], ready["ca"]]
        peer_argv = [sys.executable, str(HERE / "api_peer.py"), str(scratch / "peer.sqlite"), count, str(port), *tls]
        process, ready = start(peer_argv)
        processes.append(process)
        wait_listening(port)
        peer = Side("FastAPI+uvicorn+aiosqlite, no auth, no audit", process, ready, client)
        measure(ours, peer, options)
        report = Report("api")
        show(report, ours, peer)
        report.print()
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
