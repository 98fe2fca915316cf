"""The process that keeps one etcd member: a child of ``prontuario up``, a launchd job, or all that a third host runs."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Any, Final

from appliance.config import Paths, load_config
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.lifeline import announce, stop_event
from appliance.daemon.pair.etcd_child import RunningVoter, Voter, own_voter
from appliance.daemon.pair.founding import VOTER_FILE, third_voter
from appliance.daemon.pair.last_voter import ALONE, start_command
from appliance.plugin_api.errors import ProntuarioError

_ORDERS_EVERY_S: Final = 1.0


def run_voter(home: Path, *, ready_fd: int | None, leash_fd: int | None) -> None:
    """Run the member of ``home`` until SIGTERM, SIGINT or EOF on the leash.

    Raises:
        CommandFailedError: there is none, it does not start, or it ended by itself.
    """
    try:
        asyncio.run(_run(voter_of(home), ready_fd, leash_fd))
    except ProntuarioError as error:
        raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}") from error


def voter_of(home: Path) -> Voter:
    """The voter of this machine: a node's own, or the third one.

    Raises:
        CommandFailedError: there is none.
    """
    if (home / VOTER_FILE).exists():
        return third_voter(home)
    paths = Paths(home)
    voter = own_voter(paths, load_config(paths.config))
    if voter is None:
        raise CommandFailedError(f"{paths.config} names no etcd member of this node; see prontuario cluster init.")
    return voter


async def _run(voter: Voter, ready_fd: int | None, leash_fd: int | None) -> None:
    stop = stop_event(leash_fd)
    stopped = asyncio.create_task(stop.wait())
    announced = False
    try:
        while not stop.is_set():
            alone = (voter.folder / ALONE).exists()
            running = RunningVoter(voter, partial(start_command, alone=alone))
            await running.start()
            if alone:
                (voter.folder / ALONE).unlink(missing_ok=True)  # carried out: it must not forget later ones too
            try:
                if not announced:
                    announced = True
                    announce(ready_fd, {"voter": voter.member.name, "pid": os.getpid()})
                await _until_something_happens(voter, running, stopped)
            finally:
                await running.stop()
    finally:
        stopped.cancel()


async def _until_something_happens(voter: Voter, running: RunningVoter, stopped: asyncio.Task[Any]) -> None:
    """Return when it shall stop, or start anew because an operator ordered it to go on alone.

    Raises:
        CommandFailedError: etcd ended by itself.
    """
    ended = asyncio.create_task(running.ended())
    try:
        while not (stopped.done() or ended.done() or (voter.folder / ALONE).exists()):
            both: set[asyncio.Task[Any]] = {stopped, ended}
            await asyncio.wait(both, timeout=_ORDERS_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not stopped.done():
            raise CommandFailedError(f"etcd ended with {ended.result()}; see {voter.folder / 'etcd.log'}.")
    finally:
        ended.cancel()
