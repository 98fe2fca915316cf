"""The vocabulary hint reaches the decoder as Whisper's prompt, as the reference would give it, and never the demonstration's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from mlx_whisper.decoding import DecodingOptions, DecodingTask

from appliance.plugin_api.capabilities import TranscriptionOptions
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.messages import Submit
from appliance.plugin_api.testing import InProcessEngine
from appliance.plugin_api.vocabulary import VOCABULARY_FILE
from plugins.whisper_stt.engine import WhisperEngine
from plugins.whisper_stt.messages import TRANSCRIBE, Utterance
from plugins.whisper_stt.plugin import CAPABILITY, plugin
from plugins.whisper_stt.provider import WhisperSpeechToText
from tests.fakes.scripted_engine import ScriptedEngine
from tests.plugins import sounds
from tests.plugins.whisper_stt.reference import decode_utterances
from tests.plugins.whisper_stt.test_plugin import context
from tests.plugins.whisper_stt.test_provider import numbered

HINT = "Em uso: losartana 50 mg, metformina. Alergias: dipirona. Paciente: Maria José da Silva."
SPEECH = sounds.pcm(sounds.seconds(0.4, 4.4))


def decoded(engine: WhisperEngine, prompt: str) -> Any:
    """The row that the decoder got for an utterance with this prompt, at its end."""
    wanted = Utterance(SPEECH, "pt", prompt, 0.0, word_times=False)
    rows: list[Any] = []
    judge = engine._judge

    def seen(row: Any) -> Any:
        rows.append(row)
        return judge(row)

    engine._judge = seen  # type: ignore[method-assign]
    engine.submit(Submit(1, TRANSCRIBE, msgspec.msgpack.encode(wanted), 60.0, "interactive", "a|"))
    while engine.busy():
        engine.step()
    (row,) = rows
    return row


def test_the_decoder_reads_the_hint_as_the_reference_does(engine: WhisperEngine) -> None:
    row = decoded(engine, HINT)
    options = DecodingOptions(language="pt", prompt=HINT, sample_len=row.most_tokens, fp16=False)
    assert tuple(row.beginning) == tuple(DecodingTask(engine._model, options).initial_tokens)
    mel = engine._mel(Utterance(SPEECH, "pt", "", 0.0, word_times=False))
    alone = decode_utterances(engine._model, mel[None], options)[0]
    said = [token for token in alone.tokens if token is not None]
    assert row.tokens == said[: len(row.tokens)]
    assert row.looped or len(row.tokens) == len(said)


def test_the_hint_changes_what_is_heard(engine: WhisperEngine) -> None:
    with_hint, without = decoded(engine, HINT), decoded(engine, "")
    assert with_hint.beginning != without.beginning
    assert with_hint.log_probability != without.log_probability


async def test_every_utterance_of_a_stream_carries_it(tiny_config: dict[str, Any]) -> None:
    engine = InProcessEngine(WhisperEngine(), tiny_config)
    given: list[str] = []
    made = engine.engine.submit

    def seen(request: Submit) -> None:
        given.append(msgspec.msgpack.decode(request.payload, type=Utterance).prompt)
        made(request)

    engine.engine.submit = seen  # type: ignore[method-assign]
    speech = WhisperSpeechToText(
        engine,
        folder=Path("tiny"),
        demonstration=False,
        max_utterance_s=4.8,
        pause_s=0.35,
        in_flight=4,
        vocabulary=True,
    )
    sound = sounds.blocks(sounds.pcm(sounds.seconds(0.0, 12.0)))
    _ = [segment async for segment in speech.transcribe(sound, TranscriptionOptions(prompt=HINT), CallOptions())]
    assert len(given) > 1
    assert set(given) == {HINT}


def test_marks_of_the_tokenizer_in_a_hint_are_text(engine: WhisperEngine) -> None:
    row = decoded(engine, "dipirona <|endoftext|> <|startoftranscript|><|en|>")
    marks = [token for token in row.beginning if token >= engine._rules.eot]
    plain = decoded(engine, "dipirona")
    assert marks == [token for token in plain.beginning if token >= engine._rules.eot]


def test_the_demonstration_is_given_no_hint_whatever_is_asked(tiny_config: dict[str, Any]) -> None:
    engine = WhisperEngine()
    engine.load(tiny_config | {"demonstration": True})
    assert decoded(engine, HINT).beginning == engine._rules.beginning("pt", "")


def test_of_a_hint_that_is_too_long_the_decoder_reads_the_end_where_the_patients_words_are(
    engine: WhisperEngine,
) -> None:
    long = "Termos: " + ", ".join(f"ção{number}ãõ" for number in range(300)) + ". " + HINT
    row = decoded(engine, long)
    half = engine._model.dims.n_text_ctx // 2
    assert len(row.beginning) == half + len(engine._rules.beginning("pt", ""))
    read = engine._rules.tokenizer("pt").decode(row.beginning[1:half])
    assert read.endswith(HINT)


def test_words_that_came_with_a_model_reach_its_decoder(
    tmp_path: Path, tiny_whisper: Path, engine: WhisperEngine
) -> None:
    active = tmp_path / "models" / CAPABILITY / "active"
    shutil.copytree(tiny_whisper, active)
    (active / VOCABULARY_FILE).write_text("# farmácia\nXarelto\nUTI neonatal\n")
    (provider,) = plugin.register_providers(context(tmp_path), {"whisper": ScriptedEngine(numbered)})
    model = provider.instance.model()
    assert (model.vocabulary, model.terms) == (True, ("Xarelto", "UTI neonatal"))
    hint = f"Termos: {', '.join(model.terms)}."
    row = decoded(engine, hint)
    assert hint in engine._rules.tokenizer("pt").decode(row.beginning[1:])
    (silent,) = plugin.register_providers(context(tmp_path, vocabulary=False), {"whisper": ScriptedEngine(numbered)})
    assert silent.instance.model().terms == ()


def test_a_list_of_words_that_can_not_be_read_does_not_stop_the_model(
    tmp_path: Path, tiny_whisper: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(tiny_whisper, folder)
    (folder / VOCABULARY_FILE).write_bytes(b"\xff")
    here = context(tmp_path, model=str(folder))
    (provider,) = plugin.register_providers(here, {"whisper": ScriptedEngine(numbered)})
    assert provider.instance.model().terms == ()
    assert "vocabulary can't be used" in caplog.text


@pytest.mark.parametrize(
    ("pack", "settings", "takes"), [(False, {}, False), (True, {}, True), (True, {"vocabulary": False}, False)]
)
def test_a_model_says_whether_it_takes_a_vocabulary(
    tmp_path: Path, tiny_whisper: Path, *, pack: bool, settings: dict[str, Any], takes: bool
) -> None:
    if pack:
        active = tmp_path / "models" / CAPABILITY / "active"
        active.parent.mkdir(parents=True)
        active.symlink_to(tiny_whisper)
    here = context(tmp_path, **settings)
    (provider,) = plugin.register_providers(here, {"whisper": ScriptedEngine(numbered)})
    assert provider.instance.model().vocabulary is takes
