"""Files that mean harm: each is refused with a code and a next step; nothing hangs and no process stays."""

from __future__ import annotations

import asyncio
import io
import struct
import sys
import zlib
from contextlib import aclosing
from pathlib import Path

import psutil
import pypdfium2 as pdfium
import pytest
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption

from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from plugins.document_reader.config import ReaderConfig
from plugins.document_reader.kinds import kind_of
from plugins.document_reader.provider import Reader
from plugins.document_reader.recognisers import Tesseract
from tests.plugins.document_reader import papers
from tests.plugins.document_reader.conftest import Children, reader

CALL = CallOptions(deadline_s=100.0)


def blank_pdf(pages: int, width: float = 200.0, height: float = 200.0) -> bytes:
    made = pdfium.PdfDocument.new()
    for _ in range(pages):
        made.new_page(width, height)
    file = io.BytesIO()
    made.save(file)
    made.close()
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size; its picture is a few bytes of well packed nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(bytes(100_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def huge_jpeg() -> bytes:
    """A small JPEG whose frame header claims 60,000 by 60,000 pixels."""
    small = papers.encoded(Image.new("L", (16, 16), 200), "JPEG")
    place = small.index(b"\xff\xc0")
    return small[: place + 5] + struct.pack(">HH", 60_000, 60_000) + small[place + 9 :]


LOCKED = papers.pdf([["oi"]], encrypt=StandardEncryption("secret"))  # type: ignore[arg-type]
WHOLE_JPEG = papers.encoded(Image.effect_noise((600, 800), 60), "JPEG")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (LOCKED, "document.encrypted"),
        (papers.pdf([["oi"]])[:400], "document.damaged"),
        (b"%PDF-1.4\n" + b"\x00" * 5000, "document.damaged"),
        (blank_pdf(201), "document.too_large"),
        (blank_pdf(1, 1_000_000.0, 1_000_000.0), "document.too_large"),
        (png_header(60_000, 60_000), "document.too_large"),
        (huge_jpeg(), "document.too_large"),
        (WHOLE_JPEG[: len(WHOLE_JPEG) // 2], "document.damaged"),
        (b"\xff\xd8\xff\xe0" + b"garbage" * 50, "document.damaged"),
        (papers.encoded(Image.new("L", (64, 64), 200), exif=b"Exif\0\0II*\0"), "document.damaged"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 200, "document.damaged"),
        (b"PK\x03\x04" + bytes(range(256)) * 20, "document.unsupported"),
        (b"", "document.unsupported"),
        (b"GIF89a" + bytes(100), "document.unsupported"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "document.unsupported"),
    ],
)
async def test_each_is_refused_with_its_reason(document: bytes, code: str, children: Children) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await reader().inspect(document, CALL)
    error = caught.value
    assert error.kind.code == code
    assert 400 <= error.kind.status < 500
    assert "{" not in error.sentence("pt") + error.next_step("en")
    assert "?" not in error.sentence("pt")
    assert children() == []


async def test_ten_thousand_pages_are_refused_without_looking_at_them() -> None:
    with pytest.raises(ProntuarioError) as caught:
        await reader().inspect(blank_pdf(10_000), CALL)
    assert caught.value.details == {"what": "pages/páginas", "found": 10_000, "limit": 200}


async def test_a_small_limit_of_the_hospital_holds_for_photographs() -> None:
    with pytest.raises(ProntuarioError) as caught:
        await reader(max_megapixels=1).inspect(papers.encoded(Image.new("L", (1200, 1200))), CALL)
    assert caught.value.kind.code == "document.too_large"


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
async def test_every_kind_of_photograph_is_known_by_its_bytes(form: str) -> None:
    picture = Image.new("RGB", (320, 240), "white")
    facts = await reader().inspect(papers.encoded(picture, form), CALL)
    assert facts.media_type == {"JPEG": "image/jpeg", "PNG": "image/png"}[form]


async def test_a_heic_of_a_phone_is_opened_and_half_of_one_is_damaged() -> None:
    phone = (Path(__file__).parents[1] / "medical_images" / "phone.heic").read_bytes()
    assert (await reader().inspect(phone, CALL)).media_type == "image/heic"
    with pytest.raises(ProntuarioError) as caught:
        await reader().inspect(phone[: len(phone) * 2 // 3], CALL)
    assert caught.value.kind.code == "document.damaged"


def test_a_heic_is_known_by_its_brand_and_avif_is_not_one() -> None:
    assert kind_of(b"\x00\x00\x00\x18ftypheic" + bytes(8)) == "image/heic"
    assert kind_of(b"\x00\x00\x00\x18ftypavif" + bytes(8)) is None


# -- the process ---------------------------------------------------------------------------------------------------------
DIES = "import os,signal; os.kill(os.getpid(), signal.SIGSEGV)"
SLEEPS = "import subprocess,sys,time; subprocess.Popen([sys.executable,'-c','import time; time.sleep(600)']); time.sleep(600)"
BABBLES = "print('no answer')"
ENDS = "pass"


def scripted(script: str, page_s: float = 5.0) -> Reader:
    command = [sys.executable, "-I", "-c", script]
    return Reader([Tesseract("no-such-program")], ReaderConfig(page_s=page_s), command=command)


async def test_a_document_that_no_process_survives_is_damaged_and_not_sent_again(children: Children) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await scripted(DIES).inspect(papers.pdf([["oi"]]), CALL)
    assert (caught.value.kind.code, caught.value.kind.status) == ("document.damaged", 422)
    assert children() == []


async def test_a_process_that_was_killed_for_others_memory_is_not_the_document_s_fault(tmp_path: Path) -> None:
    script = (
        f"import os,pathlib,signal; seen = pathlib.Path({str(tmp_path / 'seen')!r})\n"
        "if not seen.exists(): seen.touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
        f"import sys; sys.path[:0] = {sys.path!r}; import runpy\n"
        "runpy.run_module('plugins.document_reader.child', run_name='__main__')"
    )
    assert (await scripted(script).inspect(papers.pdf([["oi"]]), CALL)).pages == 1


async def test_a_process_that_fails_is_an_error_for_people(children: Children) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await scripted(BABBLES).inspect(papers.pdf([["oi"]]), CALL)
    assert (caught.value.kind.code, caught.value.details["reason"]) == ("document.reader_failed", "not an answer")
    assert "guardado" not in caught.value.next_step("pt"), "an upload is looked at before it is kept"
    assert children() == []


async def test_a_process_that_says_nothing_found_nothing() -> None:
    with pytest.raises(ProntuarioError) as caught:
        await scripted(ENDS).inspect(papers.pdf([["oi"]]), CALL)
    assert caught.value.kind.code == "document.damaged"


async def test_a_process_that_hangs_is_killed_with_what_it_started(children: Children) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await scripted(SLEEPS).inspect(papers.pdf([["oi"]]), CallOptions(deadline_s=3.0))
    assert (caught.value.kind.code, caught.value.details["reason"]) == ("document.reader_failed", "too slow")
    assert psutil.wait_procs(children(), timeout=30)[1] == []


async def test_cancelling_leaves_no_process(children: Children) -> None:
    task = asyncio.ensure_future(scripted(SLEEPS).inspect(papers.pdf([["oi"]]), CALL))
    while len(children()) < 2:  # noqa: ASYNC110  the children are started by what is tested
        await asyncio.sleep(0.01)
    running = children()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert psutil.wait_procs(running, timeout=30)[1] == []


async def test_closing_in_the_middle_ends_the_reading(children: Children) -> None:
    stream = reader().read(papers.pdf([["uma"], ["duas"], ["três"]]), CALL)
    async with aclosing(stream):
        assert (await anext(stream)).number == 1
    assert psutil.wait_procs(children(), timeout=30)[1] == []


async def test_the_process_ends_when_nobody_waits_any_more() -> None:
    """As when the appliance is killed: the end of standard input is all that the process sees."""
    from plugins.document_reader.conversing import CHILD, _environment
    from plugins.document_reader.messages import Ask, packed

    ask = Ask(True, 10, 10**7, 100, 60.0, 1 << 31, [sys.executable, "-c", "import time; time.sleep(600)"])
    picture = papers.encoded(papers.drawn(papers.pdf([papers.LAB_REPORT]), dpi=60)[0])
    process = await asyncio.create_subprocess_exec(
        *CHILD,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=_environment(),
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(packed(ask, picture))
    await process.stdin.drain()
    assert b"facts" in await process.stdout.readline()
    process.stdin.close()
    async with asyncio.timeout(60):
        assert await process.wait() != 0


async def test_documents_wait_for_their_turn_and_say_so_when_it_does_not_come() -> None:
    slow = Reader([Tesseract("x")], ReaderConfig(at_once=1), command=[sys.executable, "-I", "-c", SLEEPS])
    first = asyncio.ensure_future(slow.inspect(papers.pdf([["oi"]]), CALL))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(ProntuarioError) as caught:
        await slow.inspect(papers.pdf([["oi"]]), CallOptions(deadline_s=0.05))
    assert caught.value.retry_after
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
