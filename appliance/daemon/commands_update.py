"""``prontuario update``: a signed update from a stick, proven, put to work node by node, and taken back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from appliance.daemon.cli import home_option
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.plugin_api.errors import ProntuarioError

if TYPE_CHECKING:
    from appliance.operations.updates.journal import Place
    from appliance.operations.updates.manifest import UpdateManifest
    from appliance.operations.updates.preparing import Preparation
    from appliance.operations.updates.state import State

MIB: Final = 1 << 20
prefix_option = click.option(
    "--prefix",
    type=click.Path(file_okay=False, path_type=Path, resolve_path=True),
    default=Path("/Library/Prontuario"),
    show_default=True,
    help="Where the package put the program.",
)
folder_argument = click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True)
)
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.group()
def update() -> None:
    """Offline updates: program, tables and model packs in one signed bundle. The standby goes first."""


@update.command()
@home_option
@prefix_option
@folder_argument
@json_option
def verify(home: Path, prefix: Path, folder: Path, as_json: bool) -> None:
    """Read every byte of the bundle in FOLDER and tell whether it may come to this node. Changes nothing."""
    with _sentences():
        preparation = _preparation(prefix, home)
        with _progress(preparation.look(folder).size, "Verifying") as on_bytes:
            manifest = preparation.verify(folder, on_bytes)
    click.echo(msgspec.json.encode(manifest).decode() if as_json else _described(manifest))


@update.command()
@home_option
@prefix_option
@folder_argument
def stage(home: Path, prefix: Path, folder: Path) -> None:
    """Copy the bundle in FOLDER to this machine's disk, every byte checked. What runs is not touched. Needs sudo."""
    state = _stage(home, prefix, folder)
    click.echo(f"{state.version} is staged; {state.before} runs. Next: sudo prontuario update apply")


@update.command()
@home_option
@prefix_option
@click.argument(
    "folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True)
)
@click.option("--yes-i-typed", "typed", help="The version, for scripts: a Mac that works alone may stop serving now.")
@click.option(
    "--window", default="", help="HH:MM-HH:MM: a Mac that works alone may stop serving then, and waits for it."
)
@click.option("--no-wait", is_flag=True, help="End when it is not this node's turn yet; give the command again later.")
def apply(home: Path, prefix: Path, folder: Path | None, *, typed: str | None, window: str, no_wait: bool) -> None:
    """Put the staged update (or the one in FOLDER) to work. Give it on both Macs: each waits for its turn. Needs sudo.

    Interrupted, it goes on where it was when the command is given again. Whatever fails takes the version before back.
    """
    from appliance.operations.updates.errors import CONFIRMATION
    from appliance.operations.updates.window import parse

    if window:
        try:
            parse(window)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    if folder is not None:
        _stage(home, prefix, folder)
    with _sentences(), _place(prefix).alone():
        preparation = _preparation(prefix, home)
        state = preparation.allow(confirmed=False, window=window)
        if not state.ended and not window and not state.confirmed and _alone(home):
            click.echo(f"{CONFIRMATION(version=state.version).sentence('pt')}\n{CONFIRMATION().sentence('en')}")
            said = typed if typed is not None else click.prompt(f"Type {state.version} to go on")
            if said != state.version:
                raise CONFIRMATION(version=state.version)
            state = preparation.allow(confirmed=True, window="")
        _finish(prefix, home, state, wait=not no_wait)


@update.command()
@home_option
@prefix_option
@click.option("--yes-i-typed", "typed", help="The version that runs now, for scripts.")
def rollback(home: Path, prefix: Path, typed: str | None) -> None:
    """Go back to the version, tables and models from before the last update. In a pair: on the standby first. Needs sudo."""
    with _sentences(), _place(prefix).alone():
        _need_root(prefix)
        running = _place(prefix).running()
        if (typed if typed is not None else click.prompt(f"Type {running} to take it back")) != running:
            raise CommandFailedError("Not confirmed; nothing was done.")
        _finish(prefix, home, _preparation(prefix, home).ask_back(), wait=True)


@update.command()
@prefix_option
@json_option
def status(prefix: Path, as_json: bool) -> None:
    """Tell which version runs, how far an update has come, and what became of those before."""
    from appliance.operations.updates.telling import lines, report

    with _sentences():
        told = report(_place(prefix))
    click.echo(msgspec.json.encode(told).decode() if as_json else "\n".join(lines(told)))
    if told.half_done:
        raise CommandFailedError(f"The update to {told.version} is half done.", Exit.UNHEALTHY)


