"""``prontuario setup``: from an installed package to a node that serves; and ``recover``, from paper and a copy."""

from __future__ import annotations

import asyncio
import dataclasses
import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.daemon.cli import home_option
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.plugin_api.errors import ProntuarioError

if TYPE_CHECKING:
    from appliance.daemon.setup.context import Context
    from appliance.daemon.setup.machine import Machine

language_option = click.option(
    "--language", type=click.Choice(["pt", "en"]), default="pt", show_default=True, help="What it speaks."
)


@click.command()
@home_option
@click.option(
    "--answers",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file with the answers; nobody is asked then.",
)
@click.option("--part", type=click.Choice(["first", "second"]), help="The first Mac, or the second one of a pair.")
@click.option("--first", help="On the second Mac: host:port where the first one waits.")
@click.option(
    "--profile",
    type=click.Choice(["production", "development"]),
    help="To try it out: development, whose key lies in a file. On a Mac it is production, and the keychain.",
)
@click.option("--code", default="", help="On the second Mac: the code that the first one shows; good once.")
@click.option("--join-port", default=8446, show_default=True, help="Where the first Mac waits for the second.")
@click.option("--again", multiple=True, help="Do this step once more: key, pair, sheet, start, phone, pages, mac.")
@language_option
@click.pass_context
def setup(ctx: click.Context, /, home: Path, file: Path | None, again: tuple[str, ...], **given: Any) -> None:
    """Set this Mac up: ask, prepare keys and papers, pair, start, enrol the first phone. Interrupted, run it again.

    The command goes on where it stopped; what exists is never made a second time. As root on a Mac.
    """
    from appliance.daemon.setup.errors import STOPPED, told

    machine, language = _machine(ctx), given["language"]
    try:
        _setup(machine, home, file, again, given)
    except ProntuarioError as error:
        raise told(error, language) from error
    except (KeyboardInterrupt, click.Abort) as error:
        raise told(STOPPED(), language) from error


def _setup(machine: Machine, home: Path, file: Path | None, again: tuple[str, ...], given: dict[str, Any]) -> None:
    from appliance.daemon.setup.errors import NEEDS_ROOT
    from appliance.daemon.setup.hangup import hangup_interrupts
    from appliance.daemon.setup.journal import Journal
    from appliance.daemon.setup.service_steps import PausedError
    from appliance.daemon.setup.steps import NAMES, run, taken_up, unneeded

    if unknown := set(again) - set(NAMES):
        raise click.UsageError(f"--again {', '.join(sorted(unknown))}: known steps: {', '.join(NAMES)}")
    if machine.is_mac and not machine.is_root:
        raise NEEDS_ROOT()
    journal = Journal(home)
    with journal.alone(), hangup_interrupts():
        kept = journal.read()
        context = dataclasses.replace(_context(machine, home, file, given, kept), again=again)
        for name in unneeded(context, again):
            context.tell(
                f"{name}: não faz parte destas respostas; dê outras com --answers.",
                f"{name}: no part of these answers; give others with --answers.",
            )
        try:
            asyncio.run(run(context, journal, taken_up(kept, again)))
        except PausedError:
            return
        context.tell("Pronto. Confira: prontuario doctor", "Done. Check: prontuario doctor")


def _context(machine: Machine, home: Path, file: Path | None, given: dict[str, Any], kept: Any) -> Context:
    """The answers: those of the file, or of the run that is taken up, or what a person says now."""
    import msgspec

    from appliance.daemon.setup.answers import read_answers
    from appliance.daemon.setup.asking import ask_all, summary
    from appliance.daemon.setup.context import Context
    from appliance.daemon.setup.errors import ANSWER
    from appliance.daemon.setup.questions import checked

    language = given["language"]
    typed = {key: given[key] for key in ("part", "first", "profile") if given[key]}
    options = _known(home) | typed
    alone = file is not None or not sys.stdin.isatty()
    if file is not None or (alone and kept is None):
        answers, wrong = checked(options | (read_answers(file) if file is not None else {}) | typed, machine)
        if wrong:
            said = "; ".join(f"{key}: {text[language != 'pt']}" for key, text in wrong.items())
            raise ANSWER(reasons=said)
    elif kept is not None:
        answers = msgspec.structs.replace(kept.answers, **typed)
        click.echo("\n".join(summary(answers, language)))
    else:
        answers = ask_all(options, machine, click.echo, _ask, language)
    return Context(
        home, machine, answers, click.echo, language=language, ask=None if alone else _ask, code=given["code"],
        join_port=given["join_port"], resumed=kept is not None, passphrase=_passphrase(machine, home, answers.profile),
    )  # fmt: skip


def _known(home: Path) -> dict[str, Any]:
    """What a home that exists (recovered, or made by prontuario init) answers by itself."""
    from appliance.config import Paths, load_config

    path = Paths(home).config
    if not path.exists():
        return {}
    node = load_config(path).node
    return {"hospital": node.hospital, "name": node.name}


def _passphrase(machine: Machine, home: Path, profile: str) -> str | None:
    """Asked for once, where no keychain keeps the master key: several steps open it."""
    from appliance.config import Config, Paths, load_config
    from appliance.config.model import Node
    from appliance.security.protectors import PASSPHRASE_VARIABLE, ask_new_passphrase, ask_passphrase, protector_kind

    path = Paths(home).config
    assumed = Config(node=Node(profile="development" if profile == "development" else "production"))
    if protector_kind(load_config(path) if path.exists() else assumed, machine.platform) != "passphrase":
        return None
    if PASSPHRASE_VARIABLE in os.environ:
        return os.environ.pop(PASSPHRASE_VARIABLE)
    return ask_passphrase() if path.exists() else ask_new_passphrase()


def _ask(prompt: str, default: str) -> str:
    return str(click.prompt(prompt, default=default, show_default=bool(default)))


def _secret(prompt: str) -> str:
    """What is typed, unseen; or the next line of what is piped in."""
    if sys.stdin.isatty():
        return getpass.getpass(prompt)
    line = sys.stdin.readline()
    if not line:
        raise CommandFailedError("No more pages were given.", Exit.SETUP_KEYS)
    return line


def _machine(ctx: click.Context) -> Machine:
    from appliance.daemon.setup.machine import Machine

    return ctx.obj if isinstance(ctx.obj, Machine) else Machine()


@click.command()
@home_option
@click.option(
    "--backup",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
    help="The copy: a node's data folder and recovery.sealed.",
)
@click.option(
    "--shares",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the pages' words, one page a line; without it they are asked for, one after the other.",
)
@language_option
@click.pass_context
def recover(ctx: click.Context, /, home: Path, backup: Path, shares: Path | None, language: str) -> None:
    """Make a new home from a copy and the pages of the key, when every disk is lost. Then: prontuario setup.

    Nothing that exists is overwritten. As root on a Mac.
    """
    from appliance.daemon.setup.errors import NEEDS_ROOT, told
    from appliance.daemon.setup.journal import Journal
    from appliance.daemon.setup.recovering import read_share_lines, recover_home

    machine = _machine(ctx)
    try:
        if machine.is_mac and not machine.is_root:
            raise NEEDS_ROOT()
        with Journal(home).alone():
            lines = shares.read_text(encoding="utf-8").splitlines() if shares is not None else None
            given = read_share_lines(lines, _secret, click.echo, language)
            report = asyncio.run(recover_home(home, backup, given, click.echo, language))
    except ProntuarioError as error:
        raise told(error, language) from error
    except OSError as error:
        raise CommandFailedError(f"{error.filename or home}: {error.strerror or error}") from error
    click.echo(report)


COMMANDS: list[click.Command] = [setup, recover]
