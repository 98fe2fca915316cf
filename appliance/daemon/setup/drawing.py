"""A4 pages for people: headings, text, commands and a QR code, from top to bottom; a new page when one is full."""

from __future__ import annotations

import io
from typing import Final

import segno
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import simpleSplit
from reportlab.pdfgen.canvas import Canvas

MARGIN: Final = 18 * mm
_WIDTH: Final = A4[0] - 2 * MARGIN
_TEXT: Final = "Helvetica"
_BOLD: Final = "Helvetica-Bold"
_FIXED: Final = "Courier-Bold"
_LEADING: Final = 1.32
_QUIET: Final = 4


class Paper:
    """One document. The same calls give the same bytes: nothing of the moment or the machine is in them."""

    def __init__(self, title: str, footer: str) -> None:
        self._file = io.BytesIO()
        self._canvas = Canvas(self._file, pagesize=A4, invariant=1, lang="pt-BR")
        self._canvas.setTitle(title)
        self._footer = footer
        self._page = 1
        self._y = A4[1] - MARGIN
        self._foot()

    def heading(self, text: str, size: float = 15) -> None:
        """A heading; it does not stay alone at a page's end."""
        self._need(size * 4)
        self._y -= size * 0.4
        self._lines(text, _BOLD, size)
        self._y -= size * 0.25

    def text(self, text: str, size: float = 10) -> None:
        """A paragraph."""
        self._lines(text, _TEXT, size)
        self._y -= size * 0.3

    def pairs(self, rows: tuple[tuple[str, str], ...], size: float = 10) -> None:
        """What is on the left and its value, the value in letters that can't be mistaken for others."""
        left = 52 * mm
        for name, value in rows:
            lines = simpleSplit(value or " ", _FIXED, size, _WIDTH - left) or [""]
            self._need(size * _LEADING * len(lines))
            self._canvas.setFont(_TEXT, size)
            self._canvas.drawString(MARGIN, self._y - size, name)
            self._canvas.setFont(_FIXED, size)
            for line in lines:
                self._y -= size * _LEADING
                self._canvas.drawString(MARGIN + left, self._y + size * (_LEADING - 1), line)
        self._y -= size * 0.5

    def blanks(self, names: tuple[str, ...], size: float = 10) -> None:
        """Lines to be filled in by hand."""
        for name in names:
            self._need(size * 2.4)
            self._y -= size * 2.2
            self._canvas.setFont(_TEXT, size)
            self._canvas.drawString(MARGIN, self._y, name)
            self._canvas.line(MARGIN + 62 * mm, self._y - 1, A4[0] - MARGIN, self._y - 1)
        self._y -= size

    def step(self, number: int, text: str, command: str = "", size: float = 10) -> None:
        """A numbered step and what is typed for it."""
        self._lines(f"{number}. {text}", _TEXT, size)
        if command:
            self._lines(command, _FIXED, size, indent=6 * mm)
        self._y -= size * 0.3

    def words(self, rows: tuple[tuple[str, ...], ...], size: float = 15) -> None:
        """Numbered rows of words."""
        column = (_WIDTH - 10 * mm) / max(map(len, rows))
        for number, row in enumerate(rows, 1):
            self._need(size * 1.9)
            self._y -= size * 1.7
            self._canvas.setFont(_TEXT, size * 0.7)
            self._canvas.drawString(MARGIN, self._y, str(number))
            self._canvas.setFont(_FIXED, size)
            for place, word in enumerate(row):
                self._canvas.drawString(MARGIN + 10 * mm + place * column, self._y, word)
        self._y -= size

    def qr(self, content: str, side: float = 62 * mm) -> None:
        """``content`` as a QR code (ISO/IEC 18004, error correction M) with its quiet zone."""
        matrix = segno.make(content, error="m", micro=False).matrix
        self._need(side)
        module = side / (len(matrix) + 2 * _QUIET)
        top, left = self._y - _QUIET * module, MARGIN + _QUIET * module
        for row, line in enumerate(matrix):
            for column, dark in enumerate(line):
                if dark:
                    self._canvas.rect(
                        left + column * module, top - (row + 1) * module, module, module, stroke=0, fill=1
                    )
        self._y -= side

    def finish(self) -> bytes:
        """The PDF."""
        self._canvas.save()
        return self._file.getvalue()

    def _lines(self, text: str, font: str, size: float, indent: float = 0) -> None:
        for line in simpleSplit(text, font, size, _WIDTH - indent):
            self._need(size * _LEADING)
            self._y -= size * _LEADING
            self._canvas.setFont(font, size)
            self._canvas.drawString(MARGIN + indent, self._y + size * (_LEADING - 1), line)

    def _need(self, height: float) -> None:
        if self._y - height >= MARGIN + 6 * mm:
            return
        self._canvas.showPage()
        self._page += 1
        self._y = A4[1] - MARGIN
        self._foot()

    def _foot(self) -> None:
        self._canvas.setFont(_TEXT, 8)
        self._canvas.drawString(MARGIN, MARGIN - 4 * mm, self._footer)
        self._canvas.drawRightString(A4[0] - MARGIN, MARGIN - 4 * mm, str(self._page))
