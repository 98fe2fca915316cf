"""The process that keeps one etcd member: a child of ``prontuario up``, a launchd job, or all that a third host runs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from appliance.config import Paths, load_config
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.lifeline import announce, stop_event
from appliance.daemon.pair.etcd_child import RunningVoter, Voter, own_voter
from appliance.daemon.pair.founding import VOTER_FILE, third_voter
from appliance.plugin_api.errors import ProntuarioError


def run_voter(home: Path, *, ready_fd: int | None, leash_fd: int | None) -> None:
    """Run the member of ``home`` until SIGTERM, SIGINT or EOF on the leash.

    Raises:
        CommandFailedError: there is none, it does not start, or it ended by itself.
    """
    try:
        asyncio.run(_run(_voter(home), ready_fd, leash_fd))
    except ProntuarioError as error:
        raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}") from error


def _voter(home: Path) -> Voter:
    if (home / VOTER_FILE).exists():
        return third_voter(home)
    paths = Paths(home)
    voter = own_voter(paths, load_config(paths.config))
    if voter is None:
        raise CommandFailedError(f"{paths.config} names no etcd member of this node; see prontuario cluster init.")
    return voter


async def _run(voter: Voter, ready_fd: int | None, leash_fd: int | None) -> None:
    stop = stop_event(leash_fd)
    running = RunningVoter(voter)
    await running.start()
    stopped, ended = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(running.ended())
    try:
        announce(ready_fd, {"voter": voter.member.name, "pid": os.getpid()})
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            raise CommandFailedError(f"etcd ended with {ended.result()}; see {voter.folder / 'etcd.log'}.")
    finally:
        stopped.cancel()
        await running.stop()
