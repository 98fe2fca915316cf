"""The one language of benches and chaos runs (DESIGN §12): progress on stderr, one JSON line last on stdout.

Usage: ``report = Report("store"); report.row("acks/s", 16200, "1/s", peer="autocommit", peer_value=2900, aim=(">=", 15000));
report.print()``. A row's ``aim`` compares its ``value`` (or its ``ratio``, with ``on="ratio"``).
"""

from __future__ import annotations

import json
import operator
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

_COMPARE = {">=": operator.ge, "<=": operator.le, "==": operator.eq}


def say(text: str) -> None:
    """Progress for the person watching."""
    print(text, file=sys.stderr, flush=True)


class Report:
    """Rows of figures, each beside its peer from the same run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[dict[str, Any]] = []

    def row(
        self,
        what: str,
        value: float,
        unit: str,
        *,
        peer: str | None = None,
        peer_value: float | None = None,
        aim: tuple[str, float] | None = None,
        on: str = "value",
    ) -> None:
        """Add a figure; ``ratio`` is value over peer."""
        row: dict[str, Any] = {"what": what, "value": round(value, 4), "unit": unit}
        if peer is not None and peer_value:
            row |= {"peer": peer, "peer_value": round(peer_value, 4), "ratio": round(value / peer_value, 3)}
        if aim is not None:
            sign, limit = aim
            row |= {"aim": f"{on} {sign} {limit:g}", "ok": bool(_COMPARE[sign](row[on], limit))}
        self.rows.append(row)
        say(f"  {what}: {row}")

    def print(self) -> None:
        """The JSON line."""
        ok = all(row.get("ok", True) for row in self.rows)
        line = {"name": self.name, "ok": ok, "rows": self.rows, "commit": _commit(), "cpu": _cpu()}
        print(json.dumps(line, ensure_ascii=False), flush=True)


def _commit() -> str:
    try:
        return subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
