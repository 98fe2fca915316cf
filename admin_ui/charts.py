"""Live line charts that follow the theme of the page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from nicegui import ui

from admin_ui.view import View

LIGHT: Final = {"text": "#50616b", "line": "#d9e1e5", "series": ("#0a666c", "#b06a00")}
DARK: Final = {"text": "#a3b3bc", "line": "#27353c", "series": ("#6accd0", "#f2bf66")}
Sample = tuple[datetime, tuple[float | None, ...]]


class LiveChart:
    """Lines over the last minutes. ``show`` sends only when there is a new sample or another theme."""

    def __init__(self, view: View, names: Sequence[str]) -> None:
        self._view = view
        self._names = names
        self._shown: tuple[object, ...] = ()
        self._chart = ui.echart(self._options([])).classes("chart")
        self._chart.props["role"], self._chart.props["aria-label"] = "img", ", ".join(names)

    def show(self, samples: list[Sample]) -> None:
        """Show these samples, oldest first."""
        key = (samples[-1][0] if samples else None, self._view.is_dark)
        if key == self._shown:
            return
        self._shown = key
        self._chart.options.clear()
        self._chart.options.update(self._options(samples))
        self._chart.update()

    def _options(self, samples: list[Sample]) -> dict[str, Any]:
        locale = "en-US" if self._view.language == "en" else "pt-BR"
        colours = DARK if self._view.is_dark else LIGHT
        many = len(self._names) > 1
        rule = {"lineStyle": {"color": colours["line"]}}
        label = {"color": colours["text"]}
        spoken = f"value => value == null ? '–' : value.toLocaleString('{locale}', {{maximumFractionDigits: 1}})"
        return {
            "animation": False,
            "color": list(colours["series"]),
            "grid": {"left": 8, "right": 30, "top": 34 if many else 14, "bottom": 4, "containLabel": True},
            "legend": {"show": many, "left": 0, "top": 0, "textStyle": {"color": colours["text"]}},
            "tooltip": {"trigger": "axis", ":valueFormatter": spoken},
            "xAxis": {"type": "time", "splitNumber": 3, "splitLine": {"show": False}, "axisLine": rule}
            | {"axisLabel": {**label, "hideOverlap": True}},
            "yAxis": {"type": "value", "min": 0, "minInterval": 1, "splitNumber": 3, "splitLine": rule}
            | {"axisLabel": {**label, ":formatter": spoken}, "axisLine": rule},
            "series": [self._line(name, position, samples) for position, name in enumerate(self._names)],
        }

    @staticmethod
    def _line(name: str, position: int, samples: list[Sample]) -> dict[str, Any]:
        points = [[int(at.timestamp() * 1000), values[position]] for at, values in samples]
        return {"name": name, "type": "line", "showSymbol": False, "lineStyle": {"width": 2}, "data": points}
