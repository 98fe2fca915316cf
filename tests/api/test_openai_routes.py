"""The OpenAI-compatible routes on a real API, asked by the official client and by hostile ones. The models are scripted."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soundfile

from appliance.api.openai_compat import OPENAI_PREFIX, render_openai_error, routes
from appliance.engines.errors import BUSY
from appliance.plugin_api.capabilities import ChatDelta, Segment, TokenLogprob, Word
from tests.api.harness import Phone, api_under_test
from tests.fakes.abilities import FixedAbilities, FixedChat, FixedSpeech

ASK: list[Any] = [{"role": "user", "content": "Tem febre?"}]
DELTAS = [ChatDelta("Nega "), ChatDelta("febre."), ChatDelta("", "stop", 9, 4)]
SEGMENTS = [
    Segment(0.5, 2.0, "Nega febre.", 0.9, (Word("Nega", 0.5, 1.0, 0.9), Word("febre.", 1.0, 2.0, 0.8))),
    Segment(62.25, 3723.5, "Retorno em 7 dias.", 0.5),
]


@dataclass
class Door:
    """The API with its scripted models, and a physician's client."""

    abilities: FixedAbilities
    http: httpx.AsyncClient
    ai: openai.AsyncOpenAI
    nurse_free: httpx.AsyncClient
    spool: Path


@asynccontextmanager
async def door(
    folder: Path, *, chat: FixedChat | None = None, degraded: bool = False, max_audio_bytes: int = 1 << 20
) -> AsyncIterator[Door]:
    abilities = FixedAbilities(chat or FixedChat(DELTAS), FixedSpeech(SEGMENTS), degraded=degraded)
    spool = folder / "spool"
    made = routes(abilities, spool=spool, max_audio_bytes=max_audio_bytes, now=lambda: 1_800_000_000.5)
    renderers = {OPENAI_PREFIX: render_openai_error}
    async with api_under_test(folder, made, renderers=renderers) as api:
        phone: Phone = await api.phone("physician")
        auditor = await api.phone("auditor")
        async with api.client(phone) as http, api.client(auditor) as powerless:
            client = openai.AsyncOpenAI(api_key=phone.token, base_url=f"{api.url}/v1", http_client=http, max_retries=0)
            yield Door(abilities, http, client, powerless, spool)


def wav(seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(int(16_000 * seconds), np.int16), 16_000, format="WAV")
    return file.getvalue()


