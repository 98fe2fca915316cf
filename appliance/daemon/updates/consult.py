"""The synthetic consult: a scratch node of this very program, one spoken consult, from voice to a signed note that verifies.

It uses the demonstration models that every version carries, so it says that the program works as a whole (migrations, API,
engines, jobs, signatures); packs have a test of their own when they are put to work.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from appliance.daemon.cli import read_config
from appliance.daemon.demo.consult import Consult, ConsultFailedError, take_consult
from appliance.daemon.demo.phone import Phone, RefusedError
from appliance.daemon.demo.show import read_sample
from appliance.daemon.enrolment import enrol_client
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.initialise import initialise_for_development
from appliance.daemon.ports import with_ports
from appliance.daemon.up import Node, Up

PHYSICIAN: Final = "consulta.sintetica"
SAMPLE: Final = "consult"


async def prove_by_consult(home: Path) -> Consult:
    """Make a node on ``home`` (which must not exist yet), take the consult, stop the node.

    Raises:
        CommandFailedError: the node did not start, or the consult did not end in a note whose signature verifies.
    """
    if await asyncio.to_thread(home.exists):
        raise CommandFailedError(f"{home} exists already; a synthetic consult takes a new folder.")
    await initialise_for_development(home)
    up = Up(home, with_ports(read_config(home), 0), dashboard=False)
    node = await up.start()
    try:
        consult = await _consult(node)
    except (RefusedError, ConsultFailedError) as error:
        raise CommandFailedError(str(error)) from error
    finally:
        await up.stop()
    if (fault := fault_of(consult)) is not None:
        raise CommandFailedError(fault)
    return consult


async def _consult(node: Node) -> Consult:
    client = await enrol_client(
        node.home, user=PHYSICIAN, role="physician", out=node.home / "demo" / f"{PHYSICIAN}.json", hours=1
    )
    phone = Phone(client)
    try:
        audio, _ = read_sample(SAMPLE)
        return await take_consult(phone, audio, lambda _stage, _sentence: None)
    finally:
        await phone.close()


def fault_of(consult: Consult) -> str | None:
    """Why the consult proves nothing; None: it does."""
    if not consult.text.strip():
        return "nothing was heard in the consult"
    if not any(section["sentences"] for section in consult.note["sections"]):
        return "the note is empty"
    if not consult.verification.get("valid"):
        return "the note's signature does not verify"
    return None
