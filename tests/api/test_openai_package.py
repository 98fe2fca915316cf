"""The official openai package, unchanged, against a whole node: real TLS, real identity, real models."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import soundfile

from tests.plugins import sounds

PATIENCE_S = 110.0


@pytest.fixture
def client(running_node: Any) -> Iterator[openai.OpenAI]:
    phone = running_node.client_json("physician")
    with running_node.http("physician") as http:
        yield client_over(http, phone)


def client_over(http: httpx.Client, phone: dict[str, str], token: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(
        api_key=token or phone["token"],
        base_url=f"{phone['api']}/v1",
        http_client=http,
        timeout=PATIENCE_S,
        max_retries=0,
    )


def recording() -> tuple[str, bytes]:
    return ("consult.flac", Path(sounds.SAMPLE / "consult.flac").read_bytes())


def prescription() -> tuple[str, bytes]:
    """The sentence about azithromycin alone: as good as the whole consult where only the format counts."""
    file = io.BytesIO()
    soundfile.write(file, sounds.seconds(37.7, 43.1), sounds.RATE, format="FLAC")
    return ("sentence.flac", file.getvalue())


def model_of(client: openai.OpenAI, capability: str) -> str:
    listed = client.models.list().data
    return next(model.id for model in listed if (model.model_extra or {})["capability"] == capability)


def test_models_are_listed_and_say_that_they_are_demonstrations(client: openai.OpenAI) -> None:
    models = {(model.model_extra or {})["capability"]: model for model in client.models.list().data}
    demonstrations = {name for name, model in models.items() if (model.model_extra or {})["demonstration_model"]}
    assert {"speech_to_text", "chat_model"} <= demonstrations
    # What needs no trained model: the machine's own voice, where it has one, and what opens files.
    assert set(models) - demonstrations <= {"text_to_speech", "document_reader", "image_reader"}
    for model in models.values():
        assert client.models.retrieve(model.id).id == model.id


def test_the_sample_consult_is_transcribed_with_words(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        model=model_of(client, "speech_to_text"),
        file=recording(),
        language="pt",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert sounds.word_error_rate(" ".join(sounds.consult_text()), answer.text) <= 0.10
    assert answer.segments
    assert answer.words
    assert answer.duration == pytest.approx(len(sounds.consult()) / sounds.RATE, abs=0.1)
    assert (answer.model_extra or {})["demonstration_model"] is True


@pytest.mark.parametrize("wanted", ["json", "text", "srt", "vtt"])
def test_the_other_formats(client: openai.OpenAI, wanted: Any) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=prescription(), response_format=wanted)
    text = answer if isinstance(answer, str) else answer.text
    assert "azitromicina" in text


def test_a_question_is_answered_whole_and_streamed_alike(client: openai.OpenAI) -> None:
    question: list[Any] = [
        {"role": "user", "content": f"Transcrição:\n[1] {sounds.consult_text()[4]}\n\nQuais medicamentos?"}
    ]
    name = model_of(client, "chat_model")
    whole = client.chat.completions.create(model=name, messages=question, max_tokens=60)
    stream = client.chat.completions.create(
        model=name, messages=question, max_tokens=60, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert whole.choices[0].message.content is not None
    assert "metformina" in whole.choices[0].message.content
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert whole.usage is not None
    assert chunks[-1].usage == whole.usage


def test_json_of_a_schema_is_valid(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"negado": {"type": "boolean"}, "nome": {"type": "string", "maxLength": 20}},
        "required": ["negado", "nome"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model="default",
        messages=[{"role": "user", "content": "Nega febre."}],
        response_format={"type": "json_schema", "json_schema": {"name": "fato", "schema": schema}},
        max_tokens=120,
    )
    assert set(json.loads(answer.choices[0].message.content or "")) == {"negado", "nome"}


def test_stop_and_max_tokens_hold(client: openai.OpenAI) -> None:
    question: list[Any] = [{"role": "user", "content": "Transcrição:\n[1] Nega febre.\n\nResuma."}]
    free = client.chat.completions.create(model="default", messages=question, max_tokens=40).choices[0].message.content
    assert free is not None
    stop = free[3:6]
    stopped = client.chat.completions.create(model="default", messages=question, max_tokens=40, stop=stop)
    assert stopped.choices[0].message.content == free[: free.index(stop)]
    assert stopped.choices[0].finish_reason == "stop"
    short = client.chat.completions.create(model="default", messages=question, max_tokens=2)
    assert (short.choices[0].finish_reason, short.usage.completion_tokens if short.usage else 0) == ("length", 2)


def test_errors_are_the_packages_typed_ones(client: openai.OpenAI, running_node: Any) -> None:
    ask: list[Any] = [{"role": "user", "content": "dor"}]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-9", messages=ask)
    with pytest.raises(openai.UnprocessableEntityError) as long:
        client.chat.completions.create(model="default", messages=[{"role": "user", "content": "dor " * 30_000}])
    assert long.value.code == "chat.context_too_long"
    with pytest.raises(openai.UnprocessableEntityError) as schema:
        client.chat.completions.create(
            model="default",
            messages=ask,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#"}}},
        )
    assert schema.value.code == "chat.schema"
    with pytest.raises(openai.APIStatusError) as audio:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"not audio" * 99))
    assert 400 <= audio.value.status_code < 500
    phone = running_node.client_json("auditor")
    with running_node.http("auditor") as http, pytest.raises(openai.PermissionDeniedError):
        client_over(http, phone).chat.completions.create(model="default", messages=ask)
