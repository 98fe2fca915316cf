"""Make the sample's scanned laboratory report again: ``python tools/lab_scan.py`` (reportlab 4.2+, pypdfium2 5.15, Pillow 11+).

Everything on it is invented. Set by reportlab in its own font, drawn by pdfium, then photographed: a slight skew, light
from one side, grain of a fixed seed, JPEG.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import numpy as np
import pypdfium2 as pdfium
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

OUT: Final = Path(__file__).resolve().parent.parent / "appliance" / "daemon" / "sample" / "lab_report.jpg"
COLUMNS: Final = (60, 250, 330, 430)
DPI: Final = 140
SKEW: Final = 1.4
GRAIN: Final = 4.0
SEED: Final = 20_261_121
QUALITY: Final = 52
MOST_BYTES: Final = 150_000
HEAD: Final = (
    "Laboratório Modelo - documento de demonstração",
    "Paciente: Maria Amostra",
    "Data de nascimento: 14/03/1968     Sexo: feminino",
    "Data da coleta: 18/11/2026 07:30",
)
ROWS: Final = (
    ("Exame", "Resultado", "Unidade", "Referência"),
    ("Hemoglobina", "12,8", "g/dL", "12,0 a 15,5"),
    ("Hematócrito", "38,6", "%", "35,0 a 45,0"),
    ("Leucócitos", "11.400", "/mm³", "4.000 a 11.000"),
    ("Plaquetas", "268.000", "/mm³", "150.000 a 450.000"),
    ("Glicose em jejum", "104", "mg/dL", "70 a 99"),
    ("Creatinina", "0,9", "mg/dL", "0,6 a 1,1"),
    ("Ureia", "34", "mg/dL", "15 a 45"),
    ("Sódio", "139", "mEq/L", "135 a 145"),
    ("Potássio", "4,3", "mEq/L", "3,5 a 5,1"),
    ("Proteína C reativa", "2,4", "mg/dL", "até 0,5"),
    ("TSH", "2,15", "µUI/mL", "0,40 a 4,30"),
    ("Hemoglobina glicada", "5,8", "%", "até 5,6"),
)


def page() -> Image.Image:
    """The report as it left the printer."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1)
    height = A4[1] - 80
    for line in HEAD:
        canvas.setFont("Helvetica", 12)
        canvas.drawString(COLUMNS[0], height, line)
        height -= 24
    height -= 16
    for row in ROWS:
        canvas.setFont("Helvetica-Bold" if row is ROWS[0] else "Helvetica", 12)
        for left, cell in zip(COLUMNS, row, strict=True):
            canvas.drawString(left, height, cell)
        height -= 26
    canvas.drawString(COLUMNS[0], height - 20, "Resultados inventados. Não usar em cuidado de pacientes.")
    canvas.save()
    opened = pdfium.PdfDocument(file.getvalue())
    drawn: Image.Image = opened[0].render(scale=DPI / 72, grayscale=True).to_pil()
    return drawn


def photographed(printed: Image.Image) -> Image.Image:
    """As a phone sees it."""
    seen = printed.rotate(SKEW, resample=Image.Resampling.BICUBIC, expand=True, fillcolor=255)
    light = np.asarray(seen, dtype=np.float64) * np.linspace(0.78, 0.97, seen.width)[None, :]
    light += np.random.default_rng(SEED).normal(0, GRAIN, light.shape)
    return Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))


def main() -> None:
    """Write the sample."""
    photographed(page()).save(OUT, "JPEG", quality=QUALITY, optimize=True)
    size = OUT.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{OUT.name} has {size} bytes, more than {MOST_BYTES}")
    print(f"{OUT.name}: {size} bytes")


if __name__ == "__main__":
    main()
