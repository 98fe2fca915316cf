"""An etcd member as a child, on a leash beside core and never below it.

A killed core must not take a voter with it, so ``prontuario up`` and launchd run members as processes of their own; the
third host runs the same from a folder that ``prontuario cluster init`` wrote.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from appliance.cluster.etcd_member import EtcdMember, NodeTls
from appliance.config import Config, Paths
from appliance.daemon.exits import CommandFailedError
from appliance.security.files import make_private_folder
from appliance.security.node_authority import NodeFiles, node_files
from appliance.store import leash
from appliance.store.process_lock import ProcessLock
from appliance.telemetry.logs import get_logger

log = get_logger("etcd")
START_S: Final = 20.0
_POLL_S: Final = 0.05
_MAX_LOG_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Voter:
    """A member and the folder in which its data, its log and its lock lie."""

    folder: Path
    member: EtcdMember


def voter_at(folder: Path, plan: VoterPlan, files: NodeFiles) -> Voter:
    """The voter whose home is ``folder``; ``files`` are its certificate."""
    member = EtcdMember(
        name=plan.name,
        data=folder / "data",
        host=plan.host,
        client_port=plan.client_port,
        peer_port=plan.peer_port,
        initial_cluster=plan.initial_cluster,
        tls=NodeTls(files.ca, files.certificate, files.key),
        heartbeat_ms=plan.heartbeat_ms,
        election_ms=plan.election_ms,
    )
    return Voter(folder, member)


class VoterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a voter is told: its name, how the others reach it, and who they are (name → peer URL)."""

    name: str
    host: str
    client_port: int
    peer_port: int
    initial_cluster: dict[str, str]
    heartbeat_ms: int
    election_ms: int


def own_voter(paths: Paths, config: Config) -> Voter | None:
    """This node's own; None when the configuration names none."""
    cluster = config.cluster
    urls = dict(entry.split("=", 1) for entry in cluster.etcd_initial_cluster.split(",") if "=" in entry)
    if cluster.node not in urls:
        return None
    plan = VoterPlan(
        name=cluster.node,
        host=urls[cluster.node].removeprefix("https://").rpartition(":")[0].strip("[]"),
        client_port=cluster.etcd_client_port,
        peer_port=cluster.etcd_peer_port,
        initial_cluster=urls,
        heartbeat_ms=cluster.etcd_heartbeat_ms,
        election_ms=cluster.etcd_election_ms,
    )
    return voter_at(paths.home / "etcd", plan, node_files(paths.secrets))


class RunningVoter:
    """A member that runs until ``stop``, or until this process is gone. ``ended`` says that it ended by itself."""

    def __init__(
        self, voter: Voter, command: Callable[[Voter], list[str]] = lambda voter: voter.member.command()
    ) -> None:
        """``command`` tells how it is started this time."""
        self._voter = voter
        self._command = command
        self._leash: int | None = None
        self._lock: ProcessLock | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it takes connections; the others may be away, then it waits for them.

        Raises:
            ProntuarioError: ``cluster.etcd_missing``.
            CommandFailedError: it ended at once; its log says why.
        """
        folder, member = self._voter.folder, self._voter.member
        argv = self._command(self._voter)
        make_private_folder(folder)
        member.prepare()
        self._lock = await ProcessLock.take(folder / "lock")
        their_end, self._leash = os.pipe()
        leashed = [sys.executable, "-I", "-S", leash.__file__, str(their_end), str(self._lock.descriptor), "--", *argv]
        try:
            with _log_of(folder).open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *leashed,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(their_end, self._lock.descriptor),
                    start_new_session=True,
                )
        finally:
            os.close(their_end)
        await self._wait_listening(self._process)

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None, "not started"  # noqa: S101
        return await self._process.wait()

    async def stop(self) -> None:
        """End it; safe to call twice."""
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None
        if self._process is not None:
            await self._process.wait()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def _wait_listening(self, process: asyncio.subprocess.Process) -> None:
        member = self._voter.member
        try:
            async with asyncio.timeout(START_S):
                while process.returncode is None:
                    try:
                        _, writer = await asyncio.open_connection(member.host, member.peer_port)
                    except OSError:
                        await asyncio.sleep(_POLL_S)
                    else:
                        writer.close()
                        return
        except TimeoutError:
            await self.stop()
        raise CommandFailedError(f"etcd did not start; see {_log_of(self._voter.folder)}.")


def _log_of(folder: Path) -> Path:
    path = folder / "etcd.log"
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path
