"""The one byte form of a JSON value: RFC 8785, JSON Canonicalization Scheme."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any, Final

import msgspec

_MAX_SAFE_INTEGER: Final = (1 << 53) - 1
_MAX_DEPTH: Final = 100
_REPR: Final = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?")
_PLAIN_BELOW: Final = 21
_FRACTION_ABOVE: Final = -6


def canonical(value: Any) -> bytes:
    """UTF-8 bytes of a JSON value (or msgspec Struct), equal for equal values whatever their order or spelling.

    A ``Decimal`` counts as the double nearest to it, as RFC 8785 §3.2.2.3 demands of every number.

    Raises:
        ValueError: no JSON value: NaN, an infinity, an integer that no double holds, a lone surrogate, nesting beyond 100.
    """
    pieces: list[str] = []
    try:
        _write(value, pieces, 0)
        return "".join(pieces).encode()
    except UnicodeEncodeError as error:
        raise ValueError("a string holds a lone surrogate") from error


def _write(value: Any, out: list[str], depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("the value is nested too deeply")
    if isinstance(value, str):
        out.append(json.dumps(value, ensure_ascii=False))
    elif value is None or isinstance(value, bool):
        out.append(json.dumps(value))
    elif isinstance(value, int | float | Decimal):
        out.append(_number(value))
    elif isinstance(value, dict):
        _write_object(value, out, depth)
    elif isinstance(value, list | tuple):
        out.append("[")
        for position, item in enumerate(value):
            if position:
                out.append(",")
            _write(item, out, depth + 1)
        out.append("]")
    elif isinstance(value, msgspec.Struct):
        _write(msgspec.to_builtins(value, builtin_types=(Decimal, bytes)), out, depth)
    else:
        raise ValueError(f"{type(value).__name__} is no JSON value")


def _write_object(value: dict[Any, Any], out: list[str], depth: int) -> None:
    if not all(isinstance(key, str) for key in value):
        raise ValueError("an object's key is not a string")
    out.append("{")
    # RFC 8785 §3.2.3: order by UTF-16 code units, which differs from Python's order beyond the basic plane.
    for position, key in enumerate(sorted(value, key=lambda text: text.encode("utf-16-be"))):
        out.append(("," if position else "") + json.dumps(key, ensure_ascii=False) + ":")
        _write(value[key], out, depth + 1)
    out.append("}")


def _number(value: float | Decimal) -> str:
    if isinstance(value, int) and abs(value) <= _MAX_SAFE_INTEGER:
        return str(value)
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError("a number is beyond what a double holds") from error
    if not math.isfinite(number):
        raise ValueError("NaN and infinities are no JSON numbers")
    text = "0" if number == 0 else _ecmascript(number)
    if isinstance(value, int) and number != value and text != str(value):
        raise ValueError("an integer is beyond 2^53 and would change in other software")
    return text


def _ecmascript(number: float) -> str:
    """ECMA-262 Number::toString. Python's repr finds the same shortest digits and only lays them out differently."""
    match = _REPR.fullmatch(repr(number))
    if match is None:  # pragma: no cover  repr of a finite float always has this form
        raise ValueError("unreadable float")
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", int(match[4] or 0)
    point = len(whole) + exponent
    digits = whole + fraction
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    if len(digits) <= point <= _PLAIN_BELOW:
        return sign + digits.ljust(point, "0")
    if 0 < point <= _PLAIN_BELOW:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if _FRACTION_ABOVE < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{point - 1:+d}"
