"""Both recognisers keep one contract; programs that fail are errors; the plugin says what is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.plugin_api.capabilities import CAPABILITIES
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.hooks import PluginContext
from appliance.plugin_api.testing import check_document_reader
from plugins.document_reader import mac_vision
from plugins.document_reader.config import ReaderConfig
from plugins.document_reader.plugin import DocumentReaderPlugin
from plugins.document_reader.provider import Reader
from plugins.document_reader.recognisers import (
    AppleVision,
    Recogniser,
    RecogniserFailedError,
    Seen,
    Tesseract,
    recognised,
    standard_recognisers,
)
from plugins.document_reader.rereading import looked_at_twice
from tests.plugins.document_reader import papers
from tests.plugins.document_reader.conftest import NEEDS_TESSERACT
from tests.plugins.document_reader.vision import (
    FakeFoundation,
    FakeQuartz,
    FakeVision,
    helper_alone,
    python_with_fakes,
)

CALL = CallOptions(deadline_s=110.0)
LINES = ["Glicose 92 mg/dL", "Paciente sem queixas hoje"]


def picture() -> Any:
    return papers.drawn(papers.pdf([LINES], size=16.0), dpi=110)[0].crop((0, 0, 900, 260))


def context(tmp_path: Path, **config: object) -> PluginContext:
    made = msgspec.convert(config, ReaderConfig)
    return PluginContext("document_reader", made, tmp_path, tmp_path)


@NEEDS_TESSERACT
@pytest.mark.parametrize("name", ["tesseract", "vision"])
async def test_a_recogniser_keeps_the_contract(name: str, tmp_path: Path) -> None:
    vision = AppleVision(platform="darwin", python=python_with_fakes(tmp_path), find=lambda _name: True)
    chosen: Recogniser = vision if name == "vision" else Tesseract()
    reader = Reader([chosen], ReaderConfig())
    assert reader.missing() is None
    assert reader.model().id == name
    (page,) = await check_document_reader(reader, papers.encoded(picture()), CALL)
    assert [word.text for word in page.words] == [word for line in LINES for word in line.split()]
    glucose = next(word for word in page.words if word.text == "Glicose")
    assert glucose.box.left < 0.25
    assert glucose.box.top < 0.5


@NEEDS_TESSERACT
def test_the_mac_s_helper_reads_brazilian_portuguese_and_corrects_nothing() -> None:
    FakeVision.VNRecognizeTextRequest.made.clear()
    words = mac_vision.words(FakeVision, FakeFoundation, FakeQuartz, papers.encoded(picture()))
    (request,) = FakeVision.VNRecognizeTextRequest.made
    assert (request.level, request.languages, request.corrects) == (0, ["pt-BR"], False)
    seen = {word.text: word for word in recognised(Tesseract().command(), papers.encoded(picture()), 100.0)}
    for text, left, top, width, height, _ in words:
        there = seen[text]
        assert (left, top, width, height) == pytest.approx((there.left, there.top, there.width, there.height), abs=0.01)


def test_the_mac_s_helper_refuses_what_is_no_picture(tmp_path: Path) -> None:
    done = helper_alone(python_with_fakes(tmp_path), b"no picture")
    assert done.returncode != 0
    assert done.stdout == b""


# -- programs that fail ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import time; time.sleep(600)", "too slow"),
        ("import sys; sys.exit(3)", "ended badly"),
        ("print('[1, 2')", "not an answer"),
        ("print('[[1, 2]]')", "not an answer"),
        ("print('level\\tconf\\ttext\\n5\\tx\\toi')", "not an answer"),
        ("import sys; sys.stdout.buffer.write(bytes([0xff, 0xfe]))", "not an answer"),
    ],
)
def test_a_program_that_fails_says_how(script: str, reason: str) -> None:
    with pytest.raises(RecogniserFailedError, match=reason):
        recognised([sys.executable, "-I", "-c", script], b"", 3.0 if reason == "too slow" else 60.0)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(RecogniserFailedError, match="not installed"):
        recognised(["/nowhere/at-all"], b"", 1.0)


def test_tsv_gives_words_only() -> None:
    head = "level\\tpage_num\\tblock_num\\tpar_num\\tline_num\\tword_num\\tleft\\ttop\\twidth\\theight\\tconf\\ttext"
    rows = [
        "1\\t1\\t0\\t0\\t0\\t0\\t0\\t0\\t9\\t9\\t-1\\t",
        '5\\t1\\t1\\t1\\t1\\t1\\t1\\t2\\t3\\t4\\t96.5\\t"oi',
        "5\\t1\\t1\\t1\\t1\\t2\\t1\\t2\\t3\\t4\\t-1\\t ",
    ]
    script = "print('" + "\\n".join([head, *rows]) + "')"
    assert recognised([sys.executable, "-I", "-c", script], b"", 60.0) == [Seen('"oi', 1.0, 2.0, 3.0, 4.0, 0.965)]


# -- the second look --------------------------------------------------------------------------------------------------------
def test_a_number_that_two_looks_see_differently_loses_its_confidence() -> None:
    page = papers.drawn(papers.pdf([["13,2 Hb 4,1"]], size=16.0), dpi=110)[0]
    words = [Seen("15,2", 90, 90, 60, 20, 0.9), Seen("Hb", 160, 90, 30, 20, 0.9), Seen("4,1", 210, 90, 40, 20, 0.8)]

    def second(_sheet: bytes) -> list[Seen]:
        return [Seen("13,2", 30, 40, 60, 10, 0.9), Seen("4,", 30, 104, 20, 10, 0.9), Seen("1", 52, 104, 20, 10, 0.9)]

    assert [word.confidence for word in looked_at_twice(page, words, second)] == [0.0, 0.9, 0.8]
    assert [word.confidence for word in looked_at_twice(page, words, lambda _sheet: [])] == [0.0, 0.9, 0.0]
    assert looked_at_twice(page, words[1:2], lambda _sheet: pytest.fail("nothing to look at")) == words[1:2]


# -- the plugin -------------------------------------------------------------------------------------------------------------
async def test_it_registers_one_reader_and_says_that_it_works(tmp_path: Path) -> None:
    plugin = DocumentReaderPlugin()
    assert plugin.config_schema() is ReaderConfig
    (provider,) = plugin.register_providers(context(tmp_path))
    assert (provider.capability, isinstance(provider.instance, CAPABILITIES["document_reader"])) == (
        "document_reader",
        True,
    )
    assert [one.name for one in standard_recognisers()] == ["vision", "tesseract"]


async def test_without_a_recogniser_it_is_degraded_and_says_what_to_install(tmp_path: Path) -> None:
    (check,) = DocumentReaderPlugin([Tesseract("no-such-program")]).register_health_checks(context(tmp_path))
    health = await check.check()
    assert health.status == "degraded"
    assert "tesseract" in health.advice_pt
    assert "PDF" in health.message_pt


@NEEDS_TESSERACT
async def test_a_language_that_lacks_is_named(tmp_path: Path) -> None:
    missing = Tesseract(language="xxq").missing()
    assert missing is not None
    assert "xxq" in missing.message_pt
    (check,) = DocumentReaderPlugin([Tesseract()]).register_health_checks(context(tmp_path))
    assert (await check.check()).status == "ok"


def test_vision_is_only_on_a_mac_with_pyobjc() -> None:
    elsewhere = AppleVision(platform="linux").missing()
    without = AppleVision(platform="darwin", find=lambda _name: None).missing()
    assert elsewhere is not None
    assert without is not None
    assert "pyobjc" in without.message
    assert AppleVision(platform="darwin", find=lambda _name: True).missing() is None


def test_a_table_of_the_hospital_that_is_not_there_stops_the_plugin(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"own\.toml"):
        DocumentReaderPlugin([]).register_providers(context(tmp_path, analytes=str(tmp_path / "own.toml")))
