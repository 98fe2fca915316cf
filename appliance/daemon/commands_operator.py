"""Commands for whoever looks after a node: client, doctor, backup."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from appliance.config import Paths
from appliance.daemon.cli import home_option
from appliance.daemon.commands_backup import aside, orphans
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.policy import ROLES

RESTORE_STAGES = 4


@click.group()
def client() -> None:
    """Devices that speak to this node."""


@client.command()
@home_option
@click.option("--user", required=True, help="The person's user name; made if there is none.")
@click.option("--role", required=True, type=click.Choice(sorted(ROLES)), help="What the person may do.")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path, resolve_path=True),
    help="Where to write the client file; certificate and key go beside it.",
)
@click.option(
    "--valid-hours", default=12.0, show_default=True, type=click.FloatRange(0.01, 24 * 90), help="The token's life."
)
def enrol(home: Path, user: str, role: str, out: Path, valid_hours: float) -> None:
    """Enrol a device on the running node and write what an HTTP client needs.

    The file holds api, ca, cert, key, token and user: point any client that can present a certificate at it.
    """
    from appliance.daemon.enrolment import enrol_client

    asyncio.run(enrol_client(home, user=user, role=role, out=out, hours=valid_hours))
    click.echo(f"{user} ({role}) is enrolled; wrote {out}")


@click.command()
@home_option
@click.option("--json", "as_json", is_flag=True, help="For machines: the report that docs/doctor.md describes.")
@click.option("--language", type=click.Choice(["pt", "en"]), default="pt", show_default=True, help="What people read.")
@click.option("--all", "everything", is_flag=True, help="Also what is well and what does not apply.")
@click.option(
    "--deadline",
    type=click.FloatRange(1, 600),
    default=8.0,
    show_default=True,
    help="Seconds that each check may take.",
)
def doctor(home: Path, as_json: bool, language: str, everything: bool, deadline: float) -> None:
    """Check this node and say, for everything that is wrong, the cause and the next step. It changes nothing.

    Exit status 5 when something must be mended. docs/doctor.md lists every check.
    """
    from appliance.daemon.doctor_line import line_to
    from appliance.operations.doctor.checks import CHECKS
    from appliance.operations.doctor.page import as_text
    from appliance.operations.doctor.patient import Line, Machine
    from appliance.operations.doctor.run import report, run_checks

    machine, line = Machine(patience_s=deadline / 2), Line(line_to(home, within_s=deadline * 3 / 4))
    told = report(run_checks(CHECKS, Paths(home), machine, line, deadline_s=deadline))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(told)).decode())
    else:
        click.echo(as_text(told, language, everything=everything, style=_mark))
    if told.status == "failed":
        raise CommandFailedError("something is wrong; see above", Exit.UNHEALTHY)


def _mark(status: str, text: str) -> str:
    return click.style(text, fg={"ok": "green", "warning": "yellow", "failed": "red"}.get(status, "cyan"))


@click.group()
def backup() -> None:
    """Copies of the record, and the proof that they can be restored."""


@backup.command()
@home_option
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path, resolve_path=True),
    help="The folder for the restored record.sqlite; nothing is overwritten.",
)
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]), help="The state at this time (UTC)."
)
def restore(home: Path, to: Path, at: datetime | None) -> None:
    """Restore the record into a new file, check its integrity, count its rows and read every blob.

    A pair's record comes from its newest epoch. When every disk is lost: prontuario recover.
    """
    from appliance.daemon.setup.recovering import spool_in
    from appliance.operations.backup import restore as restore_backup

    paths, moment = Paths(home), at.replace(tzinfo=UTC) if at else None
    with click.progressbar(length=RESTORE_STAGES, label="Restoring", show_eta=False, file=sys.stderr) as bar:

        def on_stage(stage: str) -> None:
            bar.label = f"Restoring: {stage}"
            bar.update(1)

        try:
            source = spool_in(home) or paths.spool
            report = restore_backup(source, to, moment, blobs=paths.blobs, on_stage=on_stage)
        except ProntuarioError as error:
            raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}") from error
    click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())


for _command in (orphans, aside):
    backup.add_command(_command)

COMMANDS: list[click.Command] = [client, doctor, backup]
