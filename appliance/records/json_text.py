"""Resources as JSON text, decimals kept to the digit (FHIR R4 §2.24.0.1: 1.50 is not 1.5)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

_FIRST: Final = ("resourceType", "id", "meta")


def _number(text: str) -> float | Decimal:
    number = float(text)
    if repr(number) == text:
        return number
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError("a number out of range") from error


_decoder: Final = msgspec.json.Decoder(float_hook=_number)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def decode(text: bytes | str) -> Any:
    """The JSON value. A number that a float cannot give back to the digit becomes a ``Decimal``.

    Raises:
        msgspec.DecodeError: not JSON (msgspec bounds the depth by the interpreter's recursion limit: RecursionError).
    """
    return _decoder.decode(text)


def encode(value: Any) -> bytes:
    """Compact UTF-8 JSON of dicts, lists, numbers, ``Decimal`` and ``msgspec.Raw``."""
    return _encoder.encode(value)


def encode_resource(resource: Mapping[str, Any]) -> str:
    """A resource's JSON text: ``resourceType``, ``id`` and ``meta`` first, the rest as it came."""
    ordered = {name: resource[name] for name in _FIRST if name in resource}
    ordered.update(resource)
    return _encoder.encode(ordered).decode("utf-8")
