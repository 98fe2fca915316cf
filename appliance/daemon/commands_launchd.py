"""Commands that hand a node to macOS: what launchd, newsyslog and the packet filter are told, and loading it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path, PurePosixPath
from typing import Any

import click

from appliance.config import Paths, load_config
from appliance.daemon.cli import home_option
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.launchd.layout import JOBS_FOLDER, Installation
from appliance.plugin_api.errors import ProntuarioError


@click.group()
def launchd() -> None:
    """A node as macOS sees it: launchd jobs, log rotation, packet filter."""


@launchd.command()
@home_option
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="This configuration instead of the home's own prontuario.toml.",
)
@click.option(
    "--prefix",
    type=click.Path(path_type=PurePosixPath),
    default=Installation().prefix,
    show_default=True,
    help="Where the package put the program.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path, resolve_path=True),
    help="The folder to write into as if it were /; on the Mac itself, as root: /.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines: a list of path and mode.")
def render(home: Path, config_file: Path | None, prefix: PurePosixPath, out: Path, as_json: bool) -> None:
    """Write the plists, the newsyslog file and the packet filter's files that prontuario.toml asks for."""
    from appliance.daemon.launchd.render import rendered, write

    config = load_config(config_file or Paths(home).config)
    try:
        files = rendered(PurePosixPath(home), config, Installation(prefix))
        written = write(files, out)
    except ProntuarioError as error:
        raise _said(error) from error
    except OSError as error:
        raise CommandFailedError(f"{error.filename}: {error.strerror}") from error
    if as_json:
        click.echo(json.dumps([{"path": str(file.path), "mode": f"{file.mode:04o}"} for file in files]))
    else:
        click.echo("\n".join(map(str, written)))


@launchd.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def lint(files: tuple[Path, ...]) -> None:
    """Check plists: known keys, right types, and the rules of this house. Names each file and key that is wrong."""
    from appliance.daemon.launchd.lint import faults_of

    faults = [fault for file in files for fault in faults_of(str(file), file.read_bytes())]
    for fault in faults:
        click.echo(str(fault))
    if faults:
        raise CommandFailedError(f"{len(faults)} faults in {len(files)} files")


_launchctl_option = click.option("--launchctl", default="/bin/launchctl", hidden=True)
_folder_option = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(JOBS_FOLDER),
    show_default=True,
    help="Where the plists lie.",
)


@launchd.command()
@_folder_option
@_launchctl_option
def load(folder: Path, launchctl: str) -> None:
    """Have launchd run every job of this node as its plist says; one that runs is ended first and waited for."""
    from appliance.daemon.launchd.launchctl import Launchctl
    from appliance.daemon.launchd.loading import load_all

    _do(load_all(folder, Launchctl(launchctl)))


@launchd.command()
@_folder_option
@_launchctl_option
def unload(folder: Path, launchctl: str) -> None:
    """Take every job of this node from launchd, and return once all have ended."""
    from appliance.daemon.launchd.launchctl import Launchctl
    from appliance.daemon.launchd.loading import unload_all

    _do(unload_all(folder, Launchctl(launchctl)))


def _do(work: Coroutine[Any, Any, list[str]]) -> None:
    try:
        labels = asyncio.run(work)
    except ProntuarioError as error:
        raise _said(error) from error
    except OSError as error:
        raise CommandFailedError(f"{error.filename}: {error.strerror}") from error
    click.echo("\n".join(labels) if labels else "There are no jobs of a node.")


def _said(error: ProntuarioError) -> CommandFailedError:
    return CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}")


COMMANDS: list[click.Command] = [launchd]
