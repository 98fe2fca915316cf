"""Commands about drills: what comes when, one now, what they measured, a report, and whether a report is genuine."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from appliance.config import Paths
from appliance.daemon.cli import home_option
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.plugin_api.errors import ProntuarioError

if TYPE_CHECKING:
    from appliance.operations.drills.model import DrillRow, Summary
    from appliance.operations.drills.signing import Verdict

_POLL_S: Final = 0.5
_WORDS: Final = {
    "passed": "aprovado | passed",
    "incomplete": "incompleto | incomplete",
    "failed": "REPROVADO | FAILED",
    "not_configured": "não configurado | not configured",
    "given_up": "não realizado | not made",
}


@click.group()
def drill() -> None:
    """Drills: rehearse what must work, with a signed report of how it went."""


@drill.command("list")
@home_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_drills(home: Path, as_json: bool) -> None:
    """Tell every drill of this node: when it comes, and how the last one went."""
    rows = _rows(home)
    if as_json:
        click.echo(msgspec.json.encode(rows).decode())
        return
    for row in rows:
        last = f"{row.last.ended_at} {_WORDS[row.last.outcome]}" if row.last else "-"
        when = "running" if row.running else row.announced_for or row.due_at or "now"
        where = "" if row.here else "  (not this node's now)"
        click.echo(f"{row.name:11} due {when}  last {last}{where}")
        click.echo(f"            {row.about_pt}\n            {row.about_en}")
        if row.put_off:
            click.echo(
                f"            ADIADO demais: escolha a hora | put off too often, choose the time: prontuario drill run {row.name}"
            )


@drill.command("run")
@home_option
@click.argument("name")
@click.option("--no-wait", is_flag=True, help="Return once it is ordered.")
@click.option("--json", "as_json", is_flag=True, help="For machines: the report in one line.")
def run_drill(home: Path, name: str, no_wait: bool, as_json: bool) -> None:
    """Make the drill NAME now, unless somebody is dictating, and tell how it went."""
    known, ended = {one.id for one in _history(home)}, _task(home, name)
    _ask(home, "drill.run", name=name)
    if no_wait:
        click.echo("Begun. See: prontuario drill list")
        return
    told = _wait(home, name, known, ended["last"] if ended else None)
    click.echo(msgspec.json.encode(told).decode() if as_json else _line(told))
    if told.outcome in {"failed", "given_up"}:
        raise CommandFailedError(told.why_en or "the drill did not succeed", Exit.UNHEALTHY)


@drill.command("history")
@home_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 10_000))
def history(home: Path, as_json: bool, limit: int) -> None:
    """Tell the last reports of both nodes, newest first, with RTO and RPO."""
    rows = _history(home)[:limit]
    if as_json:
        click.echo(msgspec.json.encode(rows).decode())
        return
    for one in rows:
        click.echo(_line(one))
    if not rows:
        click.echo("No drill was made yet.")


@drill.command("report")
@home_option
@click.argument("report_id")
@click.option(
    "--to",
    type=click.Path(dir_okay=False, path_type=Path, resolve_path=True),
    help="Where to write the PDF; default: here, under its id.",
)
def report(home: Path, report_id: str, to: Path | None) -> None:
    """Write the signed PDF of the report REPORT_ID, from whichever node made it."""
    from appliance.daemon.drills import folder_of
    from appliance.operations.drills.shelf import Shelf

    try:
        content = Shelf(folder_of(Paths(home))).pdf(report_id)
    except ProntuarioError:
        content = base64.b64decode(_ask(home, "drill.report", id=report_id)["pdf"])
    target = to or Path.cwd() / f"{report_id}.pdf"
    target.write_bytes(content)
    click.echo(f"Wrote {target}")


@drill.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The hospital's root certificate, from its papers; default: the one in the home, if there is one.",
)
@home_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def verify(file: Path, ca: Path | None, home: Path, as_json: bool) -> None:
    """Tell who signed FILE (a report's PDF or JSON) and whether one byte of it has changed. Needs no node."""
    from appliance.operations.drills.signing import verify as check

    known = ca or Paths(home).ca
    try:
        verdict = check(file.read_bytes(), known.read_bytes() if known.exists() else None)
    except ProntuarioError as error:
        raise CommandFailedError(f"{error.sentence('en')} {error.next_step('en')}", Exit.UNHEALTHY) from error
    if as_json:
        click.echo(msgspec.json.encode(verdict).decode())
    else:
        _tell(verdict)
    if not verdict.ok:
        raise CommandFailedError("this file is not what the node signed", Exit.UNHEALTHY)


def _tell(verdict: Verdict) -> None:
    facts = verdict.facts
    for problem in verdict.problems:
        click.echo(f"PROBLEM  {problem}")
    click.echo(f"{facts.id}: {facts.title_pt} | {facts.title_en}, {_WORDS[facts.outcome]}")
    click.echo(f"signed by node {verdict.signer} of {facts.hospital} at {verdict.signed_at} with key {verdict.key_id}")
    click.echo(f"under the authority {verdict.authority_sha256}")
    if verdict.trusted is None:
        click.echo("Compare the authority with the hospital's papers, or give it with --ca.")
    if verdict.ok:
        click.echo("Nenhum byte mudou desde a assinatura. | Not one byte has changed since it was signed.")


def _wait(home: Path, name: str, known: set[str], before: object) -> Summary:
    """The report that comes; a drill that could not begin raises why."""
    while True:
        time.sleep(_POLL_S)
        made = [one for one in _history(home) if one.drill == name and one.id not in known]
        if made:
            return made[0]
        task = _task(home, name)
        if task and task["last"] != before and task["trouble"] and not task["running"]:
            raise CommandFailedError(f"{task['trouble']['cause_en']} {task['trouble']['step_en']}")


def _task(home: Path, name: str) -> dict[str, Any] | None:
    """The drill's line in the schedule of the node that answers, which puts its own lines first."""
    return next((one for one in _ask(home, "schedule.report")["tasks"] if one["name"] == f"drill-{name}"), None)


def _line(one: Summary) -> str:
    rto = "" if one.rto_s is None else f"  RTO {one.rto_s:.2f} s"
    rpo = "" if one.rpo_writes is None else f"  RPO {one.rpo_writes} of {one.watched_writes} writes"
    why = f"\n    {one.why_pt}\n    {one.why_en}" if one.why_pt else ""
    return f"{one.ended_at}  {one.node}  {one.id}  {_WORDS[one.outcome]}{rto}{rpo}{why}"


def _rows(home: Path) -> list[DrillRow]:
    from appliance.operations.drills.model import DrillRow

    return msgspec.convert(_ask(home, "drill.list")["drills"], list[DrillRow])


def _history(home: Path) -> list[Summary]:
    from appliance.operations.drills.model import Summary

    return msgspec.convert(_ask(home, "drill.history")["history"], list[Summary])


def _ask(home: Path, verb: str, **arguments: Any) -> dict[str, Any]:
    """A running core's answer. Raises ``CommandFailedError`` when none can be asked, or it refused."""
    from appliance.daemon.control import ask_node

    answer = asyncio.run(ask_node(home, verb, **arguments))
    if "error" in answer:
        raise CommandFailedError(str(answer["error"]))
    return answer


COMMANDS: list[click.Command] = [drill]
