"""Commands for two Macs that are one service: cluster init, join, voter, status, and what an operator does at night."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click
import msgspec

from appliance.daemon.cli import home_option, refuse_root
from appliance.daemon.exits import CommandFailedError
from appliance.plugin_api.errors import ProntuarioError

DEFAULT_JOIN_PORT = 8446


@click.group()
def cluster() -> None:
    """Two nodes as one service: make the pair, look at it, move the lead."""


@cluster.command()
@home_option
@click.option("--address", required=True, help="This node's address, as the other one reaches it.")
@click.option("--peer-address", required=True, help="The second node's address.")
@click.option(
    "--witness-address", help="The third voter's address. Without one there is no automatic takeover (see the runbook)."
)
@click.option("--link-address", default="", help="This node's address on a cable between the two; replication uses it.")
@click.option("--peer-link-address", default="", help="The second node's address on that cable.")
@click.option("--vip", multiple=True, help="The virtual IP, IPv4 or IPv6; repeat it for both.")
@click.option("--vip-interface", default="", help="The network interface that carries it, the same on both nodes.")
@click.option(
    "--client-address", default="", help="host:port at which clients reach the pair; default: the first --vip."
)
@click.option("--join-port", default=DEFAULT_JOIN_PORT, show_default=True, help="Where this node waits for the second.")
@click.option(
    "--witness-folder",
    type=click.Path(file_okay=False, path_type=Path, resolve_path=True),
    help="Where to write what the third voter's host needs; default: voter/ in the home.",
)
def init(home: Path, **given: Any) -> None:
    """Make this stopped node the first of a pair, print the join code and wait for the second node.

    This node's record becomes the pair's. Run again, it invites the second node once more with a new code.
    """
    from appliance.daemon.pair.founding_commands import Wishes, invite

    refuse_root(home)
    asyncio.run(_told(invite(home, Wishes(**given), click.echo)))


@cluster.command()
@home_option
@click.option("--first", required=True, help="host:port of the first node, as cluster init printed it.")
@click.option("--code", required=True, help="The code that cluster init printed; good once.")
def join(home: Path, first: str, code: str) -> None:
    """Make this new home the second node: configuration, certificates and keys come from the first one."""
    from appliance.daemon.pair.founding_commands import accept_invitation

    refuse_root(home)
    asyncio.run(_told(accept_invitation(home, first, code)))
    click.echo(f"Joined. Start this node: prontuario up --home {home}")


@cluster.command()
@home_option
@click.option("--ready-fd", type=int, help="Write one JSON line to this descriptor once it listens.")
@click.option("--leash-fd", type=int, help="End when this descriptor reads EOF.")
def voter(home: Path, ready_fd: int | None, leash_fd: int | None) -> None:
    """Run this home's etcd member in the foreground: a node's own, or a third voter's folder's."""
    from appliance.daemon.pair.voter import run_voter

    run_voter(home, ready_fd=ready_fd, leash_fd=leash_fd)


@cluster.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="For machines: everything that the node knows.")
def status(home: Path, as_json: bool) -> None:
    """Tell who leads since when, in which mode and epoch, what the other node lacks, and what happened lately."""
    from appliance.daemon.pair.operator_commands import described
    from appliance.daemon.pair.operator_commands import status as look

    found = asyncio.run(look(home))
    click.echo(msgspec.json.encode(found).decode() if as_json else described(found))


_typed_option = click.option(
    "--yes-i-typed", "typed", help="What would have to be typed, for scripts and tests; without it you are asked."
)


@cluster.command()
@home_option
@_typed_option
def handover(home: Path, typed: str | None) -> None:
    """Have the other node take over, in order: nothing is lost and clients wait a second at most. Run on either node."""
    _act(home, "handover", typed)


@cluster.command()
@home_option
@_typed_option
def promote(home: Path, typed: str | None) -> None:
    """Have this node lead although it would not by itself. Acknowledged rows can be lost: it says so, and asks."""
    _act(home, "promote", typed)


@cluster.command("mark-lost")
@home_option
@_typed_option
def mark_lost(home: Path, typed: str | None) -> None:
    """Count the other node as lost: it never leads by itself until it is up to date again."""
    _act(home, "mark-lost", typed)


@cluster.command("vote-alone")
@home_option
@_typed_option
def vote_alone(home: Path, typed: str | None) -> None:
    """Last resort: the other two voters are lost for good, and this machine's voter goes on alone. It says the price, and asks."""
    from appliance.daemon.pair.last_voter import go_on_alone
    from appliance.daemon.pair.voter import voter_of

    asyncio.run(go_on_alone(voter_of(home), typed=typed, say=click.echo, prompt=click.prompt))


@cluster.command()
@home_option
@click.argument("name")
def readmit(home: Path, name: str) -> None:
    """Give the lost voter NAME a new place in the set, one at a time; it tells what to run on that machine.

    For a machine that is replaced or whose disk is gone: the others refuse its old place to who comes back with nothing.
    """
    from appliance.daemon.pair.last_voter import readmit as take_in
    from appliance.daemon.pair.voter import voter_of

    refuse_root(home)
    asyncio.run(take_in(voter_of(home), name, say=click.echo))


@cluster.command()
@home_option
@click.option("--voters", required=True, help="The set as prontuario cluster readmit told it.")
def rejoin(home: Path, voters: str) -> None:
    """On a voter's machine, stopped: put its old votes aside and join the set that took it in."""
    from appliance.daemon.pair.last_voter import rejoin as begin_anew
    from appliance.daemon.pair.voter import voter_of

    refuse_root(home)
    begin_anew(voter_of(home), voters)


@cluster.command()
@home_option
def drill(home: Path) -> None:
    """Hand over with a stop-watch; leaves a signed report, as the weekly one. Do it in daylight, so that it works at night."""
    from appliance.daemon.pair.operator_commands import drill as run_drill

    asyncio.run(run_drill(home, say=click.echo))


@cluster.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="With the contents of the rows: patients' data.")
@click.option("--resolve", "resolved", help="The whole id of a row that was dealt with.")
@click.option("--as", "resolution", help="With --resolve: what was decided, in a few words.")
def divergences(home: Path, as_json: bool, resolved: str | None, resolution: str | None) -> None:
    """List what an old primary had written that the record lacks, or note that a row was dealt with. On the primary."""
    from appliance.daemon.pair.operator_commands import divergence_lines, verb

    if resolved is not None:
        if not resolution:
            raise click.UsageError("--resolve needs --as")
        asyncio.run(verb(home, "cluster.resolve", id=resolved, resolution=resolution))
        return
    answer = asyncio.run(verb(home, "cluster.divergences"))
    click.echo(msgspec.json.encode(answer).decode() if as_json else "\n".join(divergence_lines(answer)))


def _act(home: Path, action: str, typed: str | None) -> None:
    from appliance.daemon.pair.operator_commands import act

    asyncio.run(act(home, action, typed=typed, say=click.echo, prompt=click.prompt))


async def _told(work: Any) -> Any:
    """The work's value; its refusal as a sentence and an exit status."""
    try:
        return await work
    except ProntuarioError as error:
        raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}") from error
    except OSError as error:
        raise CommandFailedError(f"{error.strerror or error}") from error


COMMANDS: list[click.Command] = [cluster]
