"""Pages of a PDF through pdfium: its own text where that is what a person sees, else the page as a picture.

A page whose text is invisible, broken, turned, or lies behind a picture is drawn and recognised instead: a text layer that
nobody sees may say anything.
"""

from __future__ import annotations

import ctypes
import math
from typing import Any, Final

import pypdfium2 as pdfium
from PIL import Image
from pypdfium2 import raw

from appliance.plugin_api.paper import PaperPage, PaperWord
from plugins.document_reader.reading import box_within
from plugins.document_reader.refusals import RefusedError, too_large

_POINTS_AN_INCH: Final = 72.0
_LONGEST_PT: Final = 14_400.0
"""200 inches: the largest page that PDF 1.7 knows (ISO 32000-1, Annex C)."""
_MOST_CHARACTERS: Final = 100_000
_GRID: Final = 100_000
"""pdfium tells places on a grid of whole numbers."""
_PICTURE_SHARE: Final = 0.5
_BROKEN_SHARE: Final = 0.05
_TALL_SHARE: Final = 0.5
_FEW_LETTERS: Final = 4
_REPLACEMENT: Final = 0xFFFD
_PRIVATE: Final = range(0xE000, 0xF900)


def open_pdf(document: bytes, max_pages: int) -> pdfium.PdfDocument:
    """An open document with a bearable number of bearable pages.

    Raises:
        RefusedError: ``document.encrypted``, ``document.damaged``, ``document.too_large``.
    """
    try:
        opened = pdfium.PdfDocument(document)
    except pdfium.PdfiumError as error:
        locked = getattr(error, "err_code", None) in (raw.FPDF_ERR_PASSWORD, raw.FPDF_ERR_SECURITY)
        raise RefusedError("document.encrypted" if locked else "document.damaged") from error
    pages = len(opened)
    if pages < 1:
        raise RefusedError("document.damaged")
    if pages > max_pages:
        raise too_large("pages/páginas", pages, max_pages)
    for number in range(pages):
        _check_size(opened, number)
    return opened


def _check_size(opened: pdfium.PdfDocument, number: int) -> None:
    try:
        size = opened.get_page_size(number)
    except pdfium.PdfiumError as error:
        raise RefusedError("document.damaged") from error
    longest = max(size)
    if not min(size) > 0 or not math.isfinite(longest):
        raise RefusedError("document.damaged")
    if longest > _LONGEST_PT:
        raise too_large("page/página (pt)", int(min(longest, 1e12)), int(_LONGEST_PT))


def page_at(opened: pdfium.PdfDocument, index: int) -> pdfium.PdfPage:
    """Raises ``document.damaged`` for a page that can't be opened."""
    try:
        return opened[index]
    except pdfium.PdfiumError as error:
        raise RefusedError("document.damaged") from error


def text_of(page: pdfium.PdfPage, number: int) -> PaperPage | None:
    """The page's own text, if a person sees that same text; None: draw the page."""
    if _is_covered(page) or _hides_text(page):
        return None
    layer = page.get_textpage()
    if layer.count_chars() > _MOST_CHARACTERS:
        raise too_large("characters/caracteres", layer.count_chars(), _MOST_CHARACTERS)
    words = _words(page, layer)
    return PaperPage(number, "text", tuple(words)) if words and _is_sound(words) else None


def drawn(page: pdfium.PdfPage, dpi: int, max_pixels: int) -> Image.Image:
    """The page as a picture, in grey."""
    width, height = page.get_size()
    scale = min(dpi / _POINTS_AN_INCH, math.sqrt(max_pixels / (width * height)))
    picture: Image.Image = page.render(scale=scale, grayscale=True).to_pil()
    return picture


def _is_covered(page: pdfium.PdfPage) -> bool:
    """Whether pictures cover most of the page: a scan, whose text layer, if any, is somebody else's reading."""
    width, height = page.get_size()
    area = 0.0
    for picture in page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=4):
        left, bottom, right, top = picture.get_bounds()
        area += max(right - left, 0.0) * max(top - bottom, 0.0)
    return bool(area > _PICTURE_SHARE * width * height)


def _hides_text(page: pdfium.PdfPage) -> bool:
    hidden = {raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP}
    texts = page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT], max_depth=4)
    return any(raw.FPDFTextObj_GetTextRenderMode(text.raw) in hidden for text in texts)


def _words(page: pdfium.PdfPage, layer: Any) -> list[PaperWord]:
    words: list[PaperWord] = []
    signs: list[str] = []
    places: list[tuple[float, float, float, float]] = []
    for index in range(layer.count_chars() + 1):
        code = raw.FPDFText_GetUnicode(layer.raw, index) if index < layer.count_chars() else 0
        sign = chr(code) if code and code < 0x110000 else " "  # noqa: PLR2004  the end of Unicode
        if sign.isspace() or not sign.isprintable():
            if signs:
                words.append(_word(page, "".join(signs), places))
            signs, places = [], []
        else:
            signs.append(sign)
            places.append(layer.get_charbox(index))
    return words


def _word(page: pdfium.PdfPage, text: str, places: list[tuple[float, float, float, float]]) -> PaperWord:
    corners = [_on_page(page, x, y) for left, bottom, right, top in places for x, y in ((left, bottom), (right, top))]
    across, down = [x for x, _ in corners], [y for _, y in corners]
    return PaperWord(text, box_within(min(across), min(down), max(across) - min(across), max(down) - min(down)), 1.0)


def _on_page(page: pdfium.PdfPage, x: float, y: float) -> tuple[float, float]:
    """A point of the PDF's own coordinates as fractions of the page as it is shown (its /Rotate and crop box included)."""
    across, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page.raw, 0, 0, _GRID, _GRID, 0, x, y, ctypes.byref(across), ctypes.byref(down))
    return across.value / _GRID, down.value / _GRID


def _is_sound(words: list[PaperWord]) -> bool:
    """Whether the layer has real letters that stand upright."""
    signs = [ord(sign) for word in words for sign in word.text]
    broken = sum(sign == _REPLACEMENT or sign in _PRIVATE for sign in signs)
    long = [word for word in words if len(word.text) >= _FEW_LETTERS]
    tall = sum(word.box.height > word.box.width for word in long)
    return broken <= _BROKEN_SHARE * len(signs) and tall <= _TALL_SHARE * max(len(long), 1)
