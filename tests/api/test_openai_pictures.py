"""Conversations about pictures on a real API: what is refused, what reaches the describer, and the real one with tiny weights."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from appliance.api.openai_compat import OPENAI_PREFIX, render_openai_error, routes
from appliance.api.openai_pictures import MOST_PICTURES
from appliance.care.ai_switches import Function, turn
from appliance.plugin_api.capabilities import ChatDelta, ModelInfo
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import INTERNAL
from appliance.plugin_api.images import PicturePart, PictureTurn
from appliance.plugin_api.testing import InProcessEngine
from appliance.plugin_host.choice import Choice
from plugins.medical_images.describing import PictureDescriber
from plugins.medical_images.engine_describer import DescriberEngine
from plugins.medical_images.model_spec import describer_spec
from tests.api.care_harness import LateStore
from tests.api.harness import api_under_test
from tests.checkpoints.gemma_eyes import TOKENS, make_tiny_gemma_with_eyes
from tests.checkpoints.siglip_samples import pictures
from tests.fakes.abilities import FixedAbilities, FixedChat, FixedSpeech
from tests.plugins.medical_images.picture_files import corner
from tests.plugins.medical_images.reading_child import in_process

COMPLETIONS = "/v1/chat/completions"


def data_url(picture: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(picture).decode()}"


def png(picture: Image.Image | None = None) -> bytes:
    file = io.BytesIO()
    (picture or corner()).save(file, "PNG")
    return file.getvalue()


def shown(*urls: str, text: str = "O que se vê?") -> list[Any]:
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "high"}} for url in urls]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


@dataclass
class FixedDescriber:
    """Remembers what it was asked, with the pictures' bytes; says the same always, or fails after it."""

    error: Exception | None = None
    asked: list[tuple[list[PictureTurn], int, CallOptions]] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)

    def model(self) -> ModelInfo:
        return ModelInfo("eyes", "ef" * 32, "image_describer", demonstration=False, ready=True)

    async def chat(
        self, turns: Sequence[PictureTurn], max_tokens: int, call: CallOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        self.asked.append((list(turns), max_tokens, call))
        files = [part.image for turn in turns for part in turn.parts if isinstance(part, PicturePart)]
        self.paths += files
        self.seen += [path.read_bytes() for path in files]
        yield ChatDelta("Um bloco ")
        if self.error is not None:
            raise self.error
        yield ChatDelta("vermelho.")
        yield ChatDelta("", "stop", 300, 4)


class SeeingAbilities(FixedAbilities):
    """With a describer, if there is one."""

    def __init__(self, describer: Any = None) -> None:
        super().__init__(FixedChat([ChatDelta("Nega febre."), ChatDelta("", "stop", 9, 4)]), FixedSpeech([]))
        self.describer = describer

    def image_describer(self, request: Any = None) -> Choice[Any]:
        return Choice(self.describer, "medical_images", "image_describer", degraded=False)

    def models(self) -> list[ModelInfo]:
        return super().models() + ([self.describer.model()] if self.describer is not None else [])


@asynccontextmanager
async def door(folder: Path, describer: Any = None) -> AsyncIterator[tuple[httpx.AsyncClient, openai.AsyncOpenAI]]:
    made = routes(SeeingAbilities(describer), spool=folder / "spool", now=lambda: 1_800_000_000.5)
    async with api_under_test(folder, made, renderers={OPENAI_PREFIX: render_openai_error}) as api:
        phone = await api.phone("physician")
        async with api.client(phone) as http:
            yield (
                http,
                openai.AsyncOpenAI(api_key=phone.token, base_url=f"{api.url}/v1", http_client=http, max_retries=0),
            )


def left_behind(folder: Path) -> list[Path]:
    return [path for path in (folder / "spool").glob("*") if path.is_file()]


async def test_without_a_describer_pictures_are_refused_with_the_next_step(tmp_path: Path) -> None:
    async with door(tmp_path) as (http, _):
        for url in (data_url(png()), "https://example.org/x.png"):
            for stream in (False, True):
                reply = await http.post(COMPLETIONS, json={"messages": shown(url), "stream": stream})
                error = reply.json()["error"]
                assert reply.status_code == 422
                assert (error["code"], error["param"]) == ("chat.no_eyes", "messages[0].content")
                assert "image_describer" in error["message"]
                assert "/api/images" in error["message"]
        plain = await http.post(COMPLETIONS, json={"messages": [{"role": "user", "content": "Tem febre?"}]})
        assert plain.json()["choices"][0]["message"]["content"] == "Nega febre."


ELSEWHERE = [
    "https://example.org/x.png",
    "http://10.0.0.7/x.png",
    "file:///etc/passwd",
    "ftp://x/y",
    "/api/images/1",
    "x.png",
    "",
]


async def test_no_picture_is_ever_fetched(tmp_path: Path) -> None:
    describer = FixedDescriber()
    async with door(tmp_path, describer) as (http, _):
        for url in ELSEWHERE:
            reply = await http.post(COMPLETIONS, json={"messages": shown(url)}, headers={"accept-language": "en"})
            error = reply.json()["error"]
            assert (reply.status_code, error["code"]) == (422, "chat.image_remote"), url
            assert error["param"] == "messages[0].content[0]"
            assert "nothing leaves the building" in error["message"]
    assert describer.asked == []


BAD: dict[str, dict[str, Any]] = {
    "not base64": {"messages": shown("data:image/png;base64,@@@@")},
    "base64, and": {"messages": shown("data:image/png,abc")},
    "is empty": {"messages": shown("data:image/png;base64,")},
    "up to 4": {"messages": shown(*[data_url(b"x")] * (MOST_PICTURES + 1))},
    "text and image_url": {
        "messages": [*shown(data_url(b"x")), {"role": "user", "content": [{"type": "input_audio"}]}]
    },
    "temperature": {"messages": shown(data_url(b"x")), "temperature": 0.7},
    "stop": {"messages": shown(data_url(b"x")), "stop": "fim"},
    "response_format": {"messages": shown(data_url(b"x")), "response_format": {"type": "json_object"}},
    "logprobs": {"messages": shown(data_url(b"x")), "logprobs": True},
}


async def test_what_is_wrong_with_a_request_is_named(tmp_path: Path) -> None:
    describer = FixedDescriber()
    async with door(tmp_path, describer) as (http, _):
        for said, asked in BAD.items():
            reply = await http.post(COMPLETIONS, json=asked, headers={"accept-language": "en"})
            error = reply.json()["error"]
            assert reply.status_code == 422, said
            assert said in f"{error['param']} {error['message']}"
    assert describer.asked == []
    assert left_behind(tmp_path) == []


async def test_pictures_and_words_reach_the_describer_in_their_order(tmp_path: Path) -> None:
    describer = FixedDescriber()
    first, second = png(), png(corner(8, 8))
    messages = [
        {"role": "developer", "content": "Seja breve."},
        *shown(data_url(first), data_url(second, "application/dicom"), text="Compare."),
    ]
    async with door(tmp_path, describer) as (_, ai):
        answer = await ai.chat.completions.create(model="eyes", messages=messages, max_tokens=50, seed=7)
    assert answer.choices[0].message.content == "Um bloco vermelho."
    assert (answer.model, answer.choices[0].finish_reason) == ("eyes", "stop")
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 300
    assert answer.model_extra is not None
    assert "diagnóstico" in answer.model_extra["notice"]
    ((turns, most, call),) = describer.asked
    assert [(turn.role, [type(part).__name__ for part in turn.parts]) for turn in turns] == [
        ("system", ["str"]),
        ("user", ["PicturePart", "PicturePart", "str"]),
    ]
    assert (most, call.user != "", call.whole) == (50, True, True)
    assert describer.seen == [first, second]
    assert not any(path.exists() for path in describer.paths)
    assert left_behind(tmp_path) == []


async def test_an_answer_about_a_picture_is_streamed_and_a_failure_in_it_leaves_nothing(tmp_path: Path) -> None:
    describer = FixedDescriber()
    ask: dict[str, Any] = {"model": "default", "messages": shown(data_url(png())), "stream": True}
    async with door(tmp_path, describer) as (http, ai):
        chunks = [chunk async for chunk in await ai.chat.completions.create(**ask)]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Um bloco vermelho."
        describer.error = INTERNAL()
        broken = await http.post(COMPLETIONS, json=ask)
        assert '"code":"internal"' in broken.text
        assert "[DONE]" not in broken.text
    assert left_behind(tmp_path) == []


async def test_another_models_name_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path, FixedDescriber()) as (http, _):
        reply = await http.post(COMPLETIONS, json={"messages": shown(data_url(png())), "model": "notes"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("function", ["images", "chat"])
async def test_where_images_or_chat_are_switched_off_nobody_looks(tmp_path: Path, function: Function) -> None:
    describer, store = FixedDescriber(), LateStore()
    made = routes(SeeingAbilities(describer), spool=tmp_path / "spool", store=store)
    async with api_under_test(tmp_path, made, renderers={OPENAI_PREFIX: render_openai_error}) as api:
        store.real = api.store
        phone = await api.phone("physician")
        async with api.client(phone) as http:
            ask: dict[str, Any] = {"messages": shown(data_url(png()))}
            assert (await http.post(COMPLETIONS, json=ask)).status_code == 200
            await api.store.write(
                lambda tx: turn(
                    tx, "person", phone.user_id, function, on=False, who=phone.user_id, now="2026-11-21T12:00:00Z"
                )
            )
            refused = await http.post(COMPLETIONS, json=ask)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ai.switched_off")
    assert len(describer.asked) == 1


async def test_the_real_describer_sees_the_picture_and_the_real_reader_refuses_what_is_none(tmp_path: Path) -> None:
    folder = make_tiny_gemma_with_eyes(tmp_path / "tiny")
    spec = describer_spec("image_describer", model=folder, context_tokens=512, precision="auto")
    reader, model = in_process(), InProcessEngine(DescriberEngine(), spec.config)
    describer = PictureDescriber(reader, model, folder=folder)
    try:
        async with door(tmp_path, describer) as (http, ai):
            ask: dict[str, Any] = {"model": "tiny", "max_tokens": 8}
            first, second = (data_url(png(Image.fromarray(one))) for one in pictures()[:2])
            answers = [
                await ai.chat.completions.create(messages=shown(one, text="respira paciente"), **ask)
                for one in (first, second, first)
            ]
            said = [answer.choices[0].message.content for answer in answers]
            torn = await http.post(COMPLETIONS, json={"messages": shown(data_url(png()[:60]))})
            none = await http.post(COMPLETIONS, json={"messages": shown(data_url(b"%PDF-1.7 no picture"))})
    finally:
        reader.close()
        model.close()
    assert said[0] == said[2] != said[1]
    assert answers[0].usage is not None
    assert answers[0].usage.prompt_tokens > TOKENS
    codes = [reply.json()["error"]["code"] for reply in (torn, none)]
    assert codes == ["image.damaged", "image.unsupported"]
    assert (torn.status_code, none.status_code) == (422, 415)
    assert left_behind(tmp_path) == []
