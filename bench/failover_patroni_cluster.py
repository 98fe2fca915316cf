"""A Patroni cluster on loopback: two nodes (Patroni, PostgreSQL, an etcd member each), a third etcd member, HAProxy in front."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.peers import Peer, free_port, listens, postgres_program, program, run, signal_tree, wait_for, write_as
from bench.report import say

SETTINGS = {"default": (30, 10, 10), "tight": (20, 1, 3)}
"""(ttl, loop_wait, retry_timeout) in seconds: Patroni's own defaults, and the tightest that it allows."""
FAULTS = ("crash", "postgres", "stop", "planned")
"""The whole primary by kill -9; PostgreSQL alone; everything stopped (SIGSTOP) and continued; a planned switchover."""
SETTLE_LIMIT_S = 90.0


class _Node:
    """One machine of the pair."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.folder = folder
        self.sql_port, self.rest_port = free_port(), free_port()
        self.config = folder / f"{name}.yml"
        self.patroni = Peer(name, [program("patroni"), str(self.config)], folder / f"{name}.log")
        self.member: Peer | None = None

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Patroni's REST answer; status 0 when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest_port}/{path}", timeout=2) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, {}
        except (OSError, ValueError):
            return 0, {}

    @property
    def leads(self) -> bool:
        return self.ask("primary")[0] == 200

    def postmaster(self) -> int:
        """PostgreSQL's first process: not Patroni's child, so that it survives Patroni."""
        lines = (self.folder / f"data-{self.name}" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return int(lines[0])

    def signal_all(self, number: int) -> None:
        """Everything on this machine."""
        assert self.member is not None
        with suppress(FileNotFoundError):
            signal_tree(self.postmaster(), number)
        for peer in (self.patroni, self.member):
            peer.signal_all(number)

    def restart(self) -> None:
        """The machine is back after a crash."""
        assert self.member is not None
        self.patroni.wait()
        self.member.wait()
        self.member.start()
        self.patroni.start()


class PatroniCluster:
    """Everything behind ``port``."""

    def __init__(self, folder: Path, settings: str) -> None:
        self.folder = folder
        self.ttl, self.loop_wait, self.retry = SETTINGS[settings]
        self.helped = 0
        """How often a node had to be made anew by hand."""
        self.nodes = [_Node(folder, "a"), _Node(folder, "b")]
        self.port = free_port()
        self._members = self._make_members()
        self._proxy = Peer(
            "haproxy", [program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")], folder / "haproxy.log"
        )

    def start(self) -> None:
        """Start all; returns once both nodes are in step."""
        say("starting etcd, Patroni twice and HAProxy")
        for member in self._members:
            member.start()
        wait_for("etcd", lambda: all(listens(port) for port in self._client_ports))
        for node in self.nodes:
            write_as(node.config, json.dumps(self._patroni_config(node)))  # JSON is YAML
            node.patroni.start()
            wait_for(f"Patroni {node.name}", lambda node=node: node.ask("health")[0] == 200, SETTLE_LIMIT_S)  # type: ignore[misc]
        write_as(self.folder / "haproxy.cfg", self._proxy_config())
        self._proxy.start()
        self.wait_paired()
        wait_for("HAProxy", lambda: listens(self.port))

    def stop(self) -> None:
        """End all."""
        self._proxy.stop()
        for node in self.nodes:
            node.patroni.stop()
            with suppress(FileNotFoundError):  # Patroni ends PostgreSQL and its pid file goes; if not, by force
                signal_tree(node.postmaster(), signal.SIGKILL)
        for member in self._members:
            member.stop()

    def wait_paired(self) -> None:
        """Until one leads and the other is its synchronous standby."""

        def paired() -> bool:
            return (
                sorted(node.ask("sync")[0] == 200 for node in self.nodes) == [False, True]
                and self._leader() is not None
            )

        try:
            wait_for("a synchronous pair", paired, SETTLE_LIMIT_S)
        except SystemExit:
            straggler = next(node for node in self.nodes if not node.leads)
            say(f"{straggler.name} does not come back by itself: making it anew")
            self.helped += 1
            run([program("patronictl"), "-c", str(straggler.config), "reinit", "bench", straggler.name, "--force"])
            wait_for("a synchronous pair", paired, SETTLE_LIMIT_S)

    def _leader(self) -> _Node | None:
        return next((node for node in self.nodes if node.leads), None)

    def strike(self, fault: str) -> Callable[[], None]:
        """Let ``fault`` befall the primary; what heals it again."""
        leader = self._leader()
        assert leader is not None
        if fault == "planned":
            other = next(node.name for node in self.nodes if node is not leader)
            switch = ["switchover", "--leader", leader.name, "--candidate", other, "--force"]
            run([program("patronictl"), "-c", str(leader.config), *switch])
            return _nothing
        if fault == "postgres":
            signal_tree(leader.postmaster(), signal.SIGKILL)
            return _nothing
        if fault == "stop":
            leader.signal_all(signal.SIGSTOP)
            return lambda: leader.signal_all(signal.SIGCONT)
        leader.signal_all(signal.SIGKILL)
        return leader.restart

    def _make_members(self) -> list[Peer]:
        self._client_ports = [free_port() for _ in range(3)]
        peer_ports = [free_port() for _ in range(3)]
        cluster = ",".join(f"m{index}=http://127.0.0.1:{port}" for index, port in enumerate(peer_ports))
        members = []
        for index, (client, peer) in enumerate(zip(self._client_ports, peer_ports, strict=True)):
            own, near = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
            listen = ["--listen-client-urls", own, "--advertise-client-urls", own, "--listen-peer-urls", near]
            join = ["--initial-advertise-peer-urls", near, "--initial-cluster", cluster]
            pace = ["--heartbeat-interval", "50", "--election-timeout", "500"]  # the appliance's own, for a fair race
            argv = [program("etcd"), "--name", f"m{index}", "--data-dir", str(self.folder / f"m{index}")]
            members.append(Peer(f"m{index}", argv + listen + join + pace, self.folder / f"m{index}.log"))
        for node, member in zip(self.nodes, members, strict=False):
            node.member = member
        return members

    def _patroni_config(self, node: _Node) -> dict[str, Any]:
        rest, sql = f"127.0.0.1:{node.rest_port}", f"127.0.0.1:{node.sql_port}"
        account = {"username": "bench", "password": "bench"}
        trusted = ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
        return {
            "scope": "bench",
            "name": node.name,
            "restapi": {"listen": rest, "connect_address": rest},
            "etcd3": {"hosts": [f"127.0.0.1:{port}" for port in self._client_ports]},
            "bootstrap": {"dcs": self._cluster_config(), "initdb": [{"encoding": "UTF8"}, "data-checksums"]},
            "postgresql": {
                "listen": sql,
                "connect_address": sql,
                "data_dir": str(self.folder / f"data-{node.name}"),
                "bin_dir": str(Path(postgres_program("postgres")).parent),
                "pgpass": str(self.folder / f"pgpass-{node.name}"),
                "authentication": {"superuser": account, "replication": account, "rewind": account},
                "parameters": {"unix_socket_directories": str(self.folder), "max_connections": 600},
                "pg_hba": trusted,
            },
            "watchdog": {"mode": "off"},
        }

    def _cluster_config(self) -> dict[str, Any]:
        return {
            "ttl": self.ttl,
            "loop_wait": self.loop_wait,
            "retry_timeout": self.retry,
            "synchronous_mode": True,
            "maximum_lag_on_failover": 1048576,
            "postgresql": {
                "use_pg_rewind": True,
                "use_slots": True,
                "parameters": {"synchronous_commit": "on", "wal_log_hints": "on"},
            },
        }

    def _proxy_config(self) -> str:
        servers = "\n".join(
            f"  server {node.name} 127.0.0.1:{node.sql_port} check port {node.rest_port}" for node in self.nodes
        )
        return f"""
defaults
  mode tcp
  timeout connect 1s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 127.0.0.1:{self.port}
  option httpchk GET /primary
  http-check expect status 200
  default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


def _nothing() -> None:
    """Heals by itself."""
