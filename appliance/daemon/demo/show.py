"""What ``make run`` shows: a node, a patient from Synthea, one spoken consult from voice to signed note."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import click

from appliance.daemon.demo.consult import Consult, ConsultFailedError, take_consult
from appliance.daemon.demo.phone import FHIR, Phone, RefusedError
from appliance.daemon.enrolment import enrol_client
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.initialise import FIRST_ADMIN
from appliance.daemon.lifeline import stop_event
from appliance.daemon.up import Node, Up

PHYSICIAN = "dra.ana"
SECTIONS = {"S": "Subjetivo", "O": "Objetivo", "A": "Avaliação", "P": "Plano"}


async def show(up: Up, *, stop_after: bool) -> None:
    """Run the demonstration and, unless ``stop_after``, serve until Ctrl-C or SIGTERM.

    Raises:
        CommandFailedError: the node did not start, or the consult did not reach a signed note.
    """
    stop = stop_event(None)
    stage = Stages()
    stage("node", "starting")
    node = await up.start()
    try:
        demonstration = asyncio.create_task(_demonstrate(node, stage))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({demonstration, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not demonstration.done():
            demonstration.cancel()
            return
        await demonstration
        _addresses(up, node)
        if not stop_after:
            click.echo("\nServing. Ctrl-C stops.")
            await stopping
        stopping.cancel()
    except (RefusedError, ConsultFailedError) as error:
        raise CommandFailedError(str(error)) from error
    finally:
        await up.stop()


class Stages:
    """Prints each stage with the seconds since the start; chunks and progress as one moving line on a terminal."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._moving = False

    def __call__(self, stage: str, sentence: str) -> None:
        moving = stage in {"chunk", "progress"}
        if moving and not sys.stdout.isatty():
            return
        line = f"{time.monotonic() - self._began:7.1f} s  {stage:12} {sentence}"
        click.echo(("\r\x1b[K" if self._moving else "") + line, nl=not moving)
        self._moving = moving


async def _demonstrate(node: Node, stage: Stages) -> Consult:
    stage("node", f"serves at {node.api}")
    client = await enrol_client(
        node.home, user=PHYSICIAN, role="physician", out=node.home / "demo" / f"{PHYSICIAN}.json", hours=12
    )
    phone = Phone(client)
    try:
        stage("enrolled", f"{PHYSICIAN}'s phone, as physician")
        await _label(phone, stage)
        await _load_synthea(phone, stage)
        audio = files("appliance.daemon").joinpath("sample/consult.flac").read_bytes()
        consult = await take_consult(phone, audio, stage)
    finally:
        await phone.close()
    _print(consult)
    return consult


async def _label(phone: Phone, stage: Callable[[str, str], None]) -> None:
    models = (await phone.get("/v1/models"))["data"]
    shown = [model["id"] for model in models if model.get("demonstration_model")]
    if shown:
        stage("models", f"DEMONSTRATION ONLY, never for care: {', '.join(sorted(set(shown)))}")


async def _load_synthea(phone: Phone, stage: Callable[[str, str], None]) -> None:
    packed = files("appliance.daemon").joinpath("sample/synthea_blake.json.gz").read_bytes()
    bundle: dict[str, Any] = json.loads(gzip.decompress(packed))
    patient: dict[str, Any] = next(
        entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Patient"
    )
    family, identifier = patient["name"][0]["family"], patient["identifier"][0]
    known = await phone.get(f"{FHIR}/Patient", identifier=f"{identifier['system']}|{identifier['value']}")
    if known.get("entry"):
        stage("synthea", f"patient {family} is in the record already")
        return
    answer = await phone.transaction(bundle)
    stage("synthea", f"loaded the synthetic patient {family}: {len(answer['entry'])} resources")


def _print(consult: Consult) -> None:
    click.echo("\nTranscript")
    for segment in consult.transcript["segments"]:
        click.echo(
            f"  [{segment['number']:2}] {segment['start']:5.1f}–{segment['end']:5.1f} s  {segment['text'].strip()}"
        )
    click.echo("\nNote (every sentence names the segments it came from)")
    for section in consult.note["sections"]:
        click.echo(f"  {SECTIONS[section['code']]}")
        for sentence in section["sentences"]:
            sources = ",".join(map(str, sentence["segments"]))
            mark = (
                ""
                if (sentence.get("verdict") or {}).get("supported", True)
                else "  ← not supported, accepted by a person"
            )
            click.echo(f"    {sentence['text']}  [{sources}]{mark}")
    valid = "valid" if consult.verification.get("valid") else "NOT VALID"
    click.echo(f"\nSIGNED  note {consult.note['id']}, version {consult.note['version']}: signature {valid}")


def _addresses(up: Up, node: Node) -> None:
    secret = up.paths.secrets / FIRST_ADMIN
    click.echo(
        f"\nAPI        {node.api}/docs   (device certificate and token: {node.home / 'demo' / (PHYSICIAN + '.json')})"
    )
    if node.admin:
        click.echo(f"Dashboard  {node.admin}   (name and password: {secret})")
