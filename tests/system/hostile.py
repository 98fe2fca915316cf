"""Requests that no honest client sends, from one seed: each must be refused with a code, and hurt nobody.

``chat`` and ``speech`` make bodies by kind; every kind draws its own sizes and values, so that no two rounds are alike.
"""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import soundfile

CHAT: Final = "/v1/chat/completions"
SPEECH: Final = "/v1/audio/transcriptions"
JSON: Final = "application/json"
ASK: Final[list[Any]] = [{"role": "user", "content": "Tem febre?"}]
RATE_HZ: Final = 16_000
BOUNDARY: Final = "prontuario-hostile"
FORM: Final = f"multipart/form-data; boundary={BOUNDARY}"
TWO_HOURS_S: Final = 7200


@dataclass(frozen=True)
class Hostile:
    """One request. ``field`` must be named in the refusal, where the client could have known better."""

    kind: str
    path: str
    content_type: str
    body: bytes
    field: str = ""


def requests(seed: int, count: int) -> list[Hostile]:
    """``count`` requests; every kind comes before any comes again."""
    rng = random.Random(seed)
    made: list[Hostile] = []
    while len(made) < count:
        kinds = [*(partial_of(chat, name) for name in CHAT_KINDS), *(partial_of(speech, name) for name in SPEECH_KINDS)]
        rng.shuffle(kinds)
        made += [make(rng) for make in kinds]
    return made[:count]


def partial_of(make: Callable[[str, random.Random], Hostile], name: str) -> Callable[[random.Random], Hostile]:
    return lambda rng: make(name, rng)


# -- conversations ---------------------------------------------------------------------------------------------------------
def recursive_schema(rng: random.Random) -> dict[str, Any]:
    """A tree that holds trees, through a chain of definitions."""
    length = rng.randint(1, 9)
    chain = {
        f"d{n}": {"type": "object", "properties": {"x": {"$ref": f"#/$defs/d{(n + 1) % length}"}}}
        for n in range(length)
    }
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": chain}


def deep_schema(rng: random.Random) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(rng.randint(40, 400)):
        schema = {"type": "array", "items": schema}
    return schema


