"""The child's half on a tiny random checkpoint, in this process."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import msgspec
import numpy as np
import pytest
from mlx import nn
from mlx.utils import tree_flatten
from mlx_whisper.load_models import load_model

from appliance.plugin_api.messages import Failed, Output, Submit
from appliance.plugin_api.model_folder import weight_sha256
from appliance.plugin_api.testing import check_engine
from plugins.whisper_stt.engine import WhisperEngine
from plugins.whisper_stt.engine_batch import SpokenRow
from plugins.whisper_stt.engine_model import dequantise, load_whisper, resident_bytes
from plugins.whisper_stt.engine_verdict import Spoken
from plugins.whisper_stt.messages import TRANSCRIBE, Transcript, Utterance
from plugins.whisper_stt.plugin import DEMONSTRATION
from tests.plugins import sounds

SPEECH = sounds.pcm(sounds.seconds(0.4, 4.4))


def utterance(pcm: bytes = SPEECH, **changes: Any) -> Utterance:
    fields: dict[str, Any] = {"language": "pt", "prompt": "", "temperature": 0.0, "word_times": False}
    return Utterance(pcm, **(fields | changes))


def payload(wanted: Utterance) -> bytes:
    return msgspec.msgpack.encode(wanted)


def submit(engine: WhisperEngine, request_id: int, wanted: Utterance) -> None:
    engine.submit(Submit(request_id, TRANSCRIBE, payload(wanted), 60.0, "interactive", "a|"))


def run(engine: WhisperEngine) -> dict[int, Transcript | Failed]:
    answers: dict[int, Transcript | Failed] = {}
    while engine.busy():
        for answer in engine.step():
            assert isinstance(answer, Failed) or answer.final
            assert answer.request_id not in answers
            answers[answer.request_id] = (
                msgspec.msgpack.decode(answer.payload, type=Transcript) if isinstance(answer, Output) else answer
            )
    return answers


def transcripts(engine: WhisperEngine, *wanted: Utterance) -> list[Transcript]:
    for request_id, one in enumerate(wanted):
        submit(engine, request_id, one)
    answers = run(engine)
    found = [answers[request_id] for request_id in range(len(wanted))]
    assert all(isinstance(one, Transcript) for one in found)
    return [one for one in found if isinstance(one, Transcript)]


def test_it_keeps_the_contract_of_engines(tiny_config: dict[str, Any]) -> None:
    loaded = check_engine(WhisperEngine, tiny_config, (TRANSCRIBE, payload(utterance(word_times=True))))
    assert loaded.model_sha256 == weight_sha256(Path(tiny_config["folder"]))
    assert loaded.info["window_s"] == 5.0
    assert loaded.footprint_bytes > 0


def test_a_batch_gives_what_each_gives_alone(engine: WhisperEngine) -> None:
    parts = [utterance(sounds.pcm(sounds.seconds(start, start + 2 + start / 10))) for start in (0.4, 6, 9.1, 15)]
    together = transcripts(engine, *parts)
    alone = [transcripts(engine, part)[0] for part in parts]
    assert [one.text for one in together] == [one.text for one in alone]
    assert len({one.text for one in together}) > 1
    assert [one.confidence for one in together] == pytest.approx([one.confidence for one in alone], abs=1e-3)


def test_more_than_a_batch_waits_its_turn_and_is_answered(engine: WhisperEngine) -> None:
    for request_id in range(9):
        submit(engine, request_id, utterance())
    assert engine.stats()["waiting"] == 9
    first = {answer.request_id for answer in engine.step()}
    assert engine.stats()["waiting"] == 5
    assert first | set(run(engine)) == set(range(9))
    assert engine.stats()["running"] == 0


def test_the_language_reaches_the_decoder(engine: WhisperEngine) -> None:
    portuguese, english = transcripts(engine, utterance(), utterance(language="en"))
    assert (portuguese.text, portuguese.confidence) != (english.text, english.confidence)


def test_a_random_decoder_is_stopped_in_proportion_to_the_sound(engine: WhisperEngine) -> None:
    nothing = mx.zeros((1, 1))
    short, long = (
        engine._row(1, utterance(sound), "pt", nothing).most_tokens for sound in (SPEECH[: 16_000 * 2], SPEECH)
    )
    assert 0 < short <= long <= 32


def test_words_lie_in_order_within_the_utterance(engine: WhisperEngine) -> None:
    (found,) = transcripts(engine, utterance(word_times=True))
    assert found.words
    times = [time for word in found.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= len(SPEECH) / 2 / 16_000
    assert all(0 <= word.probability <= 1 for word in found.words)
    assert "".join(word.text for word in found.words) == found.text.replace(" ", "")


def test_nobody_pays_for_words_that_were_not_asked_for(engine: WhisperEngine) -> None:
    assert transcripts(engine, utterance())[0].words == ()


def test_the_neighbours_of_a_bad_request_are_answered(engine: WhisperEngine) -> None:
    submit(engine, 1, utterance())
    for bad in (
        utterance(b""),
        utterance(SPEECH[:-1]),
        utterance(bytes(16_000 * 2 * 6)),
        utterance(language="xx"),
        utterance(language=""),
        utterance(language="AUTO"),
        utterance(temperature=2.0),
        utterance(temperature=float("nan")),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            submit(engine, 2, bad)
    assert set(run(engine)) == {1}


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x93\x01", msgspec.msgpack.encode({"pcm": 1}), b"\x00" * 1000])
def test_garbage_is_refused(engine: WhisperEngine, garbage: bytes) -> None:
    with pytest.raises(ValueError, match="not an utterance"):
        engine.submit(Submit(1, TRANSCRIBE, garbage, 60.0, "interactive", ""))
    assert not engine.busy()


def test_an_unknown_language_says_so_by_its_code(engine: WhisperEngine) -> None:
    with pytest.raises(ValueError, match="language") as caught:
        submit(engine, 1, utterance(language="tlh"))
    assert getattr(caught.value, "code", "") == "speech.language"


@pytest.mark.parametrize("samples", [1, 2, 199, 401])
def test_the_shortest_sounds_do_no_harm(engine: WhisperEngine, samples: int) -> None:
    assert len(transcripts(engine, utterance(bytes(2 * samples)))) == 1


def test_a_cancelled_request_is_never_decoded(engine: WhisperEngine) -> None:
    submit(engine, 1, utterance())
    submit(engine, 2, utterance())
    engine.cancel(1)
    assert set(run(engine)) == {2}
    assert engine.stats()["utterances"] == 1


def test_confidence_is_the_mean_token_probability(engine: WhisperEngine) -> None:
    submit(engine, 1, utterance())
    engine.step()
    spoken = Spoken("texto", [1, 2], float(np.log(0.25)), mx.zeros((1, 1)))
    answer = decoded(engine._answer(1, utterance(), "pt", spoken))
    assert (answer.confidence, answer.no_speech, answer.language) == (pytest.approx(0.25), False, "pt")
    silent = decoded(engine._answer(1, utterance(word_times=True), "pt", Spoken("", [], -3.0, mx.zeros((1, 1)))))
    assert (silent.text, silent.confidence, silent.words, silent.no_speech) == ("", 0.0, (), True)


def test_probabilities_that_are_not_numbers_fail_one_request(engine: WhisperEngine) -> None:
    engine._running[1] = (utterance(), "pt")
    poisoned = SpokenRow(1, mx.zeros((1, 1)), [1], 9, log_probability=math.nan)
    answer = engine._judge(poisoned)
    assert isinstance(answer, Failed)
    assert (answer.request_id, answer.code) == (1, "internal")
    assert not engine.busy()
    assert isinstance(transcripts(engine, utterance())[0], Transcript)


def decoded(answer: Output | Failed | None) -> Transcript:
    assert isinstance(answer, Output)
    return msgspec.msgpack.decode(answer.payload, type=Transcript)


def test_quantised_weights_are_expanded_without_changing_their_values() -> None:
    stored = load_model(str(DEMONSTRATION), mx.float32)
    assert any(isinstance(layer, nn.QuantizedLinear) for _, layer in stored.named_modules())
    expanded, half = load_whisper(DEMONSTRATION, "fp32")
    assert not half
    assert not any(isinstance(layer, nn.QuantizedLinear) for _, layer in expanded.named_modules())
    dtypes = {value.dtype for name, value in tree_flatten(expanded.parameters()) if name != "alignment_heads"}
    assert dtypes == {mx.float32}
    tokens = mx.array([[50258, 50267, 50359]])
    features = mx.random.normal((1, 10, 192), key=mx.random.key(1))
    difference = mx.abs(expanded.decoder(tokens, features)[0] - stored.decoder(tokens, features)[0]).max()
    assert float(np.array(difference)) < 0.05


def test_biases_survive_the_expansion() -> None:
    layer = nn.Linear(64, 8)
    layer.bias = mx.arange(8).astype(mx.float32)
    module = nn.Sequential(
        nn.QuantizedLinear.from_linear(layer), nn.QuantizedLinear.from_linear(nn.Linear(64, 8, bias=False))
    )
    dequantise(module)
    with_bias, without = module.layers
    assert np.array_equal(np.array(with_bias.bias), np.arange(8))
    assert "bias" not in without
    assert with_bias.weight.shape == (8, 64)


def test_the_footprint_grows_with_the_batch() -> None:
    model, _ = load_whisper(DEMONSTRATION, "auto")
    assert resident_bytes(model, 1) < resident_bytes(model, 16) < 4 << 30


def test_an_npz_pack_loads_like_safetensors(tiny_whisper: Path, tiny_config: dict[str, Any], tmp_path: Path) -> None:
    weights = mx.load(str(tiny_whisper / "weights.safetensors"))
    assert isinstance(weights, dict)
    mx.savez(str(tmp_path / "weights.npz"), **weights)
    shutil.copy(tiny_whisper / "config.json", tmp_path)
    packed, original = WhisperEngine(), WhisperEngine()
    packed.load(tiny_config | {"folder": str(tmp_path)})
    original.load(tiny_config)
    assert transcripts(packed, utterance()) == transcripts(original, utterance())


def test_a_broken_checkpoint_is_refused_at_load(
    tiny_config: dict[str, Any], tiny_whisper: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_whisper, tmp_path / "broken")
    (tmp_path / "broken" / "weights.safetensors").write_bytes(b"half a file")
    with pytest.raises(Exception, match=r"\w"):
        WhisperEngine().load(tiny_config | {"folder": str(tmp_path / "broken")})


def test_the_demonstration_speaks_one_language_and_takes_no_prompt(tiny_config: dict[str, Any]) -> None:
    demonstration = WhisperEngine()
    demonstration.load(tiny_config | {"demonstration": True})
    plain, other = transcripts(demonstration, utterance(), utterance(language="en", prompt="losartana"))
    assert (plain.text, plain.language) == (other.text, other.language)
    assert plain.confidence == pytest.approx(
        other.confidence, rel=1e-5
    )  # two rows of one product of matrices may round apart


def test_a_checkpoint_is_the_same_every_time(tiny_whisper: Path, tmp_path: Path) -> None:
    from tests.checkpoints.whisper import make_tiny_whisper

    assert weight_sha256(make_tiny_whisper(tmp_path / "again")) == weight_sha256(tiny_whisper)
    assert weight_sha256(make_tiny_whisper(tmp_path / "other", seed=1)) != weight_sha256(tiny_whisper)
    assert json.loads((tiny_whisper / "config.json").read_text())["n_audio_ctx"] == 250
