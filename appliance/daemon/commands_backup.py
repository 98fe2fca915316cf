"""Commands about copies and recurring work: backup orphans, backup set-aside, schedule list, schedule run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from appliance.config import Paths
from appliance.daemon.cli import home_option
from appliance.daemon.exits import CommandFailedError
from appliance.plugin_api.errors import ProntuarioError

MIB: Final = 1 << 20
HOUR_S: Final = 3600.0


@click.group()
def schedule() -> None:
    """What this node does again and again by itself, and how it went."""


@schedule.command("list")
@home_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_tasks(home: Path, as_json: bool) -> None:
    """Tell every recurring task: when it succeeded last, when it is due, what it found, what failed and why."""
    from appliance.operations.schedule_memory import TaskReport

    rows = msgspec.convert(_ask(home, "schedule.report")["tasks"], list[TaskReport])
    if as_json:
        click.echo(msgspec.json.encode(rows).decode())
        return
    for row in rows:
        state = "running" if row.running else "failed" if row.trouble else "ok" if row.ok_at else "not yet run"
        if not row.here:
            state = "not this node's role"
        click.echo(f"{row.node}  {row.name:14} {state:21} last success {row.ok_at or '-'}  due {row.due_at or 'now'}")
        if row.trouble is not None and row.here:
            click.echo(
                f"    {row.trouble.cause_pt} {row.trouble.step_pt}\n    {row.trouble.cause_en} {row.trouble.step_en}"
            )
        if row.figures:
            click.echo("    " + ", ".join(f"{name} {value}" for name, value in row.figures.items()))


@schedule.command("run")
@home_option
@click.argument("name")
def run_task(home: Path, name: str) -> None:
    """Run the task NAME now, on this node; look at it with schedule list."""
    _ask(home, "schedule.run", name=name)
    click.echo("Begun. See: prontuario schedule list")


@click.command("orphans")
@home_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def orphans(home: Path, as_json: bool) -> None:
    """Tell which audio and image files no row names, and what the next collection would do. Changes nothing.

    Runs on the node whose record is open.
    """
    from appliance.operations.orphans import Orphan, OrphanReport

    report = msgspec.convert(_ask(home, "backup.orphans")["orphans"], OrphanReport)
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return

    def line(what: str, found: tuple[Orphan, ...]) -> str:
        return f"{len(found):8}  {sum(one.size for one in found) / MIB:10.1f} MiB  {what}"

    click.echo(line("named by nobody, old enough: would be set aside", report.old))
    click.echo(line("named by nobody, too young to judge", report.young))
    click.echo(line("set aside earlier; a read brings one back", report.aside))
    click.echo(line("of those, would be deleted now", report.expired))
    for one in report.old:
        click.echo(f"{one.address}  {one.size} bytes  {one.age_s / HOUR_S:.0f} h")


@click.command("set-aside")
@home_option
@click.option("--delete", "name", help="Delete this one for good, once somebody has looked at it.")
@click.option("--yes-i-typed", "typed", help="The name again, for scripts; without it you are asked.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def aside(home: Path, name: str | None, typed: str | None, as_json: bool) -> None:
    """List old copies and records that failed or were overtaken, with age and size. Nothing deletes them by itself."""
    from appliance.operations.set_aside import delete_aside, list_aside

    paths = Paths(home)
    if name is not None:
        typed = typed if typed is not None else str(click.prompt(f"Type {name} to delete it for good"))
        if typed != name:
            raise CommandFailedError("Not confirmed; nothing was deleted.")
        try:
            click.echo(f"Deleted {delete_aside(paths, name) / MIB:.1f} MiB.")
        except ProntuarioError as error:
            raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}") from error
        return
    found = list_aside(paths, time.time())
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for one in found:
        click.echo(f"{one.name:32} {one.kind:7} {one.bytes / MIB:10.1f} MiB {one.age_days:8.1f} days")
    if not found:
        click.echo("Nothing was set aside.")


def _ask(home: Path, verb: str, **arguments: Any) -> Mapping[str, Any]:
    """A running core's answer. Raises ``CommandFailedError`` when none can be asked, or it refused."""
    from appliance.daemon.control import ask_node

    answer = asyncio.run(ask_node(home, verb, **arguments))
    if "error" in answer:
        raise CommandFailedError(str(answer["error"]))
    return answer


COMMANDS: list[click.Command] = [schedule]
