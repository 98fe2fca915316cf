"""When voters are lost for good: the last of three goes on alone, by order, and lost ones are taken in again.

etcd itself can't tell two lost voters from two that are cut off, so only a person may say so. What a forced voter forgets
are the others, never the pair's keys. The one mistake that can be made is that the lost ones start again from their old
data: two of them are a majority of the *old* set, and two sets may each name a primary. So a voter that is taken in
again begins with nothing (``rejoin`` puts its old data aside).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from appliance.cluster.etcd_client import EtcdClient
from appliance.cluster.etcd_member import EtcdMember
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.pair.etcd_child import Voter
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.files import make_private_folder, write_file

Say = Callable[[str], None]
Ask = Callable[[str], str]
ALONE: Final = "form-alone"
"""An order file in a voter's folder: at its next start it forms a set of itself alone. Gone once it has."""
VOTERS: Final = "voters"
"""A file in a voter's folder: the set that it belongs to now (``name=url,…``), where it is not the one it was founded with."""
_LOOK_S: Final = 3.0
_ALONE_LIMIT_S: Final = 90.0
_ADD_LIMIT_S: Final = 20.0
_POLL_S: Final = 0.2


async def go_on_alone(voter: Voter, *, typed: str | None, say: Say, prompt: Ask) -> None:
    """Have the voter of this machine form a set of itself alone, after it was confirmed that the others are lost.

    Raises:
        CommandFailedError: a majority answers, a voter answers that should be lost, it was not confirmed, or the voter's
            process does not carry it out (it must run: ``prontuario up`` or ``prontuario cluster voter``).
    """
    member = voter.member
    others = {name: url for name, url in member.initial_cluster.items() if name != member.name}
    await _expect_lost(member, others)
    say(
        f"Os votantes {', '.join(sorted(others))} são dados como perdidos; {member.name} vota sozinho. Eles não podem ser ligados "
        "de novo com os dados antigos: dois deles formariam outra maioria, e haveria dois primários. Nada do prontuário se perde."
    )
    say(
        f"The voters {', '.join(sorted(others))} count as lost; {member.name} votes alone. They must not be switched on again "
        "with their old data: two of them would be another majority, and there would be two primaries. The record loses nothing."
    )
    if (typed if typed is not None else prompt(f"Type {member.name} to go on")) != member.name:
        raise CommandFailedError("Not confirmed; nothing was done.")
    await asyncio.to_thread(write_file, voter.folder / ALONE, b"")
    await _expect_majority(member)
    say("Done. See prontuario cluster status; then replace the lost voters one by one: prontuario cluster readmit.")


async def readmit(voter: Voter, name: str, *, say: Say) -> str:
    """Give the lost voter ``name`` a place in the set again; the set as it has to know it (``name=url,…``).

    A voter that comes back with nothing is refused its old place by the others: while they are a majority, that place is
    given up first, unless whoever has it answers.

    Raises:
        CommandFailedError: it belongs to the set, was never part of this pair, or another one has yet to start.
    """
    member = voter.member
    url = member.initial_cluster.get(name)
    if url is None:
        raise CommandFailedError(f"{name} is no voter of this pair.")
    client = EtcdClient([member.client_url], member.tls.client_context() if member.tls else None, attempt_s=_LOOK_S)
    try:
        urls = await _give_place(client, name, url)
    except ProntuarioError as error:
        raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}") from error
    finally:
        await client.close()
    voters = ",".join(f"{one}={at}" for one, at in sorted(member.initial_cluster.items()) if at in urls)
    await asyncio.to_thread(write_file, voter.folder / VOTERS, voters.encode())
    command = f"prontuario cluster rejoin --voters {voters}"
    script = f"./etcd.sh --initial-cluster-state=existing --initial-cluster={voters}"
    say(f"Em {name}, com o votante parado: {command}\nSem Prontuário lá, a primeira partida, com etcd/ vazia: {script}")
    say(f"On {name}, with its voter stopped: {command}\nWithout Prontuário, the first start, etcd/ empty: {script}")
    return voters


