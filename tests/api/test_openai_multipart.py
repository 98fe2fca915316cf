"""Forms as they arrive: whatever the network's blocks, fields and file are the same."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.api.openai_multipart import Form
from appliance.plugin_api.errors import ProntuarioError

TYPE = "multipart/form-data; boundary=fronteira"


def part(name: str, value: bytes, *, filename: str | None = None) -> bytes:
    extra = f'; filename="{filename}"' if filename else ""
    return f'--fronteira\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + value + b"\r\n"


def form_of(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--fronteira--\r\n"


async def read(body: bytes, size: int = 1000) -> tuple[Form, bytes]:
    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    form = Form(TYPE, blocks(), file_field="file")
    return form, b"".join([block async for block in form.file()])


@settings(max_examples=40, deadline=None)
@given(
    st.binary(max_size=600).filter(lambda data: b"--fronteira" not in data), st.text(max_size=40), st.integers(1, 300)
)
async def test_blocks_of_any_size_give_the_same_form(file: bytes, prompt: str, size: int) -> None:
    body = form_of(part("prompt", prompt.encode()), part("file", file, filename="a.wav"), part("language", b"pt"))
    form, got = await read(body, size)
    assert got == file
    assert form.value("prompt") == prompt
    assert form.value("language") == "pt"
    assert form.has_file


async def test_repeated_fields_keep_every_value_with_and_without_brackets() -> None:
    form, _ = await read(form_of(part("t", b"word"), part("t[]", b"segment"), part("t[]", b"x")))
    assert form.values("t") == ["word", "segment", "x"]
    assert form.value("t") == "word"
    assert form.value("absent", "default") == "default"
    assert not form.has_file


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (form_of(*(part(f"f{n}", b"x") for n in range(33))), "parts"),
        (form_of(part("prompt", b"x" * 70_000)), "longer"),
        (form_of(part("file", b"a", filename="a"), part("file", b"b", filename="b")), "one file"),
        (form_of(part("prompt", b"\xff\xfe")), "UTF-8"),
        (b"--fronteira\r\nX: y\r\n\r\nvalue\r\n--fronteira--\r\n", "no name"),
        (part("file", b"cut", filename="a"), "middle"),
        (b"", "middle"),
    ],
)
async def test_forms_out_of_bounds_are_refused(body: bytes, reason: str) -> None:
    with pytest.raises(ProntuarioError, match=reason) as caught:
        await read(body)
    assert caught.value.kind.code == "form.invalid"


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", "multipart/mixed; boundary=x"])
def test_other_content_types_are_refused(kind: str) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        for block in ():
            yield block

    with pytest.raises(ProntuarioError) as caught:
        Form(kind, nothing(), file_field="file")
    assert caught.value.field == "content-type"