# -- chat ------------------------------------------------------------------------------------------------------------------
async def test_an_answer_has_openais_shape_and_says_that_it_is_a_demonstration(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        answer = await at.ai.chat.completions.create(model="notes", messages=ASK)
        assert answer.choices[0].message.content == "Nega febre."
        assert (answer.choices[0].finish_reason, answer.choices[0].index) == ("stop", 0)
        assert answer.usage is not None
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (9, 4, 13)
        assert (answer.object, answer.model, answer.created) == ("chat.completion", "notes", 1_800_000_000)
        assert answer.model_extra is not None
        assert answer.model_extra["demonstration_model"] is True
        assert "degraded" not in answer.model_extra


async def test_a_stream_is_framed_as_openai_does(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        reply = await at.http.post("/v1/chat/completions", json={"messages": ASK, "stream": True})
        assert reply.headers["content-type"].startswith("text/event-stream")
        frames = [frame for frame in reply.text.split("\n\n") if frame.startswith("data: ")]
        assert frames[-1] == "data: [DONE]"
        chunks = [json.loads(frame.removeprefix("data: ")) for frame in frames[:-1]]
        assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "Nega "}
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert len({chunk["id"] for chunk in chunks}) == 1
        assert all(chunk["demonstration_model"] for chunk in chunks)
        assert all("usage" not in chunk for chunk in chunks)


async def test_the_official_client_reads_the_stream_and_its_usage(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        stream = await at.ai.chat.completions.create(
            model="notes", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Nega febre."
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.total_tokens == 13
        assert all(chunk.usage is None for chunk in chunks[:-1])


@pytest.mark.parametrize("stream", [False, True])
async def test_log_probabilities_have_openais_shape(tmp_path: Path, *, stream: bool) -> None:
    told = TokenLogprob("não", -0.25, (("não", -0.25), ("sim", -1.5)))
    chat = FixedChat([ChatDelta("não", logprobs=(told,)), ChatDelta("", "stop", 3, 1)])
    async with door(tmp_path, chat=chat) as at:
        asked: Any = {"model": "notes", "messages": ASK, "logprobs": True, "top_logprobs": 2}
        if stream:
            chunks = [chunk async for chunk in await at.ai.chat.completions.create(stream=True, **asked)]
            logprobs = chunks[0].choices[0].logprobs
        else:
            logprobs = (await at.ai.chat.completions.create(**asked)).choices[0].logprobs
        assert logprobs is not None
        assert logprobs.content is not None
        (token,) = logprobs.content
        assert (token.token, token.logprob, bytes(token.bytes or [])) == ("não", -0.25, "não".encode())
        assert [(one.token, one.logprob) for one in token.top_logprobs] == [("não", -0.25), ("sim", -1.5)]
        assert chat.asked[0][1].top_logprobs == 2


async def test_log_probabilities_are_given_only_when_asked_for(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        answer = await at.ai.chat.completions.create(model="notes", messages=ASK)
        assert answer.choices[0].logprobs is None
        assert at.abilities.chat.asked[0][1].top_logprobs is None
        with pytest.raises(openai.UnprocessableEntityError, match="top_logprobs"):
            await at.ai.chat.completions.create(model="notes", messages=ASK, top_logprobs=2)


async def test_options_reach_the_model(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    async with door(tmp_path) as at:
        await at.ai.chat.completions.create(
            model="notes",
            messages=[
                {
                    "role": "developer",
                    "content": [{"type": "text", "text": "Seja "}, {"type": "text", "text": "breve."}],
                },
                *ASK,
            ],
            max_completion_tokens=7,
            temperature=0.5,
            top_p=0.9,
            seed=42,
            stop=["\n", "###"],
            n=1,
            response_format={"type": "json_schema", "json_schema": {"name": "nota", "schema": schema, "strict": True}},
        )
        ((messages, options, call),) = at.abilities.chat.asked
        assert [(message.role, message.content) for message in messages] == [
            ("system", "Seja breve."),
            ("user", "Tem febre?"),
        ]
        assert (options.max_tokens, options.temperature, options.top_p, options.seed) == (7, 0.5, 0.9, 42)
        assert (options.stop, options.json_schema) == (("\n", "###"), schema)
        assert call.user


async def test_an_answer_that_is_not_streamed_is_wanted_whole(tmp_path: Path) -> None:
    """So it survives the death of an engine or a node in the middle; a stream can't be taken back."""
    async with door(tmp_path) as at:
        await at.http.post("/v1/chat/completions", json={"messages": ASK})
        await at.http.post("/v1/chat/completions", json={"messages": ASK, "stream": True})
        assert [call.whole for _, _, call in at.abilities.chat.asked] == [True, False]


async def test_defaults_are_repeatable(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        await at.http.post("/v1/chat/completions", json={"messages": ASK, "response_format": {"type": "json_object"}})
        await at.http.post("/v1/chat/completions", json={"messages": ASK, "max_tokens": 3, "stop": "fim"})
        first, second = (options for _, options, _ in at.abilities.chat.asked)
        assert (first.temperature, first.top_p, first.json_schema, first.stop) == (0.0, 1.0, {"type": "object"}, ())
        assert (second.max_tokens, second.stop, second.json_schema) == (3, ("fim",), None)


BAD_BODIES: dict[str, dict[str, Any]] = {
    "messages": {"messages": []},
    "n": {"messages": ASK, "n": 2},
    "stop": {"messages": ASK, "stop": ["a"] * 5},
    "temperature": {"messages": ASK, "temperature": 3},
    "top_p": {"messages": ASK, "top_p": 0},
    "max_tokens": {"messages": ASK, "max_tokens": 0},
    "response_format.json_schema": {"messages": ASK, "response_format": {"type": "json_schema"}},
    "messages[0].content": {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": "x"}]}]},
    "role": {"messages": [{"role": "tool", "content": "x"}]},
}


@pytest.mark.parametrize("field", sorted(BAD_BODIES))
async def test_a_mistake_is_named_in_openais_shape(tmp_path: Path, field: str) -> None:
    async with door(tmp_path) as at:
        reply = await at.http.post("/v1/chat/completions", json=BAD_BODIES[field], headers={"accept-language": "en"})
        error = reply.json()["error"]
        assert reply.status_code in {400, 422}
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == "invalid_request_error"
        assert field in (error["param"] or "")
        assert at.abilities.chat.asked == []


async def test_a_model_without_eyes_says_so(tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    ask = {"messages": [{"role": "user", "content": [{"type": "text", "text": "O que vê?"}, picture]}]}
    async with door(tmp_path) as at:
        error = (await at.http.post("/v1/chat/completions", json=ask)).json()["error"]
        assert (error["code"], error["param"]) == ("chat.no_eyes", "messages[0].content")
        assert "/api/images" in error["message"]
        assert at.abilities.chat.asked == []


async def test_typed_errors_of_the_official_client(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        with pytest.raises(openai.NotFoundError) as missing:
            await at.ai.chat.completions.create(model="gpt-9", messages=ASK)
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.UnprocessableEntityError):
            await at.ai.chat.completions.create(model="notes", messages=ASK, n=3)
        stranger = at.ai.with_options(api_key="not-a-token")
        with pytest.raises(openai.AuthenticationError):
            await stranger.chat.completions.create(
                model="notes", messages=ASK, extra_headers={"Authorization": "Bearer not-a-token"}
            )


async def test_a_busy_model_is_a_rate_limit_also_for_a_stream(tmp_path: Path) -> None:
    busy = FixedChat([], BUSY(engine="medgemma", waiting=9, retry_after=2.0))
    async with door(tmp_path, chat=busy) as at:
        for stream in (False, True):
            with pytest.raises(openai.RateLimitError) as caught:
                await at.ai.chat.completions.create(model="notes", messages=ASK, stream=stream)
            assert caught.value.code == "engine.busy"
            assert caught.value.response.headers["retry-after"] == "2"


async def test_a_failure_in_the_middle_of_a_stream_is_told_in_the_stream(tmp_path: Path) -> None:
    async with door(tmp_path, chat=FixedChat(DELTAS[:1], BUSY(engine="medgemma", waiting=9))) as at:
        stream = await at.ai.chat.completions.create(model="notes", messages=ASK, stream=True)
        got: list[str] = []
        with pytest.raises(openai.APIError, match="medgemma"):
            got.extend([chunk.choices[0].delta.content or "" async for chunk in stream])
        reply = await at.http.post("/v1/chat/completions", json={"messages": ASK, "stream": True})
        assert '"code":"engine.busy"' in reply.text
        assert "[DONE]" not in reply.text


async def test_a_second_choice_is_marked(tmp_path: Path) -> None:
    async with door(tmp_path, degraded=True) as at:
        answer = await at.ai.chat.completions.create(model="notes", messages=ASK)
        assert answer.model_extra is not None
        assert answer.model_extra["degraded"] is True
        reply = await transcribe(at, response_format="text")
        assert reply.headers["x-degraded"] == "true"


async def test_a_real_model_is_not_called_a_demonstration(tmp_path: Path) -> None:
    async with door(tmp_path, chat=FixedChat(DELTAS, demonstration=False)) as at:
        reply = await at.http.post("/v1/chat/completions", json={"messages": ASK})
        assert "demonstration_model" not in reply.json()


# -- models and permissions ------------------------------------------------------------------------------------------------
async def test_models_are_listed_with_their_hash(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        listed = (await at.ai.models.list()).data
        assert [(model.id, model.object, model.owned_by) for model in listed] == [
            ("notes", "model", "prontuario"),
            ("speech", "model", "prontuario"),
        ]
        assert listed[0].model_extra is not None
        assert listed[0].model_extra["sha256"] == "ab" * 32
        assert listed[0].model_extra["demonstration_model"] is True
        assert (await at.ai.models.retrieve("speech")).id == "speech"
        with pytest.raises(openai.NotFoundError):
            await at.ai.models.retrieve("other")


async def test_a_role_without_the_permission_is_refused_in_openais_shape(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        for reply in (
            await at.nurse_free.post("/v1/chat/completions", json={"messages": ASK}),
            await at.nurse_free.post("/v1/audio/transcriptions", files={"file": ("a.wav", wav())}),
            await at.nurse_free.get("/v1/models"),
        ):
            assert reply.status_code == 403
            assert reply.json()["error"]["type"] == "permission_error"


# -- transcriptions --------------------------------------------------------------------------------------------------------
async def transcribe(at: Door, content: bytes | None = None, **fields: Any) -> httpx.Response:
    files = {"file": ("dictation.wav", wav() if content is None else content, "audio/wav")}
    return await at.http.post("/v1/audio/transcriptions", files=files, data=fields)


async def test_the_official_client_gets_the_text(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        answer = await at.ai.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", wav(2.0)), language="pt", prompt="losartana", temperature=0.2
        )
        assert answer.text == "Nega febre. Retorno em 7 dias."
        assert answer.model_extra is not None
        assert answer.model_extra["demonstration_model"] is True
        ((options, call),) = at.abilities.speech.asked
        assert (options.language, options.prompt, options.temperature, options.word_times) == (
            "pt",
            "losartana",
            0.2,
            False,
        )
        assert call.user
        assert at.abilities.speech.heard == 2 * 16_000 * 2


async def test_words_and_segments_have_their_times(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        answer = await at.ai.audio.transcriptions.create(
            model="speech",
            file=("a.wav", wav()),
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        assert (answer.language, answer.duration) == ("portuguese", 1.0)
        assert answer.words is not None
        assert [(word.word, word.start, word.end) for word in answer.words] == [
            ("Nega", 0.5, 1.0),
            ("febre.", 1.0, 2.0),
        ]
        assert answer.segments is not None
        assert [(segment.id, segment.start, segment.text) for segment in answer.segments] == [
            (0, 0.5, "Nega febre."),
            (1, 62.25, "Retorno em 7 dias."),
        ]
        assert at.abilities.speech.asked[0][0].word_times


async def test_words_come_only_when_asked_for(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        plain = (await transcribe(at, response_format="verbose_json")).json()
        words = (await transcribe(at, response_format="verbose_json", **{"timestamp_granularities[]": "word"})).json()
        assert "segments" in plain
        assert "words" not in plain
        assert "words" in words
        assert "segments" not in words


async def test_subtitles_and_text(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        srt = await at.ai.audio.transcriptions.create(model="speech", file=("a.wav", wav()), response_format="srt")
        vtt = await at.ai.audio.transcriptions.create(model="speech", file=("a.wav", wav()), response_format="vtt")
        text = await transcribe(at, response_format="text")
        assert str(srt).startswith(
            "1\n00:00:00,500 --> 00:00:02,000\nNega febre.\n\n2\n00:01:02,250 --> 01:02:03,500\n"
        )
        assert str(vtt).startswith("WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nNega febre.\n\n00:01:02.250 -->")
        assert text.text == "Nega febre. Retorno em 7 dias.\n"
        assert text.headers["x-demonstration-model"] == "true"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"response_format": "xml"}, "response_format"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        ({"response_format": "verbose_json", "timestamp_granularities[]": "letter"}, "timestamp_granularities"),
        ({"prompt": "x" * 4001}, "prompt"),
        ({"model": "other"}, "model"),
        ({"model": "notes"}, "model"),
    ],
)
async def test_a_mistaken_field_is_named(tmp_path: Path, fields: dict[str, str], field: str) -> None:
    async with door(tmp_path) as at:
        reply = await transcribe(at, **fields)
        assert reply.status_code in {404, 422}
        assert reply.json()["error"]["param"] == field
        assert at.abilities.speech.heard == 0


@pytest.mark.parametrize("content", [b"", b"not audio at all" * 50, b"RIFF", wav()[:40]])
async def test_bad_audio_is_refused_and_nothing_stays_on_disk(tmp_path: Path, content: bytes) -> None:
    async with door(tmp_path) as at:
        reply = await transcribe(at, content)
        assert 400 <= reply.status_code < 500
        assert reply.json()["error"]["code"].startswith("audio.")
        assert list(at.spool.iterdir()) == []


async def test_an_upload_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path, max_audio_bytes=100_000) as at:
        reply = await transcribe(at, wav(10))
        assert reply.status_code == 413
        assert "error" in reply.json()
        assert not at.spool.exists() or list(at.spool.iterdir()) == []


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"garbage"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nRIFF',
        ),
        ("multipart/form-data; boundary=x", b"--x\r\ncontent-disposition: form-data\r\n\r\nvalue\r\n--x--\r\n"),
    ],
)
async def test_a_malformed_form_is_refused(tmp_path: Path, content_type: str, body: bytes) -> None:
    async with door(tmp_path) as at:
        reply = await at.http.post("/v1/audio/transcriptions", content=body, headers={"content-type": content_type})
        assert reply.status_code == 400
        assert reply.json()["error"]["code"] == "form.invalid"


async def test_a_form_without_a_file_is_refused(tmp_path: Path) -> None:
    async with door(tmp_path) as at:
        reply = await at.http.post("/v1/audio/transcriptions", files={"other": ("a", b"x")}, data={"model": "speech"})
        assert (reply.status_code, reply.json()["error"]["param"]) == (422, "file")
