"""Reading numbers from a query string, with the field named when they are none."""

from __future__ import annotations

from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.http import Request

MAX_INTEGER = (1 << 62) - 1


def whole_number(request: Request, name: str, default: int | None = None, limit: int = MAX_INTEGER) -> int:
    """A query parameter from 1 to ``limit``.

    Raises:
        ProntuarioError: ``invalid`` 422, also when it is missing and has no default.
    """
    text = request.query.get(name)
    if text is None and default is not None:
        return default
    return parse_number(name, text or "", limit)


def parse_number(name: str, text: str, limit: int = MAX_INTEGER) -> int:
    """Digits from 1 to ``limit``."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= limit):  # noqa: PLR2004  beyond 2^62
        raise INVALID(field=name, name=name, reason=f"1-{limit}")
    return int(text)
