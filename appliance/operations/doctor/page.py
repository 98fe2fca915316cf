"""What doctor found, as text for a terminal; and the table of every check for ``docs/doctor.md``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from appliance.operations.doctor.checks import CHECKS, GROUPS
from appliance.operations.doctor.model import COMMON, Check, CommonVerdict, Finding, Verdict
from appliance.operations.doctor.run import Report

MARKS: Final = {
    "ok": ("ok", "ok"),
    "warning": ("atenção", "warning"),
    "failed": ("FALHA", "FAILED"),
    "skipped": ("—", "—"),
}
RUNBOOKS: Final = "docs/runbooks"
_WIDTH: Final = 8


def as_text(
    report: Report,
    language: str,
    *,
    everything: bool = False,
    style: Callable[[str, str], str] = lambda _status, text: text,
) -> str:
    """One line for each finding that needs somebody (or for each, with ``everything``), its next step below; then the sum."""
    pt = language == "pt"
    lines = []
    for finding in report.findings:
        if everything or finding.status in {"warning", "failed"}:
            lines += _lines(finding, pt=pt, style=style)
    counted = [
        sum(finding.status == status for finding in report.findings)
        for status in ("ok", "warning", "failed", "skipped")
    ]
    total = (
        "{} bem, {} de atenção, {} falhas, {} não examinadas (--all mostra todas)."
        if pt
        else "{} well, {} warnings, {} failures, {} not examined (--all shows each)."
    )
    return "\n".join([*lines, total.format(*counted)])


def _lines(finding: Finding, *, pt: bool, style: Callable[[str, str], str]) -> list[str]:
    title, cause, step = (
        (finding.title_pt, finding.cause_pt, finding.step_pt)
        if pt
        else (finding.title_en, finding.cause_en, finding.step_en)
    )
    mark = style(finding.status, f"{MARKS[finding.status][0 if pt else 1]:>{_WIDTH}}")
    lines = [f"{mark} {title}: {cause}  [{finding.id}.{finding.verdict}]"]
    margin = " " * (_WIDTH + 1)
    if step:
        lines.append(f"{margin}{step}")
    if finding.runbook:
        lines.append(f"{margin}{RUNBOOKS}/{finding.runbook}.md")
    return lines


def checks_page(checks: Sequence[Check] = CHECKS) -> str:
    """The tables of ``docs/doctor.md``: each check with what it may find, why it matters now, and the next step."""
    lines = ["### Qualquer verificação / Any check", "", *_HEAD, *(_row(one.name, one) for one in COMMON), ""]
    for group, (pt, en) in GROUPS.items():
        title = pt if pt == en else f"{pt} / {en}"
        lines += [f"### {title}", "", *_HEAD]
        for check in checks:
            if check.group == group:
                lines += _rows(check)
        lines.append("")
    return "\n".join(lines)


_HEAD: Final = ("| id | | o que diz / what it says | próximo passo / next step |", "|---|---|---|---|")


def _rows(check: Check) -> list[str]:
    book = f" [{check.runbook}](runbooks/{check.runbook}.md)" if check.runbook else ""
    where = " (macOS)" if check.mac else ""
    title = check.pt if check.pt == check.en else f"{check.pt}. *{check.en}.*"
    return [
        f"| **`{check.id}`**{where} | | **{title}** |{book} |",
        *(_row(f"{check.id}.{one.name}", one) for one in check.verdicts.values() if one.status != "ok"),
    ]


def _row(name: str, one: Verdict | CommonVerdict) -> str:
    said, step = (f"{pt} *{en}*" if pt else "" for pt, en in zip(one.pt, one.en, strict=True))
    return f"| `{name}` | {one.status} | {said} | {step} |".replace("{", "‹").replace("}", "›")
