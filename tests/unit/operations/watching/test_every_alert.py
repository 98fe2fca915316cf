"""No alert of the box without a test in this folder in which something is broken for real and the feed is then expected to say so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from appliance.operations.watching.rules import RULES

FIRED_IN = ("test_broken_inputs.py", "test_real_causes.py", "test_slow_troubles.py")
"""Not the examples: those are series that somebody wrote down."""


def expected_in(path: Path) -> Iterator[str]:
    """Names that a test compares the feed with: in ``expect(…)``, or in a literal set, list or comparison about ``on()``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "expect":
            yield from texts(node)
        if isinstance(node, ast.Assert):
            yield from texts(node)
        if isinstance(node, ast.For):
            yield from texts(node.iter)


def texts(node: ast.AST) -> list[str]:
    return [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def test_every_alert_of_the_box_is_fired_by_something_broken() -> None:
    fired = {name for file in FIRED_IN for name in expected_in(Path(__file__).with_name(file))}
    assert {rule.name for rule in RULES if rule.on_box} - fired == set()


def test_what_only_stands_in_a_comment_or_a_name_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    file.write_text(
        '"""OnBattery"""\nNAME = "BatteryLow"\n\ndef test_x(box):\n    box.expect("UpsSilent", within=70)\n'
    )
    assert list(expected_in(file)) == ["UpsSilent"]
