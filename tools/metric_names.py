"""Every metric that the code declares, read from the source: what docs/metrics.md says and what rules may name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("counter", "gauge", "histogram")
PREFIX = "prontuario_"


@dataclass(frozen=True, order=True)
class Declared:
    """One metric; ``name`` is the full one that /metrics shows (of a histogram, without ``_bucket`` and the like)."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which Prometheus keeps it."""
        return (
            tuple(self.name + end for end in ("_bucket", "_sum", "_count"))
            if self.kind == "histogram"
            else (self.name,)
        )


def declared() -> list[Declared]:
    """All of them, by name; a metric that two places declare alike stands once."""
    files = [file for folder in ("appliance", "plugins") for file in (ROOT / folder).rglob("*.py")]
    return sorted({one for file in files for one in _in_file(ast.parse(file.read_text(encoding="utf-8")))})


def _in_file(tree: ast.Module) -> Iterator[Declared]:
    constants = {
        target.id: node.value
        for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target]) if isinstance(target, ast.Name)
    }  # fmt: skip
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in KINDS):
            continue
        words = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
        if len(words) == 2 and all(isinstance(word, str) for word in words):
            name, kind = PREFIX + str(words[0]), node.func.attr
            if kind == "counter" and not name.endswith("_total"):
                name += "_total"
            yield Declared(name, kind, _labels(node.args[2:], constants), str(words[1]))


def _labels(arguments: list[ast.expr], constants: dict[str, ast.expr]) -> tuple[str, ...]:
    if not arguments:
        return ()
    given = arguments[0]
    found = constants.get(given.id, given) if isinstance(given, ast.Name) else given
    return tuple(str(label) for label in ast.literal_eval(found))


def page() -> str:
    """docs/metrics.md."""
    lines = [
        "# Metrics", "<!-- Written by tools/reference.py; change the code, not this page. -->", "",
        "`/metrics` of each node, in Prometheus' text format; needs the permission `node.read`, on a standby any device",
        "certificate of the hospital. Units are in the names. A histogram has `_bucket`, `_sum` and `_count`. None of them carries",
        "patients' data. The alerts that are made of them: [alerts.md](alerts.md).", "",
        "| metric | kind | labels | |", "|---|---|---|---|",
    ]  # fmt: skip
    lines += [f"| `{one.name}` | {one.kind} | {', '.join(one.labels) or '–'} | {one.text} |" for one in declared()]
    return "\n".join([*lines, ""])
