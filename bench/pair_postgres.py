"""The peer of bench-pair: PostgreSQL with one synchronous standby, both fsyncing, on loopback; pgbench inserts bench_store's row.

``python bench/pair_postgres.py [--seconds N]`` prints progress and one JSON line. Needs ``bench/peers_setup.sh`` once.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.bench_store import BODY, WRITERS
from bench.peers import Peer, free_port, postgres_program, run, scratch, wait_for, write_as
from bench.report import Report, say

STANDBY = "reserva"
TABLE = "CREATE TABLE bench_row (id TEXT PRIMARY KEY, body TEXT NOT NULL)"
TRANSACTION = """
\\set n :n + 1
\\set number (:run * 1024 + :client_id) * 17592186044416 + :n
INSERT INTO bench_row (id, body) VALUES (lpad(to_hex(:number::bigint), 16, '0'), :body);
"""
"""Ids grow within each client, as bench_store's do: random ones would cost PostgreSQL more."""
SETTINGS = f"""
listen_addresses = '127.0.0.1'
max_connections = 300
max_wal_senders = 10
wal_level = replica
hot_standby = on
synchronous_commit = on
synchronous_standby_names = '{STANDBY}'
shared_buffers = 256MB
max_wal_size = 4GB
"""


@dataclass(frozen=True)
class Measured:
    """What ``writers`` clients saw: acknowledged rows a second, and how long each waited (ms, sorted)."""

    writers: int
    per_second: float
    latencies_ms: Sequence[float]

    @property
    def p50(self) -> float:
        """The middle one."""
        return statistics.median(self.latencies_ms)

    @property
    def p99(self) -> float:
        """All but one in a hundred were faster."""
        return self.latencies_ms[int(len(self.latencies_ms) * 0.99)]


class PostgresPair:
    """A running primary and its synchronous standby; ``socket`` is the folder of the primary's Unix socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._standby_port = free_port()
        self._servers: list[Peer] = []
        self._runs = 0

    def start(self) -> None:
        """Make both databases and start them; returns once the standby is synchronous."""
        primary, standby = self.folder / "primary", self.folder / "standby"
        run([postgres_program("initdb"), "-D", str(primary), "-A", "trust", "-U", "bench", "--no-instructions"])
        write_as(primary / "postgresql.auto.conf", SETTINGS + f"unix_socket_directories = '{self.folder}'\n")
        self._serve("primary", primary, self.port)
        copy = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", "-X", "stream", "-c", "fast"]
        run([postgres_program("pg_basebackup"), "-D", str(standby), *copy])
        follow = f"primary_conninfo = 'host=127.0.0.1 port={self.port} user=bench application_name={STANDBY}'\n"
        write_as(standby / "postgresql.auto.conf", SETTINGS + follow + "unix_socket_directories = ''\n")
        write_as(standby / "standby.signal", "")
        self._serve("standby", standby, self._standby_port)
        wait_for("a synchronous standby", lambda: self.sql("SELECT sync_state FROM pg_stat_replication") == "sync")
        self.sql(TABLE)

    def _serve(self, name: str, data: Path, port: int) -> None:
        argv = [postgres_program("postgres"), "-D", str(data), "-p", str(port)]
        server = Peer(name, argv, self.folder / f"{name}.log")
        server.start()
        self._servers.append(server)
        wait_for(f"PostgreSQL {name}", lambda: accepts(port))

    def sql(self, text: str) -> str:
        """The bare answer of the primary."""
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", "-d", "postgres"]
        return run([postgres_program("psql"), "-X", "-A", "-t", "-q", *where, "-c", text]).strip()

    def measure(self, writers: int, seconds: float) -> Measured:
        """Closed loop of ``writers`` clients through the Unix socket, prepared statements: pgbench at its fastest."""
        script = write_as(self.folder / "insert.sql", TRANSACTION)
        prefix = self.folder / f"log-{writers}"
        self._runs += 1
        given = ["-D", f"body={BODY}", "-D", f"run={self._runs}", "-D", "n=0"]
        load = ["-n", "-M", "prepared", "-f", str(script), *given, "-l", f"--log-prefix={prefix}"]
        size = ["-c", str(writers), "-j", str(min(2, writers)), "-T", str(max(1, round(seconds)))]
        where = ["-h", str(self.folder), "-p", str(self.port), "-U", "bench", "postgres"]
        told = run([postgres_program("pgbench"), *load, *size, *where])
        rates = [line.split()[2] for line in told.splitlines() if "without initial connection time" in line]
        if not rates:
            raise SystemExit(f"PostgreSQL ended no transaction of {writers} writers in {seconds:g} s: say --seconds 5")
        latencies: list[float] = []
        for log in self.folder.glob(f"log-{writers}.*"):
            latencies += [int(line.split(" ", 3)[2]) / 1000 for line in log.read_text().splitlines()]
            log.unlink()
        return Measured(writers, float(rates[0]), sorted(latencies))

    def stop(self) -> None:
        """End both."""
        for server in reversed(self._servers):
            server.stop()


def accepts(port: int) -> bool:
    """Whether that PostgreSQL takes connections; it listens already while it starts up."""
    asked = [postgres_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(asked, check=False).returncode == 0


@contextmanager
def postgres_pair() -> Iterator[PostgresPair]:
    """A pair in a scratch folder until the end of the block."""
    with scratch("prontuario-postgres-") as folder:
        pair = PostgresPair(folder)
        try:
            pair.start()
            yield pair
        finally:
            pair.stop()


def measure_all(seconds: float, writers: Sequence[int] = WRITERS) -> list[Measured]:
    """Every number of writers, after warming up."""
    with postgres_pair() as pair:
        pair.measure(16, 1)
        return [pair.measure(count, seconds) for count in writers]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each figure is measured")
    options = parser.parse_args()
    report = Report("pair-postgres")
    say("PostgreSQL, one synchronous standby, loopback")
    for one in measure_all(options.seconds):
        report.row(f"acks/s at {one.writers} writers", one.per_second, "1/s")
        report.row(f"ack p50 at {one.writers} writers", one.p50, "ms")
        report.row(f"ack p99 at {one.writers} writers", one.p99, "ms")
    report.print()


if __name__ == "__main__":
    main()
