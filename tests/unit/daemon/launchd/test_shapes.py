from __future__ import annotations

from typing import Any

import pytest

from appliance.daemon.launchd.shapes import Either, Fault, Keys, ListOf, Plain, Shape, TableOf

TEXT = Plain(str, "a string")
FLAG = Plain(bool, "a boolean")
NUMBER = Plain(int, "an integer", least=1)


@pytest.mark.parametrize(
    ("shape", "value"),
    [
        (TEXT, "a"),
        (FLAG, False),
        (NUMBER, 1),
        (ListOf(TEXT), ["a", "b"]),
        (TableOf(FLAG), {}),
        (TableOf(FLAG), {"x": True}),
        (Keys({"a": TEXT}), {"a": "x"}),
        (Keys({"a": TEXT}), {}),
        (Either((FLAG, Keys({"a": FLAG}))), {"a": True}),
        (Either((FLAG, Keys({"a": FLAG}))), True),
    ],
)
def test_what_fits_has_no_fault(shape: Shape, value: Any) -> None:
    assert list(shape.faults("key", value)) == []


@pytest.mark.parametrize(
    ("shape", "value", "key", "what"),
    [
        (TEXT, 1, "key", "must be a string, not int"),
        (NUMBER, True, "key", "must be an integer, not bool"),
        (NUMBER, 0, "key", "must be at least 1, not 0"),
        (FLAG, 1, "key", "must be a boolean, not int"),
        (Plain(str, "a string", choices=("x", "y")), "z", "key", "must be one of x, y, not 'z'"),
        (ListOf(TEXT), "a", "key", "must be an array of a string, not str"),
        (ListOf(TEXT), [], "key", "must not be empty"),
        (ListOf(TEXT), ["a", 2], "key[1]", "must be a string, not int"),
        (TableOf(FLAG), ["a"], "key", "must be a dictionary of a boolean, not list"),
        (TableOf(FLAG), {"x": "yes"}, "key.x", "must be a boolean, not str"),
        (Keys({"a": TEXT}), {"b": "x"}, "key.b", "unknown key"),
        (Keys({"a": TEXT}), {"a": 1}, "key.a", "must be a string, not int"),
        (Keys({"a": TEXT}), "a", "key", "must be a dictionary, not str"),
        (Either((FLAG, Keys({"a": FLAG}))), {"a": 1}, "key.a", "must be a boolean, not int"),
        (Either((FLAG, Keys({"a": FLAG}))), "a", "key", "must be a boolean or a dictionary, not str"),
    ],
)
def test_what_does_not_fit_is_told_with_its_key(shape: Shape, value: Any, key: str, what: str) -> None:
    assert list(shape.faults("key", value)) == [(key, what)]


def test_a_fault_reads_as_a_sentence() -> None:
    assert str(Fault("a.plist", "Label", "is missing")) == "a.plist: Label: is missing"
