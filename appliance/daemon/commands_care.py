"""The command that shows the main job: demo."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from appliance.daemon.cli import home_option, port_option, read_config
from appliance.daemon.ports import with_ports


@click.command()
@home_option
@port_option
@click.option("--stop-after", is_flag=True, help="Stop the node once the note is signed, instead of serving on.")
@click.option("--no-admin", is_flag=True, help="Without the dashboard.")
@click.option(
    "--pair", is_flag=True, help="Two nodes: the primary dies in the middle of the consult, the other finishes it."
)
def demo(home: Path, port_base: int | None, stop_after: bool, no_admin: bool, pair: bool) -> None:
    """Start a node, load a synthetic patient, take the sample consults through the API to signed notes, serve on."""
    from appliance.daemon.demo.pair_show import show_pair
    from appliance.daemon.demo.show import show
    from appliance.daemon.initialise import initialise_for_development
    from appliance.daemon.up import Up

    os.environ.setdefault("PRONTUARIO_TERMINAL_LOG", "warning")  # the stages are what a person wants to see
    if pair:
        asyncio.run(show_pair(home, port_base, dashboard=not no_admin, stop_after=stop_after))
        return
    asyncio.run(initialise_for_development(home))
    config = with_ports(read_config(home), port_base)
    asyncio.run(show(Up(home, config, dashboard=not no_admin), stop_after=stop_after))


COMMANDS: list[click.Command] = [demo]