async def _give_place(client: EtcdClient, name: str, url: str) -> set[str]:
    """The peer URLs of the set once ``url`` is a new member of it. Raises ``CommandFailedError``, ``ProntuarioError``."""
    listed = await _members(client)
    old = next((one for one in listed if url in one.get("peerURLs", [])), None)
    if old is not None and (not old.get("name") or await _listens(url)):
        raise CommandFailedError(f"{name} is already a voter. If its disk is new, stop its voter there first.")
    if any(not one.get("name") for one in listed):
        raise CommandFailedError("A voter that was taken in has not started yet; start that one first.")
    if old is not None:
        await client.call("/v3/cluster/member/remove", {"ID": old["ID"]}, _LOOK_S)
    ends = time.monotonic() + _ADD_LIMIT_S
    while True:
        try:
            await client.call("/v3/cluster/member/add", {"peerURLs": [url]}, _LOOK_S)
        except ProntuarioError:
            # Those that are left must have known each other for some seconds; and an answer can be lost on its way.
            if time.monotonic() > ends:
                raise
            await asyncio.sleep(_POLL_S)
        urls = {str(one) for entry in await _members(client) for one in entry.get("peerURLs", [])}
        if url in urls:
            return urls


async def _members(client: EtcdClient) -> list[dict[str, Any]]:
    """The set as this machine's voter knows it."""
    listed: list[dict[str, Any]] = (await client.call("/v3/cluster/member/list", {}, _LOOK_S)).get("members", [])
    return listed


def rejoin(voter: Voter, voters: str) -> None:
    """On the machine of a voter that was taken in again: put its old data aside and begin with nothing. It must not run.

    Raises:
        CommandFailedError: ``voters`` does not name it.
    """
    member = voter.member
    if f"{member.name}={member.peer_url}" not in voters.split(","):
        raise CommandFailedError(
            f"{voters} does not name {member.name}={member.peer_url}; see prontuario cluster readmit."
        )
    make_private_folder(voter.folder)
    if member.data.exists():
        member.data.rename(member.data.with_name(f"data.{time.time_ns()}"))
    write_file(voter.folder / VOTERS, voters.encode())


def start_command(voter: Voter, *, alone: bool) -> list[str]:
    """The argv of the voter: ``alone`` by order; otherwise as it was founded, or in the set that its file names.

    Raises:
        ProntuarioError: ``cluster.etcd_missing``.
    """
    member, file = voter.member, voter.folder / VOTERS
    if not file.exists():
        return member.command(force_new_cluster=alone)
    known = dict(entry.split("=", 1) for entry in file.read_text().split(",") if "=" in entry)
    now = EtcdMember(
        member.name, member.data, member.host, member.client_port, member.peer_port, known, member.tls,
        member.heartbeat_ms, member.election_ms,
    )  # fmt: skip
    return now.command(joining=True, force_new_cluster=alone)


async def _listens(url: str) -> bool:
    host, _, port = url.removeprefix("https://").removeprefix("http://").rpartition(":")
    try:
        async with asyncio.timeout(_LOOK_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _expect_lost(member: EtcdMember, others: dict[str, str]) -> None:
    for name, url in sorted(others.items()):
        if await _listens(url):
            raise CommandFailedError(f"The voter {name} answers, so it is not lost. Nothing was done.")
    client = EtcdClient([member.client_url], member.tls.client_context() if member.tls else None, attempt_s=_LOOK_S)
    try:
        await client.read("/", _LOOK_S)
    except ProntuarioError:
        return
    finally:
        await client.close()
    raise CommandFailedError("The voters have a majority; nothing has to be forced.")


async def _expect_majority(member: EtcdMember) -> None:
    client = EtcdClient([member.client_url], member.tls.client_context() if member.tls else None, attempt_s=_LOOK_S)
    try:
        async with asyncio.timeout(_ALONE_LIMIT_S):
            while True:
                try:
                    await client.read("/", _LOOK_S)
                except ProntuarioError:
                    await asyncio.sleep(_POLL_S)
                else:
                    return
    except TimeoutError:
        raise CommandFailedError(
            "The voter did not carry it out yet; it does so as soon as its process starts (prontuario cluster voter)."
        ) from None
    finally:
        await client.close()
