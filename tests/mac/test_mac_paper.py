"""The real Vision framework reads paper as the contract asks. Run by ``make mac-acceptance``; elsewhere over stand-ins."""

import asyncio

import pytest

from appliance.daemon.demo.paper import read_sample
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.testing import check_document_reader
from plugins.document_reader.config import ReaderConfig
from plugins.document_reader.provider import Reader
from plugins.document_reader.recognisers import AppleVision
from tests.plugins.document_reader import papers
from tests.plugins.document_reader.pages import PAGES
from tests.plugins.document_reader.test_reading import WORDS_RIGHT, read, right, words_of


@pytest.fixture
def vision() -> Reader:
    missing = AppleVision().missing()
    if missing is not None:
        pytest.skip(missing.message)
    reader = Reader([AppleVision()], ReaderConfig())
    assert reader.missing() is None
    return reader


def test_vision_keeps_the_contract_on_the_sample(vision: Reader) -> None:
    (page,) = asyncio.run(check_document_reader(vision, read_sample(), CallOptions(deadline_s=110.0)))
    assert {"Hemoglobina", "Creatinina", "12,8", "0,9"} <= {word.text for word in page.words}


def test_vision_reads_ten_pages_word_for_word(vision: Reader) -> None:
    pictures = papers.drawn(papers.pdf(PAGES, size=11.0), dpi=150)
    seen = [word for page in asyncio.run(read(vision, papers.scan(pictures))) for word in words_of(page)]
    assert right([word for lines in PAGES for line in lines for word in line.split()], seen) >= WORDS_RIGHT
