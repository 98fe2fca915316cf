"""The command that shows the main job: demo."""

from __future__ import annotations

import click

from appliance.daemon.cli import home_option, port_option, read_config
from appliance.daemon.ports import with_ports


@click.command()
@home_option
@port_option
@click.option("--stop-after", is_flag=True, help="Stop the node once the note is signed, instead of serving on.")
def demo(home: object, port_base: int | None, stop_after: bool) -> None:
    """Start a node, load a synthetic patient, take the sample consult through the API to a signed note, serve on."""
    raise NotImplementedError((home, port_base, stop_after, home_option, read_config, with_ports))


COMMANDS: list[click.Command] = [demo]
