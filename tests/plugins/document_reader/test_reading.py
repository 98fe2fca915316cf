"""Paper to words: ten pages equal to what is printed on them, photographs turned and skewed, PDFs with text of their own."""

from __future__ import annotations

import difflib
import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.paper import PaperPage
from appliance.plugin_api.testing import check_document_reader
from plugins.document_reader import straightening
from plugins.document_reader.provider import Reader
from plugins.document_reader.recognisers import Tesseract
from tests.plugins.document_reader import papers
from tests.plugins.document_reader.conftest import NEEDS_TESSERACT, Children, reader
from tests.plugins.document_reader.pages import PAGES

CALL = CallOptions(deadline_s=110.0)
WORDS_RIGHT = 0.99


async def read(by: Reader, document: bytes) -> list[PaperPage]:
    return [page async for page in by.read(document, CALL)]


def words_of(page: PaperPage) -> list[str]:
    return [word.text for word in page.words]


def right(expected: Sequence[str], seen: Sequence[str]) -> float:
    """The share of expected words that were read, in order."""
    blocks = difflib.SequenceMatcher(a=list(expected), b=list(seen), autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(expected)


@NEEDS_TESSERACT
async def test_ten_rendered_pages_are_read_word_for_word() -> None:
    pictures = papers.drawn(papers.pdf(PAGES, size=11.0), dpi=130)
    pages = await read(reader(dpi=130), papers.scan(pictures))
    assert [page.source for page in pages] == ["ocr"] * 10
    expected = [word for lines in PAGES for line in lines for word in line.split()]
    seen = [word for page in pages for word in words_of(page)]
    assert len(expected) > 450
    assert right(expected, seen) >= WORDS_RIGHT
    assert len(seen) <= len(expected) * 1.01


@NEEDS_TESSERACT
@pytest.mark.parametrize(("turn", "skew", "grain"), [(90, -2.0, 10.0), (180, 3.5, 4.0)])
async def test_a_photograph_is_turned_and_straightened_before_it_is_read(turn: int, skew: float, grain: float) -> None:
    page = papers.drawn(papers.pdf([PAGES[1]], size=13.0), dpi=150)[0]
    photo = papers.encoded(papers.photographed(page, turn=turn, skew=skew, grain=grain), "JPEG", quality=80)
    (seen,) = await read(reader(), photo)
    assert seen.turned == (360 - turn) % 360
    assert seen.skew == pytest.approx(skew, abs=0.3)
    assert right([word for line in PAGES[1] for word in line.split()], words_of(seen)) >= WORDS_RIGHT


@NEEDS_TESSERACT
async def test_the_phones_own_orientation_mark_is_followed() -> None:
    page = papers.drawn(papers.pdf([PAGES[4][:3]], size=14.0), dpi=110)[0]
    mark = Image.Exif()
    mark[0x0112] = 6  # the camera was held upright: turn clockwise to see it
    file = io.BytesIO()
    page.rotate(90, expand=True).save(file, "JPEG", exif=mark, quality=90)
    (seen,) = await read(reader(), file.getvalue())
    assert seen.turned == 0
    assert right([word for line in PAGES[4][:3] for word in line.split()], words_of(seen)) >= 0.95


async def test_a_pdf_s_own_text_is_taken_with_its_places() -> None:
    pages = await read(
        Reader([Tesseract("no-such-program")], reader()._config), papers.pdf([papers.LAB_REPORT, PAGES[0]])
    )
    assert [(page.number, page.source) for page in pages] == [(1, "text"), (2, "text")]
    assert words_of(pages[1]) == [word for line in PAGES[0] for word in line.split()]
    (place,) = (word.box for word in pages[0].words if word.text == "Hemoglobina")
    assert place.left == pytest.approx(papers.COLUMNS[0] / 595.3, abs=0.01)
    assert place.top == pytest.approx((70 + 6 * 12 * 1.7) / 841.9, abs=0.02)


@NEEDS_TESSERACT
async def test_an_invisible_text_layer_is_not_believed() -> None:
    picture = papers.drawn(papers.pdf([["Potássio normal hoje", "sem outras alterações"]], size=20.0), dpi=100)
    (page,) = await read(reader(dpi=100), papers.scan(picture, hidden="Potássio 9,9 mmol/L"))
    assert page.source == "ocr"
    assert "9,9" not in words_of(page)
    assert "normal" in words_of(page)


async def test_a_picture_without_a_recogniser_is_an_error_that_says_what_to_install() -> None:
    with pytest.raises(ProntuarioError) as caught:
        await read(
            Reader([Tesseract("no-such-program")], reader()._config),
            papers.encoded(papers.drawn(papers.pdf([PAGES[0]]), dpi=60)[0]),
        )
    assert caught.value.kind.code == "document.no_recogniser"
    assert "tesseract" in caught.value.next_step("pt")


@NEEDS_TESSERACT
async def test_the_reader_keeps_the_contract_and_leaves_no_process(children: Children) -> None:
    document = papers.pdf([papers.LAB_REPORT, PAGES[0][:2]])
    pages = await check_document_reader(reader(), document, CALL)
    assert len(pages) == 2
    assert children() == []


@NEEDS_TESSERACT
async def test_a_blank_page_has_no_words() -> None:
    (page,) = await read(reader(), papers.encoded(Image.new("L", (900, 1200), 250)))
    assert page.words == ()


# -- straightening, alone ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("skew", [-11.0, -3.3, 0.0, 0.7, 6.0])
def test_skew_is_found_to_a_fifth_of_a_degree(skew: float) -> None:
    page = papers.drawn(papers.pdf([PAGES[0]], size=12.0), dpi=80)[0]
    grey = straightening.evened(papers.photographed(page, skew=skew))
    assert straightening.skew_of(grey) == pytest.approx(skew, abs=0.2)
    assert straightening.skew_of(straightening.straightened(grey, skew)) == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize(("turn", "sideways"), [(0, False), (90, True), (180, False), (270, True)])
def test_lines_that_run_down_the_page_are_noticed(turn: int, sideways: bool) -> None:
    page = papers.drawn(papers.pdf([PAGES[3]], size=12.0), dpi=80)[0]
    assert straightening.lies_sideways(straightening.evened(papers.photographed(page, turn=turn, skew=2.0))) is sideways


def test_a_shadow_is_divided_out_and_ink_stays() -> None:
    page = papers.drawn(papers.pdf([PAGES[0]], size=12.0), dpi=80)[0]
    shaded = Image.fromarray((np.asarray(page) * np.linspace(0.4, 1.0, page.width)[None, :]).astype(np.uint8))
    even = np.asarray(straightening.evened(shaded))
    paper = np.asarray(page) > 250
    assert np.asarray(shaded)[paper].mean() < 190
    assert even[paper].mean() > 235
    assert even[np.asarray(page) < 40].mean() < 90
    assert not straightening.is_blank(straightening.evened(shaded))


def test_turning_loses_nothing() -> None:
    page = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    assert np.asarray(straightening.turned(page, 90)).tolist() == [[3, 0], [4, 1], [5, 2]]
    back = straightening.turned(straightening.turned(page, 270), 90)
    assert np.asarray(back).tolist() == np.asarray(page).tolist()
