"""A synthetic chest picture: handed in, read and kept; the same file for another patient is refused.

Where no model is there to look at it, nothing is said of what it shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import click

from appliance.daemon.demo.consult import Consult
from appliance.daemon.demo.phone import Phone, RefusedError
from appliance.store.threads import to_the_end

SAMPLE: Final = "chest.dcm"
"""In the folder ``sample``; made by ``python -m tools.chest_phantom``. No person was in front of it."""
TITLE: Final = "Tórax PA (imagem sintética)"
SIDE: Final = 512
"""Of the frame that is fetched, in pixels."""
Stage = Callable[[str, str], None]


def read_sample() -> bytes:
    """The DICOM file."""
    return (files("appliance.daemon") / "sample" / SAMPLE).read_bytes()


async def take_picture(phone: Phone, consult: Consult, stranger: str, folder: Path, stage: Stage) -> dict[str, Any]:
    """Hand the sample in for the consult's patient, and by mistake for ``stranger`` (an id); ask a model to look at it.

    The frame is kept below ``folder`` as PNG.

    Returns:
        The image as the record has it.
    """
    query = {"patient": consult.patient, "encounter": consult.encounter, "title": TITLE}
    image: dict[str, Any] = await phone.hand_in("/api/images", read_sample(), **query)
    stage("picture", f"a synthetic chest radiograph of {image['size'] // 1000} kB is handed in")
    frame = await phone.content(image["links"]["frame"], side=str(SIDE))
    path = folder / f"image-{image['id']}.png"
    await to_the_end(path.write_bytes, frame)
    print_facts(image, path)
    media = await phone.get(image["links"]["media"])
    stage("picture", f"the record keeps it as Media/{media['id']}, the file itself sealed with the patient's key")
    await _mistake(phone, stranger, stage)
    await _findings(phone, image, stage)
    return image


async def _mistake(phone: Phone, stranger: str, stage: Stage) -> None:
    try:
        kept = await phone.hand_in("/api/images", read_sample(), patient=stranger, title=TITLE)
    except RefusedError as error:
        stage("picture", f"the same file for another patient is refused: {_told(error)}")
    else:
        stage("picture", f"NOT REFUSED: the same file is now another patient's too, as image {kept['id']}")


async def _findings(phone: Phone, image: Mapping[str, Any], stage: Stage) -> None:
    """A model's draft where there is one; where there is none, only that: nobody invents a finding."""
    try:
        asked = await phone.post(image["links"]["analyses"], {})
    except RefusedError as error:
        stage("picture", f"findings are not available: {_told(error)}")
    else:
        link = f"{image['links']['analyses']}/{asked['id']}"
        stage("picture", f"the active model looks at it; its draft will stand at {link}. {asked['notice']}")


def print_facts(image: Mapping[str, Any], frame: Path) -> None:
    """What the appliance read of the file, and what it warns of."""
    warned = {caution["code"]: caution["message"] for caution in image["cautions"]}
    burned = [message for code, message in warned.items() if code.startswith("burned_in")]
    click.echo("\nPicture (synthetic: shapes of a fixed seed; read by the appliance, judged by nobody)")
    click.echo(f"  kind      {image['media_type']}, {image['modality']}, {image['body_part']}, taken {image['taken']}")
    click.echo(f"  size      {image['width']} x {image['height']} pixels, {image['frames']} frame")
    click.echo(f"  window    {warned.get('window_guessed', 'the one that the file names')}")
    click.echo(f"  header    {_whose(image)}")
    click.echo(f"  burnt in  {'; '.join(burned) or 'no warning: the file says that its pixels name nobody'}")
    click.echo(f"  as seen   {frame}\n")


def _whose(image: Mapping[str, Any]) -> str:
    if image["identity"] == "match":
        return f"names this patient (Patient/{image['patient']}): name and birth date agree"
    return "does not say whose it is: a person must check"


def _told(error: RefusedError) -> str:
    problem = error.problem
    return f"{error.status} {problem.get('code')}: {problem.get('detail')} {problem.get('next_step', '')}".strip()
