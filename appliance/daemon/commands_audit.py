"""Commands for an auditor: checking an exported part of the audit log, on any machine, without a node."""

from __future__ import annotations

from pathlib import Path

import click

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


COMMANDS: list[click.Command] = [audit]
