from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from tools.demo_models.speech import commands
from tools.demo_models.speech.damage import RATE_HZ
from tools.demo_models.speech.evaluation import Figure, Listener, described, measure, measure_nonspeech, prepared
from tools.demo_models.speech.pool import Pool


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener(commands.PACK)


def test_a_voice_is_heard_at_a_plain_level_with_silence_around_it() -> None:
    wave = prepared(np.full(RATE_HZ, 0.01, np.float32), 3, None)
    assert len(wave) == RATE_HZ + 2 * 1600
    assert float(np.abs(wave).max()) == pytest.approx(0.3, abs=0.001)
    assert 0 < float(np.abs(wave[:1500]).max()) < 1e-3


@pytest.mark.parametrize("seed", [0, 1])
def test_the_noise_of_a_figure_has_its_level_and_repeats(seed: int) -> None:
    voice = np.sin(np.arange(RATE_HZ) / 5).astype(np.float32)
    quiet, noisy = prepared(voice, seed, None), prepared(voice, seed, 10.0)
    noise = noisy - np.pad(voice * np.float32(0.3 / np.abs(voice).max()), 1600)
    assert 10 * np.log10(np.mean(quiet**2) / np.mean(noise**2)) == pytest.approx(10.0, abs=0.3)
    assert np.array_equal(noisy, prepared(voice, seed, 10.0))


def test_the_embedded_model_writes_words_for_speech_and_measures_itself(listener: Listener, pool: Pool) -> None:
    figure = measure(listener, "training sentences", pool, None)
    assert figure.utterances == len(pool)
    assert figure.value < 0.5
    assert figure.audio_s > 30
    assert len(figure.worst) == 8


def test_the_embedded_model_writes_nothing_where_nobody_speaks(listener: Listener) -> None:
    figure = measure_nonspeech(listener)
    assert figure.utterances == 60
    assert figure.value == 0, figure.worst


def test_figures_are_told_to_people() -> None:
    told = described([Figure("clean", 0.0512, 300, 900.0, 10.0), Figure("nonspeech", 0.0, 60, 200.0, 4.0)])
    assert "5.12%" in told
    assert "0 words" in told
    assert "90 s of sound a second" in told


def verbs() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers(required=True))
    return parser


def test_every_verb_knows_its_folder_and_preset(tmp_path: Path) -> None:
    for verb in ("speech-pool", "train-speech", "export-speech", "evaluate-speech"):
        asked = verbs().parse_args([verb, "--work", str(tmp_path), "--preset", "ten-minutes"])
        assert (asked.work, asked.preset) == (tmp_path, "ten-minutes")
        assert callable(asked.run)
    assert verbs().parse_args(["export-speech", "--work", "x"]).out == commands.PACK
    with pytest.raises(SystemExit):
        verbs().parse_args(["train-speech"])


def test_the_evaluation_verb_prints_one_line_of_json_last(
    pool_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("clean", "near", "far"):
        (tmp_path / f"held-out-{name}").symlink_to(pool_folder)
    asked = verbs().parse_args(["evaluate-speech", "--work", str(tmp_path), "--most", "2"])
    assert asked.run(asked) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"clean", "near", "far", "noise 20 dB", "noise 10 dB", "nonspeech"} == set(last)
