"""The ``prontuario`` command. Commands live in small modules; this one only names them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from appliance.config import Config, ConfigError, Paths, load_config
from appliance.daemon.exits import NEEDS_SUDO, CommandFailedError, Exit
from appliance.telemetry.logs import configure

EPILOG = (
    "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 prontuario.toml can't be used; 4 another node already serves this home; "
    "5 doctor found something wrong; 6 no node is running; 20-29 setup stopped (docs/install.md)."
)
home_option = click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path, resolve_path=True),
    default=Path("/Library/Application Support/Prontuario")
    if sys.platform == "darwin"
    else Path("/var/lib/prontuario"),
    show_default=True,
    help="The node's home folder: record, keys, models, configuration.",
)
port_option = click.option(
    "--port-base",
    type=click.IntRange(0, 65533),
    help="API on this port, peer link on the next, dashboard on the one after; 0 finds free ports. Default: prontuario.toml.",
)


SERVICES = frozenset({"core", "admin", "vipd", "up"})


class Commands(click.Group):
    """Turns our failures into a sentence and an exit code; anything else is a bug and shows its traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            click.echo(f"prontuario: {error}", err=True)
            ctx.exit(Exit.CONFIG)
        except CommandFailedError as error:
            click.echo(f"prontuario: {error}", err=True)
            ctx.exit(error.code)
        except PermissionError as error:
            if ctx.invoked_subcommand in SERVICES:  # nobody typed it: the log wants to know where
                raise
            click.echo(f"prontuario: {error.filename or error}: {NEEDS_SUDO}", err=True)
            ctx.exit(Exit.FAILED)


def refuse_root(home: Path) -> None:
    """What root writes into the home core could not read. Raises ``CommandFailedError``."""
    if home.exists() and os.geteuid() == 0 and (owner := home.stat().st_uid) != 0:
        raise CommandFailedError(
            f"Como o usuário do nó | Run it as the node's own user: sudo -u '#{owner}' prontuario …"
        )


def read_config(home: Path) -> Config:
    """The home's configuration. Raises ConfigError."""
    return load_config(Paths(home).config)


@click.group(
    cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
def main() -> None:
    """Prontuário: the hospital record appliance. Voice to signed note, inside the building."""
    configure(level="warning", file=None)  # to stderr: stdout belongs to what a command promises to print


def _register() -> None:
    from appliance.daemon import (
        commands_audit,
        commands_backup,
        commands_care,
        commands_cluster,
        commands_drill,
        commands_faces,
        commands_launchd,
        commands_models,
        commands_node,
        commands_operator,
        commands_setup,
        commands_update,
    )

    for module in (
        commands_node, commands_operator, commands_models, commands_backup, commands_audit, commands_care, commands_cluster,
        commands_launchd, commands_faces, commands_drill, commands_setup, commands_update,
    ):  # fmt: skip
        for command in module.COMMANDS:
            main.add_command(command)


_register()
