"""The report as a page that a director can read: Brazilian Portuguese, A4, in PDF's own fonts (nothing is fetched)."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any, Final
from xml.sax.saxutils import escape

from appliance.operations.drills.model import Facts, Outcome, Step
from appliance.operations.schedule_memory import Figure

OUTCOMES: Final[dict[Outcome, tuple[str, str]]] = {
    "passed": ("APROVADO", "#1b6b3a"),
    "incomplete": ("INCOMPLETO: o que não está configurado não foi ensaiado", "#8a5a00"),
    "failed": ("REPROVADO", "#a11a1a"),
    "not_configured": ("NÃO CONFIGURADO: nada foi ensaiado", "#8a5a00"),
    "given_up": ("NÃO REALIZADO: havia consultas em andamento", "#8a5a00"),
}
_STEPS: Final = {"passed": "aprovado", "failed": "REPROVADO", "not_configured": "não configurado"}
_UNANNOUNCED: Final = "não anunciado (não interrompe ninguém, ou pedido na hora)"
_UNMEASURED: Final = "não se mede neste ensaio"
_GREY: Final = "#5a6470"
_LINE: Final = "#c6ccd3"


def draw(facts: Facts, key_id: str, authority_sha256: str) -> bytes:
    """The PDF without a signature; equal facts give equal bytes. Blocks for some tens of milliseconds."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import SimpleDocTemplate

    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, leftMargin=18 * mm, rightMargin=18 * mm, topMargin=16 * mm, bottomMargin=18 * mm, invariant=1,
        pageCompression=1, title=f"{facts.title_pt} {facts.id}", author=f"Prontuário, {facts.node}", lang="pt-BR",
    )  # fmt: skip

    def foot(canvas: Any, page: Any) -> None:
        canvas.setFont("Helvetica", 7.5)
        canvas.setFillColor(_GREY)
        canvas.drawString(18 * mm, 10 * mm, f"Relatório {facts.id}")
        canvas.drawRightString(A4[0] - 18 * mm, 10 * mm, f"página {page.page}")

    document.build(_story(facts, key_id, authority_sha256), onFirstPage=foot, onLaterPages=foot)
    return out.getvalue()


def _story(facts: Facts, key_id: str, authority_sha256: str) -> list[Any]:
    from reportlab.platypus import Spacer

    word, colour = OUTCOMES[facts.outcome]
    return [
        _text(f"Ensaio: {facts.title_pt}", 17, bold=True),
        _text(f"{facts.hospital} · nó {facts.node} · Prontuário {facts.version}", 9.5, colour=_GREY),
        Spacer(1, 8),
        _text(word, 13, bold=True, colour=colour),
        Spacer(1, 8),
        _table([("O que", "Medido"), *_measured(facts)], (80, 92)),
        Spacer(1, 10),
        _text("Passos", 12, bold=True),
        Spacer(1, 4),
        _table([("Passo", "Resultado", "Tempo"), *(_row(step) for step in facts.steps)], (104, 42, 26)),
        *_attachments(facts),
        Spacer(1, 12),
        _text("Assinatura", 12, bold=True),
        Spacer(1, 4),
        _text(
            f"Assinado pelo nó <b>{escape(facts.node)}</b> com a chave <font face='Courier'>{key_id}</font>, certificada pela "
            f"autoridade do hospital (SHA-256 <font face='Courier' size='7'>{authority_sha256}</font>). "
            "Os mesmos dados acompanham esta página dentro do arquivo. Para conferir quem assinou e se um único byte "
            "mudou: <font face='Courier'>prontuario drill verify ARQUIVO</font>.",
            8.5, markup=True,
        ),
    ]  # fmt: skip


def _measured(facts: Facts) -> list[tuple[str, str]]:
    return [
        ("Começo", _moment(facts.began_at)),
        ("Fim", f"{_moment(facts.ended_at)} ({_number(facts.seconds)} s)"),
        ("Pedido por", facts.asked_by or "agenda"),
        ("Anunciado em", _moment(facts.announced_at) if facts.announced_at else _UNANNOUNCED),
        ("Adiado por consultas", f"{facts.postponed} vez(es)"),
        ("RTO: tempo sem poder trabalhar, ou de restaurar", f"{_number(facts.rto_s)} s" if facts.rto_s is not None else _UNMEASURED),
        ("RPO: gravações confirmadas que faltaram", _rpo(facts)),
    ]  # fmt: skip


def _rpo(facts: Facts) -> str:
    if facts.rpo_writes is None:
        return _UNMEASURED
    return f"{facts.rpo_writes} de {facts.watched_writes} conferidas"


def _row(step: Step) -> tuple[str, str, str]:
    told = "<br/>".join(escape(one) for one in (_figures(step.figures), step.why_pt) if one)
    what = f"{escape(step.pt)}<br/><font size='7.5' color='{_GREY}'>{told}</font>" if told else escape(step.pt)
    return what, _STEPS[step.outcome], f"{_number(step.seconds)} s"


def _figures(figures: dict[str, Figure]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')}: {value if isinstance(value, str) else _number(value)}"
        for name, value in figures.items()
    )


def _attachments(facts: Facts) -> list[Any]:
    from reportlab.platypus import Spacer

    if not facts.attachments:
        return []
    rows = [
        (escape(one.name), _number(one.size), f"<font face='Courier' size='6.5'>{one.sha256}</font>")
        for one in facts.attachments
    ]
    return [
        Spacer(1, 10), _text("Anexos", 12, bold=True), Spacer(1, 4),
        _table([("Arquivo", "Bytes", "SHA-256"), *rows], (56, 22, 94)),
    ]  # fmt: skip


def _text(text: str, points: float, *, bold: bool = False, colour: str = "#16202a", markup: bool = False) -> Any:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    style = ParagraphStyle(
        "text",
        fontName="Helvetica-Bold" if bold else "Helvetica",
        fontSize=points,
        leading=points * 1.32,
        textColor=colour,
    )
    return Paragraph(text if markup else escape(text), style)


def _table(rows: list[tuple[str, ...]], widths_mm: tuple[float, ...]) -> Any:
    """The first row is the head; the others may carry markup."""
    from reportlab.lib.units import mm
    from reportlab.platypus import Table

    cells = [[_text(cell, 8.5, bold=place == 0, markup=place > 0) for cell in row] for place, row in enumerate(rows)]
    return Table(
        cells,
        colWidths=[width * mm for width in widths_mm],
        repeatRows=1,
        style=[
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("TOPPADDING", (0, 0), (-1, -1), 3),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ],
    )


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    text = f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
    return text.translate(str.maketrans(",.", ".,"))


def _moment(instant: str) -> str:
    """In UTC: the reader may sit anywhere, and the machine's own zone is no part of the facts."""
    try:
        return f"{datetime.fromisoformat(instant):%d/%m/%Y %H:%M:%S} UTC"
    except ValueError:
        return instant


__all__ = ["OUTCOMES", "draw"]
