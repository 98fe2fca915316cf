"""Papers made at test time: texts set by reportlab in its own fonts, drawn by pdfium, turned, skewed, shaded and grained."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pypdfium2 as pdfium
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

Line = str | tuple[str, ...]
COLUMNS = (60, 260, 330, 430)
"""Where the cells of a table begin, in points."""
LAB_REPORT: tuple[Line, ...] = (
    "Laboratório São Lucas - Análises Clínicas",
    "Paciente: Maria da Silva Amostra",
    "Data de nascimento: 14/03/1968   Idade: 58 anos",
    "Data da coleta: 12/11/2026 07:40",
    "HEMOGRAMA",
    ("Hemácias", "4,52", "milhões/mm³", "3,90 a 5,00"),
    ("Hemoglobina", "13,2", "g/dL", "12,0 a 15,5"),
    ("Leucócitos", "7.200", "/mm³", "4.000 a 11.000"),
    ("Plaquetas", "245.000", "/mm³", "150.000 a 450.000"),
    "BIOQUÍMICA",
    ("Glicose em jejum", "92", "mg/dL", "70 a 99"),
    ("Creatinina", "0,9", "mg/dL", "0,6 a 1,1"),
    ("Sódio", "138", "mEq/L", "135 a 145"),
    ("Potássio", "4,1", "mEq/L", "3,5 a 5,1"),
    ("Proteína C reativa", "< 0,3", "mg/dL", "até 0,5"),
    ("TSH", "2,45", "µUI/mL", "0,40 a 4,30"),
    ("Alfa-misteriosa", "12,5", "ng/mL", "até 20,0"),
)


def pdf(pages: Sequence[Sequence[Line]], *, size: float = 12.0, leading: float = 1.7, **metadata: str) -> bytes:
    """A PDF with a text layer; a line of several strings is a row of a table."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, **metadata)
    for lines in pages:
        canvas.setFont("Helvetica", size)
        for number, line in enumerate(lines):
            height = A4[1] - 70 - number * size * leading
            cells = (line,) if isinstance(line, str) else line
            for left, cell in zip(COLUMNS, cells, strict=False):
                canvas.drawString(left, height, cell)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def drawn(document: bytes, dpi: int = 150) -> list[Image.Image]:
    """Every page as a picture in grey."""
    opened = pdfium.PdfDocument(document)
    try:
        return [page.render(scale=dpi / 72, grayscale=True).to_pil() for page in opened]
    finally:
        opened.close()


def photographed(page: Image.Image, *, turn: int = 0, skew: float = 0.0, grain: float = 0.0) -> Image.Image:
    """As a phone sees it: turned clockwise by ``turn``, lines rising by ``skew`` degrees, lit from one side, grained."""
    seen = page.rotate(skew, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
    if grain:
        shades = np.asarray(seen, dtype=np.float64) * np.linspace(0.65, 0.95, seen.width)[None, :]
        shades += np.random.default_rng(7).normal(0, grain, shades.shape)
        seen = Image.fromarray(np.clip(shades, 0, 255).astype(np.uint8))
    return seen.rotate(-turn, expand=True)


def encoded(picture: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def scan(pictures: Sequence[Image.Image], hidden: str = "") -> bytes:
    """A PDF that only has pictures, one a page; ``hidden``: an invisible text layer over them."""
    from reportlab.lib.utils import ImageReader

    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4)
    for picture in pictures:
        canvas.drawImage(ImageReader(picture), 0, 0, *A4)
        if hidden:
            text = canvas.beginText(60, 700)
            text.setTextRenderMode(3)
            text.textLine(hidden)
            canvas.drawText(text)
        canvas.showPage()
    canvas.save()
    return file.getvalue()
