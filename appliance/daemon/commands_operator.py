"""Commands for whoever looks after a node: client, doctor, backup, models."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from appliance.config import Paths
from appliance.daemon.cli import home_option, read_config
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
@click.option("--json", "as_json", is_flag=True, help="For machines: a list of findings.")
def doctor(home: Path, as_json: bool) -> None:
    """Check this node and say, for everything that is wrong, the cause and the next step."""
    from appliance.operations.doctor import run_checks

    findings = run_checks(Paths(home), read_config(home))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(findings)).decode())
    else:
        for finding in findings:
            click.echo(f"{_mark(finding.status)} {finding.name}: {finding.cause}")
            if finding.status != "ok" and finding.next_step:
                click.echo(f"       {finding.next_step}")
    if any(finding.status == "failed" for finding in findings):
        raise CommandFailedError("something is wrong; see above", Exit.UNHEALTHY)


def _mark(status: str) -> str:
    colour = {"ok": "green", "warning": "yellow", "degraded": "yellow", "failed": "red"}.get(status, "cyan")
    return click.style(f"{status:>8}", fg=colour)


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
    """Restore the record into a new file, check its integrity, count its rows and read every blob."""
    from appliance.operations.backup import restore as restore_backup

    paths, moment = Paths(home), at.replace(tzinfo=UTC) if at else None
    with click.progressbar(length=RESTORE_STAGES, label="Restoring", show_eta=False, file=sys.stderr) as bar:

        def on_stage(stage: str) -> None:
            bar.label = f"Restoring: {stage}"
            bar.update(1)

        try:
            report = restore_backup(paths.spool, to, moment, blobs=paths.blobs, on_stage=on_stage)
        except ProntuarioError as error:
            raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}") from error
    click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())


@click.group()
def models() -> None:
    """Models behind the abilities."""


@models.command("list")
@home_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_models(home: Path, as_json: bool) -> None:
    """Tell which models the running node uses, and whether they are only demonstrations."""
    from appliance.daemon.control import ask

    try:
        answer = asyncio.run(ask(Paths(home).socket("control"), "models"))
    except OSError as error:
        raise CommandFailedError(f"No node is running on {home}.", Exit.NOT_RUNNING) from error
    rows = answer["models"]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        label = "  DEMONSTRATION: never for care" if row["demonstration"] else ""
        click.echo(f"{row['capability']:16} {row['id']:28} {row['sha256'][:12]}{label}")


@models.command("capacity")
@click.argument("config", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--budget-gb", default=300.0, show_default=True, help="Memory for weights and caches together, in 10⁹ bytes."
)
@click.option("--bandwidth-gb-s", default=819.0, show_default=True, help="Memory bandwidth; an M3 Ultra has 819.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def model_capacity(config: Path, budget_gb: float, bandwidth_gb_s: float, *, as_json: bool) -> None:
    """Compute from a model's CONFIG (config.json or its folder) what fits in memory and how fast decoding can be at most."""
    from appliance.operations.capacity import GB, as_text, capacity, read_config
    from appliance.plugin_api.kv_geometry import UnknownModelError

    try:
        answer = capacity(read_config(config), budget_bytes=int(budget_gb * GB), bandwidth=bandwidth_gb_s * GB)
    except UnknownModelError as error:
        raise CommandFailedError(str(error)) from error
    click.echo(msgspec.json.format(msgspec.json.encode(answer)).decode() if as_json else as_text(answer))


for _command in (orphans, aside):
    backup.add_command(_command)

COMMANDS: list[click.Command] = [client, doctor, backup, models]