@update.command()
@prefix_option
@click.argument("key", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def trust(prefix: Path, key: Path) -> None:
    """From now on take updates signed with KEY (a public key in PEM). Compare its number with its owner first. Needs sudo."""
    _need_root(prefix)
    with _sentences():
        identifier = _place(prefix).trust(key)
    click.echo(f"Updates signed with {identifier} are taken now.")


@update.command(hidden=True)
@home_option
def consult(home: Path) -> None:
    """Take a synthetic consult with this very program on a new node in the folder --home; apply does it by itself."""
    from appliance.daemon.updates.consult import prove_by_consult

    taken = asyncio.run(prove_by_consult(home))
    click.echo(f"A consult of {len(taken.transcript['segments'])} segments became a signed note that verifies.")


def _stage(home: Path, prefix: Path, folder: Path) -> State:
    with _sentences(), _place(prefix).alone():
        _need_root(prefix)
        preparation = _preparation(prefix, home)
        with _progress(_size(prefix, folder), "Copying") as on_bytes:
            return preparation.stage(folder, on_bytes)


def _finish(prefix: Path, home: Path, state: State, *, wait: bool) -> None:
    """Carry it out, telling each step; the exit status says how it ended."""
    from appliance.daemon.updates.hands import MacHands
    from appliance.daemon.updates.programs import Machine
    from appliance.operations.updates.runner import Runner
    from appliance.operations.updates.state import Step
    from appliance.operations.updates.telling import step_line
    from appliance.telemetry.clock import SystemClock

    _need_root(prefix)
    place = _place(prefix)
    place.settle()
    runner = Runner(
        place, MacHands(place, home, Machine()), SystemClock(), on_state=lambda one: click.echo(step_line(one))
    )
    ended = runner.run(state, wait=wait)
    if ended.failure_en and ended.step is not Step.DONE:
        click.echo(f"{ended.failure_pt}\n{ended.failure_en}", err=True)
    if not ended.ended:
        raise CommandFailedError("Not this node's turn yet; give the command again later.", Exit.UNHEALTHY)
    if ended.step is Step.STUCK:
        raise CommandFailedError("The way back failed, too. See docs/updates.md.", Exit.UNHEALTHY)
    if ended.step is Step.ROLLED_BACK and ended.failure != "update.asked_back":
        raise CommandFailedError(f"Version {ended.before} runs again ({ended.failure}).")


def _place(prefix: Path) -> Place:
    from appliance.operations.updates.journal import Place as PlaceOf

    return PlaceOf(prefix)


def _preparation(prefix: Path, home: Path) -> Preparation:
    from appliance.operations.updates.preparing import Preparation as PreparationOf
    from appliance.telemetry.clock import SystemClock

    return PreparationOf(_place(prefix), home, SystemClock())


def _size(prefix: Path, folder: Path) -> int:
    from appliance.operations.updates import bundle

    return bundle.look(folder, _place(prefix).trusted()).size


def _alone(home: Path) -> bool:
    from appliance.config import Paths, load_config

    config = Paths(home).config
    return not config.exists() or load_config(config).cluster.mode == "single"


def _need_root(prefix: Path) -> None:
    from appliance.daemon.updates.hands import may_change

    if not may_change(prefix):
        raise CommandFailedError(f"{prefix} belongs to root: put sudo in front of the command.")


def _described(manifest: UpdateManifest) -> str:
    parts = [
        f"  {part.kind:8} {part.name:40} {sum(one.size for one in part.files) / MIB:10.1f} MiB"
        for part in manifest.parts
    ]
    head = f"{manifest.version}, made {manifest.made}, from {manifest.from_version} on: as signed, and may come to this node."
    return "\n".join([head, manifest.notes_pt, manifest.notes_en, *parts])


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except ProntuarioError as error:
        raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')} ({error.kind.code})") from error
    except PermissionError as error:
        raise CommandFailedError(f"{error.filename}: {error.strerror}; put sudo in front of the command.") from error
    except OSError as error:  # a full disk, above all: what was not written down was not done
        where = error.filename or "the update's folder"
        raise CommandFailedError(
            f"{where}: {error.strerror or error}. Nothing further was done. Mend that (a full disk: free space), then give the "
            "same command again; it goes on where it was."
        ) from error


@contextmanager
def _progress(size: int, label: str) -> Iterator[Callable[[int], None]]:
    with click.progressbar(length=max(size, 1), label=label, show_eta=True, file=sys.stderr) as bar:
        yield bar.update


COMMANDS: list[click.Command] = [update]
