"""Commands about the audit log: checking an exported part of it, on any machine; and beginning anew after a restored record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import click

from appliance.daemon.cli import home_option
from appliance.daemon.exits import CommandFailedError, Exit


@click.group()
def audit() -> None:
    """The audit log, for those who check it."""


@audit.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", "key_id", help="The id of the signing key that you trust, from the hospital's papers.")
def verify(file: Path, key_id: str | None) -> None:
    """Check FILE, exported from the dashboard or /api/audit/export: signature, and that every event was in the log."""
    from appliance.security.audit_export import verify_export

    try:
        verdict = verify_export(file.read_bytes(), key_id)
    except ValueError as error:
        raise CommandFailedError(str(error)) from error
    for problem in verdict.problems:
        click.echo(f"PROBLEM  {problem}")
    click.echo(f"{verdict.events} events, signed at {verdict.signed_at} by key {verdict.key_id}")
    if verdict.gaps:
        click.echo(f"{verdict.gaps} numbers in between are not here: the file was made with a filter")
    if key_id is None:
        click.echo("Compare the key with the hospital's papers, or give it with --key.")
    if not verdict.ok:
        raise CommandFailedError("this file does not prove what it says", Exit.UNHEALTHY)
    click.echo("Every event was in the log when it was signed, and was not changed since.")


TYPED: Final = "RESTAURADO"


@audit.command("accept-restored")
@home_option
@click.option("--yes-i-typed", "typed", help="What would have to be typed, for scripts and tests.")
def accept_restored(home: Path, typed: str | None) -> None:
    """After the record was restored from an older copy: forget what was signed since, on this Mac, and say so in the log.

    Never to silence an alert that nobody can explain (docs/runbooks/audit-mismatch.md). Run it on each of the two Macs.
    """
    from appliance.daemon.pair.operator_commands import verb
    from appliance.daemon.witness import ACCEPT

    click.echo("O que foi assinado depois da cópia não está mais no registro; isto fica escrito na auditoria.")
    click.echo("What was signed after the copy is no longer in the log; that is written into the audit log.")
    if (typed or click.prompt(f"Type {TYPED} to go on")) != TYPED:
        raise CommandFailedError("Not confirmed; nothing was done.")
    done = asyncio.run(verb(home, ACCEPT))
    where = "noted in the log" if done["record_here"] else "the record is on the other Mac: run it there too"
    click.echo(
        f"A head of {done['forgotten']} events is forgotten here; {where}. Then: prontuario schedule run audit-check"
    )


COMMANDS: list[click.Command] = [audit]
