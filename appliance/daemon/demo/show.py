"""What ``make run`` shows: a node, a patient from Synthea, two spoken consults from voice to signed note."""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import click

from appliance.daemon.demo.aloud import hear
from appliance.daemon.demo.compare import FactComparison, compare_facts, word_error_rate
from appliance.daemon.demo.consult import Consult, take_consult
from appliance.daemon.demo.gold import SUFFIX, Gold, decode_gold
from appliance.daemon.demo.paper import take_paper
from appliance.daemon.demo.phone import FHIR, Phone
from appliance.daemon.demo.picture import take_picture
from appliance.daemon.demo.play import play
from appliance.daemon.enrolment import enrol_client
from appliance.daemon.initialise import FIRST_ADMIN
from appliance.daemon.lifeline import stop_event
from appliance.daemon.up import Node, Up

PHYSICIAN = "dra.ana"
SAMPLES = ("consult", "consult_2")
"""Audio and gold file of each in the folder ``sample``; made by ``python -m tools.demo_models samples``."""
DEMONSTRATION = "DEMONSTRATION ONLY, never for care"
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
        await play(_demonstrate(node, stage), stop, stop_after=stop_after, at_the_end=lambda: _addresses(up, node))
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


async def _demonstrate(node: Node, stage: Stages) -> None:
    stage("node", f"serves at {node.api}")
    client = await enrol_client(
        node.home, user=PHYSICIAN, role="physician", out=node.home / "demo" / f"{PHYSICIAN}.json", hours=12
    )
    phone = Phone(client)
    try:
        stage("enrolled", f"{PHYSICIAN}'s phone, as physician")
        demonstration = await label(phone, stage)
        stranger = await load_synthea(phone, stage)
        for name in SAMPLES:
            audio, gold = read_sample(name)
            stage("consult", f"{name}: {gold.transcript[-1].end:.0f} s of speech, voice {gold.made.get('voice', '?')}")
            consult = await take_consult(phone, audio, stage)
            print_consult(consult, gold, demonstration=demonstration)
            await hear(phone, consult, node.home / "demo", stage)
        await take_paper(phone, consult, stage)
        await take_picture(phone, consult, stranger, node.home / "demo", stage)
    finally:
        await phone.close()


def read_sample(name: str) -> tuple[bytes, Gold]:
    """A sample consult's recording and what should become of it."""
    folder = files("appliance.daemon") / "sample"
    return (folder / f"{name}.flac").read_bytes(), decode_gold((folder / f"{name}{SUFFIX}").read_bytes())


async def label(phone: Phone, stage: Callable[[str, str], None]) -> bool:
    """Tell which models are demonstrations; whether any is."""
    models = (await phone.get("/v1/models"))["data"]
    shown = [model["id"] for model in models if model.get("demonstration_model")]
    if shown:
        stage("models", f"{DEMONSTRATION}: {', '.join(sorted(set(shown)))}")
    return bool(shown)


async def load_synthea(phone: Phone, stage: Callable[[str, str], None]) -> str:
    """Load the synthetic patient, unless the record has him; his id."""
    packed = files("appliance.daemon").joinpath("sample/synthea_blake.json.gz").read_bytes()
    bundle: dict[str, Any] = json.loads(gzip.decompress(packed))
    patient: dict[str, Any] = next(
        entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Patient"
    )
    family, identifier = patient["name"][0]["family"], patient["identifier"][0]
    if known := await _patient_of(phone, identifier):
        stage("synthea", f"patient {family} is in the record already")
        return known
    answer = await phone.transaction(bundle)
    stage("synthea", f"loaded the synthetic patient {family}: {len(answer['entry'])} resources")
    return await _patient_of(phone, identifier)


async def _patient_of(phone: Phone, identifier: Mapping[str, str]) -> str:
    """The id of the patient whom the record knows by ``identifier``; empty: nobody."""
    found = await phone.get(f"{FHIR}/Patient", identifier=f"{identifier['system']}|{identifier['value']}")
    return next((str(entry["resource"]["id"]) for entry in found.get("entry") or []), "")


def print_consult(consult: Consult, gold: Gold, *, demonstration: bool) -> None:
    """Transcript, note, how both compare with ``gold``, and the signature."""
    label = f"   {DEMONSTRATION}" if demonstration else ""
    click.echo(f"\nTranscript{label}")
    for segment in consult.transcript["segments"]:
        click.echo(
            f"  [{segment['number']:2}] {segment['start']:5.1f}–{segment['end']:5.1f} s  {segment['text'].strip()}"
        )
    click.echo(f"\nNote (every sentence names the segments it came from){label}")
    for section in consult.note["sections"]:
        click.echo(f"  {SECTIONS[section['code']]}")
        for sentence in section["sentences"]:
            click.echo(f"    {_sentence(sentence)}")
    click.echo("\nAgainst the gold file, that is what was really said")
    click.echo(f"  words     {word_error_rate(gold.text, consult.text):.1%} wrong (WER)")
    for line in told(compare_facts(gold.note.facts, consult.facts)):
        click.echo(f"  {line}")
    valid = "valid" if consult.verification.get("valid") else "NOT VALID"
    click.echo(f"\nSIGNED  note {consult.note['id']}, version {consult.note['version']}: signature {valid}\n")


def _sentence(sentence: dict[str, Any]) -> str:
    sources = ",".join(map(str, sentence["segments"]))
    supported = (sentence.get("verdict") or {}).get("supported", True)
    return f"{sentence['text']}  [{sources}]{'' if supported else '  ← not supported, accepted by a person'}"


def told(facts: FactComparison) -> list[str]:
    """The comparison in lines for people."""
    lines = [f"facts     {facts.right} of {facts.expected} right, {facts.linked} with the right source"]
    lines += [f"missing   {', '.join(str(part) for part in key if part)}" for key in facts.missing]
    return lines + [f"too many  {', '.join(str(part) for part in key if part)}" for key in facts.extra]


def _addresses(up: Up, node: Node) -> None:
    secret = up.paths.secrets / FIRST_ADMIN
    click.echo(
        f"\nAPI        {node.api}/docs   (device certificate and token: {node.home / 'demo' / (PHYSICIAN + '.json')})"
    )
    if node.admin:
        click.echo(f"Dashboard  {node.admin}   (name and password: {secret})")
