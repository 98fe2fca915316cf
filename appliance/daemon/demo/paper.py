"""A photographed laboratory report: handed in, read, its values proposed; one of them confirmed into the record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any, Final

import click

from appliance.daemon.demo.consult import Consult
from appliance.daemon.demo.phone import FHIR, Phone

SAMPLE: Final = "lab_report.jpg"
"""In the folder ``sample``; made by ``python tools/lab_scan.py``."""
READ_WITHIN_S: Final = 300.0
_LOOK_AGAIN_S: Final = 0.3
Stage = Callable[[str, str], None]


def read_sample() -> bytes:
    """The photograph."""
    return (files("appliance.daemon") / "sample" / SAMPLE).read_bytes()


async def take_paper(phone: Phone, consult: Consult, stage: Stage) -> dict[str, Any] | None:
    """Hand the sample in for the consult's patient, show what is proposed, confirm the first value without a doubt.

    Returns:
        The Observation; None, and said so, where this machine can't read paper.
    """
    models = (await phone.get("/v1/models"))["data"]
    if not any(model.get("capability") == "document_reader" for model in models):
        stage("paper", "this node has no reader for paper, so the laboratory report is not shown")
        return None
    query = {"patient": consult.patient, "encounter": consult.encounter, "title": "Laudo de laboratório (foto)"}
    document = await phone.hand_in("/api/documents", read_sample(), **query)
    stage("paper", f"a photographed laboratory report of {document['size'] // 1000} kB is handed in")
    state = await until_read(phone, document["id"])
    if state["state"] != "read":
        problem = state.get("problem") or {}
        stage(
            "paper", f"it is kept, but not read: {problem.get('detail', state['state'])} {problem.get('next_step', '')}"
        )
        return None
    found = await phone.get(f"/api/documents/{document['id']}/proposals")
    print_proposals(found, state["reader"])
    return await _confirm_one(phone, document["id"], found, stage)


async def until_read(phone: Phone, document: str) -> dict[str, Any]:
    """The document's state once it is no longer being read, or after ``READ_WITHIN_S``."""
    until = time.monotonic() + READ_WITHIN_S
    while True:
        state: dict[str, Any] = await phone.get(f"/api/documents/{document}")
        if state["state"] != "reading" or time.monotonic() > until:
            return state
        await asyncio.sleep(_LOOK_AGAIN_S)


async def _confirm_one(phone: Phone, document: str, found: Mapping[str, Any], stage: Stage) -> dict[str, Any] | None:
    plain = next((one for one in found["proposals"] if one["proposed"]["loinc"] and not one["doubts"]), None)
    if plain is None or found["warnings"]:
        stage("paper", "nothing on it is plain enough to confirm without looking at the paper")
        return None
    path = f"/api/documents/{document}/proposals/{plain['number']}/confirm"
    confirmed = await phone.post(path, {})
    observation: dict[str, Any] = await phone.get(f"{FHIR}/Observation/{confirmed['observation']}")
    value = observation["valueQuantity"]
    stage(
        "paper",
        f"confirmed: {observation['code']['text']} {value['value']} {value['unit']} is Observation/{observation['id']}",
    )
    return observation


def print_proposals(found: Mapping[str, Any], reader: str) -> None:
    """Every value as it is printed, what it would mean, and every doubt."""
    whose = (found["patient_name"] or {}).get("text", "?")
    click.echo(f"\nPaper (read by {reader}; of {whose}). Proposals only: a person confirms each")
    for warning in found["warnings"]:
        click.echo(f"  ! {warning['message']} {warning['printed']}")
    for one in found["proposals"]:
        click.echo(f"  {proposal_line(one)}")
    click.echo("")


def proposal_line(proposal: Mapping[str, Any]) -> str:
    """One of them in a line."""
    seen = proposal["proposed"]
    printed = f"{seen['printed_name']} {seen['printed_value']} {seen['printed_unit']}".strip()
    number = f"{seen['comparator']}{seen['value']} {seen['ucum']}".strip() if seen["value"] else "?"
    meant = f"{number}, LOINC {seen['loinc']}" if seen["loinc"] else "not mapped"
    doubts = "; ".join(doubt["message"] for doubt in proposal["doubts"])
    return f"{printed:42} → {meant}" + (f"   ← {doubts}" if doubts else "")
