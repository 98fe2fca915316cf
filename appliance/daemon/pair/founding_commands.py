"""``prontuario cluster init`` and ``join``, behind the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Paths, load_config
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.pair.founding import Gift, found, gift_of, join, standing_plan, write_voter
from appliance.daemon.pair.invitation import Code, Invitation, accept
from appliance.daemon.pair.plan import PairPlan, Place
from appliance.security.node_authority import node_files

FIRST, SECOND, THIRD = "a", "b", "w"


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of ``cluster init``."""

    address: str
    peer_address: str
    witness_address: str | None
    vip: tuple[str, ...]
    vip_interface: str
    client_address: str
    join_port: int
    witness_folder: Path | None
    link_address: str = ""
    peer_link_address: str = ""

    def plan(self, api_port: int) -> PairPlan:
        """The pair with this hospital's addresses and the ports that are usual."""
        reached = self.client_address or (f"{self.vip[0]}:{api_port}" if self.vip else "")
        return PairPlan(
            first=Place(name=FIRST, host=self.address, link=self.link_address, api_port=api_port),
            second=Place(name=SECOND, host=self.peer_address, link=self.peer_link_address, api_port=api_port),
            witness=Place(name=THIRD, host=self.witness_address) if self.witness_address else None,
            client_address=reached,
            vip_addresses=self.vip,
            vip_interface=self.vip_interface,
        )


async def invite(home: Path, wishes: Wishes, say: Callable[[str], None]) -> None:
    """Found the pair on ``home`` (once), then wait for the second node with a fresh code.

    On either node of a pair it invites the other one anew: a Mac that takes the place of one that is gone.

    Raises:
        CommandFailedError, ProntuarioError: see ``founding.found`` and ``Invitation.serve``; other addresses than the pair's.
        OSError: the port is taken.
    """
    paths = Paths(home)
    if not paths.config.exists():
        raise CommandFailedError(f"{home} is not prepared; run prontuario init --home {home} first.", Exit.CONFIG)
    config = load_config(paths.config)
    if config.cluster.mode == "paired":
        plan = standing_plan(home)
        _refuse_other_addresses(wishes, plan)
        gift = gift_of(home, plan)
    else:
        plan = wishes.plan(config.api.port)
        gift = await found(home, plan)
    if plan.witness is not None:
        folder = wishes.witness_folder or home / "voter"
        write_voter(home, plan, folder)
        say(f"Third voter: copy {folder} to {plan.witness.host} and run ./etcd.sh there (as a service).")
    else:
        say("There is no third voter: if a node dies, an operator must decide who leads.")
    files = node_files(paths.secrets)
    code = Code.make(files.ca)
    say(f"On the second node: prontuario cluster join --first {wishes.address}:{wishes.join_port} --code {code}")
    await Invitation(code, gift, files).serve(wishes.address, wishes.join_port)
    say("The second node has joined. Start both: prontuario up")


def _refuse_other_addresses(wishes: Wishes, plan: PairPlan) -> None:
    own, other = plan.first, plan.second
    if (wishes.address, wishes.peer_address) != (own.host, other.host):
        raise CommandFailedError(
            f"This is node {own.name} of a pair: --address {own.host} --peer-address {other.host}. "
            "A new Mac takes the address of the one that is gone.",
            Exit.USAGE,
        )


async def accept_invitation(home: Path, first: str, code: str) -> None:
    """Call ``first`` (``host:port``), prove the code, keep what it gives, confirm.

    Raises:
        CommandFailedError, ProntuarioError: see ``invitation.accept`` and ``founding.join``.
        OSError: nobody answers there.
    """
    host, _, port = first.rpartition(":")
    if not host or not port.isdigit():
        raise CommandFailedError(f"{first!r} is not host:port.", Exit.USAGE)
    guest = await accept(host.strip("[]"), int(port), Code.read(code), Gift)
    try:
        await asyncio.to_thread(join, home, guest.gift)
    except BaseException:
        await guest.close()
        raise
    await guest.confirm()
