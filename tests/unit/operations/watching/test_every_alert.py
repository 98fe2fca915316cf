"""No alert without a test that breaks the real thing and sees it come and go: the marks are gathered here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.operations.watching.rules import RULES
from tests.unit.operations.watching.box import Box, fires

ROOT = Path(__file__).resolve().parents[4]
FIRED_IN = ROOT / "tests" / "unit" / "operations"
NAMES = {rule.name for rule in RULES}


def marks(text: str) -> Iterator[str]:
    """What the ``fires`` marks of a file's tests claim; only a literal on a test function is a mark."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for call in (one for one in node.decorator_list if isinstance(one, ast.Call)):
                if isinstance(call.func, ast.Name) and call.func.id == "fires":
                    yield from (str(word.value) for word in call.args if isinstance(word, ast.Constant))


def test_every_alert_is_fired_for_real() -> None:
    files = (path for path in FIRED_IN.rglob("test_*.py") if path != Path(__file__))
    fired = [name for path in files if "@fires(" in (text := path.read_text()) for name in marks(text)]
    assert set(fired) == NAMES
    in_yaml = re.findall(r"- alert: (\w+)", (ROOT / "appliance/operations/watching/alerts.yaml").read_text())
    assert set(in_yaml) == NAMES


def test_what_only_stands_in_a_comment_or_in_another_function_is_no_mark() -> None:
    text = '"""OnBattery"""\n\n@fires("BatteryLow")\ndef helper(box):\n    ...\n\n@fires("UpsSilent")\ndef test_x(box):\n    ...\n'
    assert list(marks(text)) == ["UpsSilent"]


def test_a_mark_whose_alert_did_not_come_or_did_not_go_fails_its_test(box: Box) -> None:
    """``ups_on_battery`` is looked at while a claimed test runs; the claim of BatteryLow is empty."""
    gauge = box.metrics.gauge("ups_on_battery", "x")

    @fires("OnBattery")
    def comes_and_goes(box: Box) -> None:
        for value in (1, 0):
            gauge.set(value)
            box.looks(0)

    @fires("OnBattery", "BatteryLow")
    def claims_too_much(box: Box) -> None:
        comes_and_goes(box=box)

    @fires("OnBattery")
    def stays(box: Box) -> None:
        box.heard.clear()
        gauge.set(1)
        box.looks(0)

    comes_and_goes(box=box)
    for claimed in (claims_too_much, stays):
        with pytest.raises(AssertionError):
            claimed(box=box)
