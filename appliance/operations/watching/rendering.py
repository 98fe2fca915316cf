"""The rules as Prometheus reads them, and as a page for people. YAML is written by hand: its strings are JSON's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from appliance.operations.watching.rules import RULES, Rule

HEAD: Final = (
    "# Written by tools/reference.py from appliance/operations/watching/rules.py; change that, not this file.\n"
)
RUNBOOKS: Final = "docs/runbooks"


def carried(rule: Rule) -> dict[str, str]:
    """What Prometheus carries along with the alert."""
    return {"summary": rule.pt, "summary_en": rule.en, "runbook": f"{RUNBOOKS}/{rule.runbook}.md"}


def alerts_yaml(rules: Sequence[Rule] = RULES) -> str:
    """A rule file for Prometheus 2 and 3."""
    lines = [HEAD + "groups:", "  - name: prontuario", "    rules:"]
    for rule in rules:
        lines += [
            f"      - alert: {rule.name}",
            f"        expr: {json.dumps(rule.condition.promql())}",
            f"        for: {rule.for_s:g}s",
            f"        labels: {{severity: {rule.severity}}}",
            "        annotations:",
        ]
        lines += [f"          {key}: {json.dumps(text, ensure_ascii=False)}" for key, text in carried(rule).items()]
    return "\n".join([*lines, ""])


def alerts_page(rules: Sequence[Rule] = RULES) -> str:
    """The table of ``docs/alerts.md``."""
    lines = [
        "| alerta / alert | | depois de / after | condição / condition | roteiro / runbook |",
        "|---|---|---|---|---|",
    ]
    for rule in rules:
        told = f"**{rule.name}** ({rule.severity})"
        page = f"[{rule.runbook}](runbooks/{rule.runbook}.md)"
        expression = rule.condition.promql().replace("|", "\\|")
        lines.append(f"| {told} | {rule.pt} *{rule.en}* | {rule.for_s:g} s | `{expression}` | {page} |")
    return "\n".join([*lines, ""])