def with_schema(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


def huge_number(rng: random.Random) -> int:
    return rng.choice((-1, 1)) * rng.randint(1 << 63, 1 << 200)


def weird_text(rng: random.Random, length: int) -> str:
    return "".join(rng.choice("a\u0000\u202e\U0001f489é ﷽\n") for _ in range(length))


def asking(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def raw(field: bytes, value: bytes) -> bytes:
    """A body with a value that no JSON encoder writes."""
    return b'{"messages":[{"role":"user","content":"x"}],"%b":%b}' % (field, value)


CHAT_FIELDS: Final[dict[str, tuple[str, Callable[[random.Random], dict[str, Any]]]]] = {
    "negative max_tokens": ("max_tokens", lambda rng: {"max_tokens": -rng.randint(1, 1 << 40)}),
    "no tokens": ("max_tokens", lambda _: {"max_tokens": 0}),
    "too many tokens to count": ("max_tokens", lambda rng: {"max_tokens": abs(huge_number(rng))}),
    "half a token": ("max_tokens", lambda rng: {"max_tokens": rng.random() + 0.1}),
    "tokens as text": ("max_completion_tokens", lambda rng: {"max_completion_tokens": str(rng.randint(1, 99))}),
    "cold": ("temperature", lambda rng: {"temperature": -rng.random() - 0.01}),
    "hot": ("temperature", lambda rng: {"temperature": 2.01 + rng.random() * 1e300}),
    "temperature as text": ("temperature", lambda rng: {"temperature": rng.choice(["NaN", "hot", ""])}),
    "top_p of nothing": ("top_p", lambda rng: {"top_p": -rng.random()}),
    "top_p of more than all": ("top_p", lambda rng: {"top_p": 1.001 + rng.random()}),
    "a seed beyond 64 bits": ("seed", lambda rng: {"seed": huge_number(rng)}),
    "several answers": ("n", lambda rng: {"n": rng.choice([0, -1, 2, 1 << 31])}),
    "too many stops": ("stop", lambda rng: {"stop": [f"fim {n}" for n in range(rng.randint(5, 99))]}),
    "1e5 stops": ("stop", lambda _: {"stop": [str(n) for n in range(100_000)]}),
    "an endless stop": ("stop", lambda rng: {"stop": "x" * rng.randint(257, 1 << 20)}),
    "an empty stop": ("stop", lambda _: {"stop": ["fim", ""]}),
    "stops that are numbers": ("stop", lambda _: {"stop": [1, 2]}),
    "many logprobs": ("top_logprobs", lambda rng: {"logprobs": True, "top_logprobs": rng.randint(21, 1 << 30)}),
    "no conversation": ("messages", lambda _: {"messages": []}),
    "an endless conversation": ("messages", lambda rng: {"messages": ASK * rng.randint(1001, 3000)}),
    "an empty prompt": ("messages", lambda rng: {"messages": [{"role": "user", "content": rng.choice(["", " ", "\n\t"])}]}),
    "null prompts": ("messages", lambda rng: {"messages": [{"role": "user", "content": None}] * rng.randint(1, 9)}),
    "unknown roles": ("role", lambda rng: {"messages": [{"role": weird_text(rng, 9), "content": "x"}]}),
    "a message that is a number": ("messages", lambda rng: {"messages": [rng.random()]}),
    "images": ("content", lambda _: {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}),
    "a prompt beyond the model": ("messages", lambda rng: asking("dor de cabeça " * rng.randint(20_000, 40_000))),
    "an unknown model": ("model", lambda rng: {"model": weird_text(rng, rng.randint(1, 40))}),
    "a model with an endless name": ("model", lambda rng: {"model": "x" * rng.randint(1 << 12, 1 << 18)}),
    "a stream of nothing": ("stream", lambda _: {"stream": "yes"}),
    "a recursive schema": ("response_format", lambda rng: with_schema(recursive_schema(rng))),
    "a deep schema": ("response_format", lambda rng: with_schema(deep_schema(rng))),
    "a remote schema": ("response_format", lambda _: with_schema({"$ref": "https://example.org/schema.json"})),
    "a dangling schema": ("response_format", lambda rng: with_schema({"$ref": f"#/$defs/{rng.random()}"})),
    "a large schema": ("response_format", lambda rng: with_schema({"enum": [f"v{n}" for n in range(rng.randint(20_000, 40_000))]})),
    "a schema of an unknown type": ("response_format", lambda _: with_schema({"type": "nonsense"})),
    "a schema that is a list": ("response_format", lambda _: with_schema([1, 2])),
    "no schema": ("response_format", lambda _: {"response_format": {"type": "json_schema"}}),
    "an unknown format": ("response_format", lambda rng: {"response_format": {"type": weird_text(rng, 5)}}),
}  # fmt: skip

CHAT_BODIES: Final[dict[str, Callable[[random.Random], bytes]]] = {
    "nothing": lambda _: b"",
    "no JSON": lambda rng: rng.randbytes(rng.randint(1, 4096)),
    "JSON cut short": lambda rng: json.dumps({"messages": ASK}).encode()[: rng.randint(1, 40)],
    "bad UTF-8": lambda rng: b'{"messages":[{"role":"user","content":"' + bytes([rng.randint(0x80, 0xBF)]) * 9 + b'"}]}',
    "half a surrogate": lambda _: b'{"messages":[{"role":"user","content":"\\ud83d"}]}',
    "NaN": lambda rng: raw(b"temperature", rng.choice([b"NaN", b"Infinity", b"-Infinity"])),
    "a number too large": lambda rng: raw(b"temperature", b"1e%d" % rng.randint(400, 9999)),
    "a number of 1e5 digits": lambda _: raw(b"seed", b"9" * 100_000),
    "brackets without end": lambda rng: b"[" * rng.randint(10_000, 200_000),
    "nested beyond any use": lambda rng: b'{"messages":' * rng.randint(10_000, 50_000),
    "a list": lambda _: b"[]",
    "null": lambda _: b"null",
    "too large": lambda rng: b'{"messages":[{"role":"user","content":"' + b"x" * ((16 << 20) + rng.randint(1, 1 << 10)) + b'"}]}',
}  # fmt: skip
CHAT_KINDS: Final = (*CHAT_FIELDS, *CHAT_BODIES)


def chat(name: str, rng: random.Random) -> Hostile:
    if name in CHAT_BODIES:
        return Hostile(name, CHAT, JSON, CHAT_BODIES[name](rng))
    field, change = CHAT_FIELDS[name]
    return Hostile(name, CHAT, JSON, json.dumps({"messages": ASK} | change(rng)).encode(), field)


# -- sound -----------------------------------------------------------------------------------------------------------------
def sound(seconds: float, kind: str = "WAV", rate: int = RATE_HZ) -> bytes:
    out = io.BytesIO()
    samples = np.random.default_rng(1).standard_normal(int(seconds * rate)) * 0.01
    soundfile.write(out, samples.astype(np.float32), rate, format=kind, subtype=None if kind != "WAV" else "PCM_16")
    return out.getvalue()


def lying_wav(declared: int, samples: bytes, *, channels: int = 1, rate: int = RATE_HZ) -> bytes:
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", (declared + 36) & 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, channels,
        rate, (rate * channels * 2) & 0xFFFFFFFF, (channels * 2) & 0xFFFF, 16,
    )  # fmt: skip
    return head + struct.pack("<4sI", b"data", declared) + samples


def long_flac(seconds: int) -> bytes:
    """A short FLAC whose STREAMINFO (RFC 9639, section 8.2) promises ``seconds``."""
    data = bytearray(sound(0.5, "FLAC"))
    samples = seconds * RATE_HZ
    data[21] = (data[21] & 0xF0) | samples >> 32
    data[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(data)


def damaged(rng: random.Random, kind: str) -> bytes:
    """Its frames overwritten with noise; the head stays."""
    data = sound(0.5, kind)
    keep = rng.randint(8, 60)
    return data[:keep] + rng.randbytes(len(data) - keep)


def form(fields: list[tuple[str, bytes]], file: bytes | None, *, name: bytes = b"file") -> bytes:
    parts = [
        b'--%b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (BOUNDARY.encode(), field.encode(), value)
        for field, value in fields
    ]
    if file is not None:
        head = b'--%b\r\ncontent-disposition: form-data; name="%b"; filename="a.wav"\r\n\r\n' % (
            BOUNDARY.encode(),
            name,
        )
        parts.append(head + file + b"\r\n")
    return b"".join(parts) + b"--%b--\r\n" % BOUNDARY.encode()


SPEECH_FILES: Final[dict[str, Callable[[random.Random], bytes]]] = {
    "0 s of sound": lambda _: sound(0),
    "no byte": lambda _: b"",
    "noise as a file": lambda rng: rng.randbytes(rng.randint(1, 1 << 16)),
    "a page of HTML": lambda rng: b"<html>" + b"x" * rng.randint(0, 4096),
    "a header alone": lambda rng: sound(1)[: rng.randint(1, 43)],
    "a WAV without samples that promises many": lambda rng: lying_wav(rng.randint(1, 1 << 30), b""),
    "a WAV cut short": lambda rng: sound(1)[: rng.randint(100, 30_000)],
    "a WAV of no channel": lambda _: lying_wav(3200, bytes(3200), channels=0),
    "a WAV of 60,000 channels": lambda _: lying_wav(3200, bytes(3200), channels=60_000),
    "a WAV of 1 Hz": lambda _: lying_wav(3200, bytes(3200), rate=1),
    "a WAV of 4 GHz": lambda _: lying_wav(3200, bytes(3200), rate=4_000_000_000),
    "more than 2 h by its header": lambda rng: long_flac(TWO_HOURS_S + rng.randint(1, 1 << 16)),
    "damaged FLAC": lambda rng: damaged(rng, "FLAC"),
    "damaged Ogg": lambda rng: damaged(rng, "OGG"),
    "a playlist in disguise": lambda _: b"#EXTM3U\nfile:///etc/passwd\n",
}  # fmt: skip

SPEECH_FIELDS: Final[dict[str, tuple[str, Callable[[random.Random], bytes]]]] = {
    "speech: temperature": ("temperature", lambda rng: rng.choice([b"NaN", b"inf", b"-1", b"1.1", b"hot", b"1e999"])),
    "speech: response_format": ("response_format", lambda rng: weird_text(rng, 8).encode()),
    "speech: timestamp_granularities": ("timestamp_granularities", lambda _: b"letter"),
    "speech: prompt": ("prompt", lambda rng: b"x" * rng.randint(4001, 60_000)),
    "speech: endless prompt": ("prompt", lambda rng: b"x" * rng.randint(70_000, 200_000)),
    "speech: model": ("model", lambda rng: weird_text(rng, 12).encode()),
    "speech: bad UTF-8": ("prompt", lambda rng: bytes([rng.randint(0x80, 0xBF)]) * 9),
    "speech: language": ("language", lambda rng: rng.choice([b"klingon", b"x" * 5000, b"pt; DROP TABLE"])),
}  # fmt: skip
FORMS: Final[dict[str, Callable[[random.Random], bytes]]] = {
    "no file": lambda _: form([("model", b"")], None),
    "a file by another name": lambda _: form([], sound(0.1), name=b"audio"),
    "two files": lambda _: form([], sound(0.1))[: -len(BOUNDARY) - 6] + form([], sound(0.1)),
    "hundreds of parts": lambda rng: form([(f"f{n}", b"x") for n in range(rng.randint(40, 400))], sound(0.1)),
    "a form that never ends": lambda _: form([], sound(0.1))[:-30],
    "no form": lambda rng: rng.randbytes(rng.randint(0, 4096)),
    "a part without a name": lambda _: b"--%b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--%b--\r\n" % ((BOUNDARY.encode(),) * 2),
}  # fmt: skip
SPEECH_KINDS: Final = (*SPEECH_FILES, *SPEECH_FIELDS, *FORMS, "JSON as a form", "a form without a boundary")


def speech(name: str, rng: random.Random) -> Hostile:
    if name in SPEECH_FILES:
        return Hostile(name, SPEECH, FORM, form([], SPEECH_FILES[name](rng)))
    if name in SPEECH_FIELDS:
        field, make = SPEECH_FIELDS[name]
        return Hostile(name, SPEECH, FORM, form([(field, make(rng))], sound(0.1)), field)
    if name in FORMS:
        return Hostile(name, SPEECH, FORM, FORMS[name](rng))
    if name == "JSON as a form":
        return Hostile(name, SPEECH, JSON, b'{"file": "x"}')
    return Hostile(name, SPEECH, "multipart/form-data", form([], sound(0.1)))


def kinds() -> Iterator[str]:
    yield from CHAT_KINDS
    yield from SPEECH_KINDS
