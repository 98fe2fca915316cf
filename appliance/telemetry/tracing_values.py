"""What a span may say: a fixed list of attributes, and of text only single words of our own code.

Traces leave the machine, so the rule is stricter than for logs: no identifier of a person, a patient, a device or a
resource has a key here, and a text that is no plain word (a space, an accent, a long run of digits, a UUID) is blanked.
Names follow OpenTelemetry's semantic conventions where those have one; ours begin with ``prontuario.``.
"""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

Value = bool | int | float | str
Key = Literal[
    "error.type",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "prontuario.attempt",
    "prontuario.commit_ms",
    "prontuario.engine",
    "prontuario.epoch",
    "prontuario.first_output_ms",
    "prontuario.group",
    "prontuario.job",
    "prontuario.lane",
    "prontuario.outcome",
    "prontuario.queue_ms",
    "prontuario.request",
    "prontuario.running",
    "prontuario.step",
    "prontuario.where",
]
KEYS: Final[frozenset[str]] = frozenset(get_args(Key))
BLANK: Final = "[redacted]"
_WORD: Final = re.compile(r"[A-Za-z0-9_./{}<>:$*()+-]{1,120}", re.ASCII)
_IDENTIFIER: Final = re.compile(r"\d{5,}|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}|[0-9a-fA-F]{16,}")
"""A run of digits (record number, CPF), a UUID, a digest: no word of ours looks like that."""


def safe(value: Value) -> Value:
    """``value`` if it is a number or a plain word, else ``[redacted]``."""
    if not isinstance(value, str):
        return value
    return value if _WORD.fullmatch(value) and not _IDENTIFIER.search(value) else BLANK
