"""Write README's table of figures from bench/results/*.json (the last line that each bench printed); ``--check`` compares.

After a bench: ``make bench-store | tail -n 1 > bench/results/store.json``, then ``python tools/figures.py``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- figures: written by tools/figures.py from bench/results -->", "<!-- end of figures -->"
COMMANDS = {
    "store": "make bench-store",
    "api": "make bench-api",
    "engine": "make bench-engine",
    "demo-models": "make bench-demo-models",
    "chaos-consult": "make chaos-consult",
    "chaos-engines": "make chaos-engines",
    "failover": "make bench-failover",
    "pair": "make bench-pair",
    "promote": "make bench-promote",
    "chaos-pair": "make chaos-pair",
    "chaos-consult-pair": "make chaos-consult-pair",
    "pair-trials": "make pair-trials",
    "simulator": "make sim-cluster",
    "chat": "make bench-chat",
    "stt": "make bench-stt",
    "memory": "make bench-memory",
    "soak": "make bench-soak",
    "start": "make bench-start",
    "speech-out": "make bench-speech-out",
    "images": "make bench-images",
    "faces": "make bench-faces",
}


def number(value: float) -> str:
    """A figure with as many digits as mean something."""
    for limit, digits in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= limit:
            return f"{value:,.{digits}f}"
    return f"{value:.3g}"


def row(cells: dict[str, Any]) -> str:
    """One line of the table."""
    peer = f"{cells['peer']}: {number(cells['peer_value'])}" if "peer" in cells else ""
    ratio = f"{cells['ratio']:.2f}×" if "ratio" in cells else ""
    aim = f"{cells['aim']} {'✓' if cells['ok'] else '✗ missed'}" if "aim" in cells else ""
    value = " / ".join(number(one) for one in cells.get("values", [cells["value"]]))
    return f"| {cells['what']} | {value} {cells['unit']} | {peer} | {ratio} | {aim} |"


def with_percentiles_merged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``x: p50``, ``x: p95`` and ``x: p99`` one after the other are one line, with the aim of the last."""
    merged: list[dict[str, Any]] = []
    for cells in rows:
        what, _, percentile = cells["what"].rpartition(": ")
        if percentile in {"p95", "p99"} and merged and merged[-1]["what"].startswith(f"{what}: p50"):
            before = merged.pop()
            values = [*before.get("values", [before["value"]]), cells["value"]]
            merged.append(cells | {"what": f"{before['what']} / {percentile}", "values": values})
        else:
            merged.append(cells)
    return merged


def table() -> str:
    """All figures, one block for each command."""
    blocks = []
    for name, command in COMMANDS.items():
        path = ROOT / "bench" / "results" / f"{name}.json"
        if not path.exists():
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        blocks += [
            f"`{command}` (commit {result['commit']})",
            "",
            "| what | figure | peer, same run | ratio | aim |",
            "|---|---|---|---|---|",
        ]
        blocks += [*(row(cells) for cells in with_percentiles_merged(result["rows"])), ""]
    return "\n".join(blocks)


def main() -> int:
    """Rewrite the README, or compare; 1 when it is out of date."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    fresh = f"{before}{BEGIN}\n\n{table()}\n{END}{after}"
    if "--check" in sys.argv:
        return 0 if fresh == text else 1
    README.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
