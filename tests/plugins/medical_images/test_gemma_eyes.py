"""Gemma 3 with eyes against Hugging Face's, by golden arrays; what is wrong about a picture must show."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from plugins.medical_images import engine_gemma
from plugins.medical_images.engine_gemma_load import SeeingModel, load_seeing_model
from plugins.medical_images.gemma_shape import footprint_bytes, has_eyes, read_gemma_shape
from plugins.medical_images.shape import CheckpointError
from tests.checkpoints.gemma_eyes import IMAGE_SIZE, PATCH, TEXT, TOKENS, WINDOW, make_tiny_gemma_with_eyes
from tests.checkpoints.gemma_eyes_samples import PICTURE, conversations, spelt
from tests.checkpoints.siglip import make_tiny_siglip
from tests.checkpoints.siglip_samples import pictures

GOLDEN = np.load(Path(__file__).with_name("gemma_eyes.npz"))
CONTEXT = 512
CLOSE = 1e-4
FAR = 100 * CLOSE
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gemma_with_eyes(tmp_path_factory.mktemp("eyes") / "tiny")


@pytest.fixture(scope="module")
def seeing(folder: Path) -> SeeingModel:
    return load_seeing_model(folder, "fp32", CONTEXT)


def projected(seeing: SeeingModel, drawn: Sequence[Array]) -> Array:
    return np.stack([np.array(seeing.net.eyes(seeing.pixels(Image.fromarray(one)))[0]) for one in drawn])


def answered(seeing: SeeingModel, number: int, drawn: Sequence[Array], *, look: Any = None) -> tuple[Array, list[int]]:
    """Logits and tokens of the greedy answer to a sample conversation, as long as the golden one."""
    shape, cache = seeing.shape, seeing.net.make_cache()
    shown, words = iter(drawn), list[int]()
    logits = mx.zeros(1)
    for piece in [*conversations(shape.boi_token_index, shape.eoi_token_index)[number], None]:
        if isinstance(piece, int):
            words.append(piece)
            continue
        logits, words = seeing.net.read(words, cache), []
        if isinstance(piece, str):
            for _ in (look or seeing.net.look)(seeing.pixels(Image.fromarray(next(shown))), cache):
                pass  # a layer
    steps, said = [np.array(logits)], [int(np.array(logits).argmax())]
    while len(steps) < len(GOLDEN[f"answer_{number}"]):
        steps.append(np.array(seeing.net.read(said[-1:], cache)))
        said.append(int(steps[-1].argmax()))
    return np.stack(steps), said


def test_pictures_become_the_references_tokens(seeing: SeeingModel) -> None:
    drawn = pictures()
    prepared = np.stack([seeing.preparation.pixels(Image.fromarray(one)) for one in drawn])
    assert np.abs(prepared - GOLDEN["pixels"]).max() < 1e-6
    found = projected(seeing, drawn)
    assert found.shape == (3, TOKENS, TEXT)
    assert np.abs(found - GOLDEN["projected"]).max() < CLOSE


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_answer_is_the_references_token_for_token(seeing: SeeingModel, number: int) -> None:
    logits, said = answered(seeing, number, pictures())
    assert np.abs(logits - GOLDEN[f"logits_{number}"]).max() < CLOSE
    assert said == GOLDEN[f"answer_{number}"].tolist()
    assert len(set(said)) > 3  # not one word over and over


def test_the_samples_reach_beyond_the_window() -> None:
    lengths = [len(spelt(one, 9, TOKENS)) for one in conversations(1, 2)]
    assert min(lengths[1:]) > 2 * WINDOW
    assert [one.count(PICTURE) for one in conversations(1, 2)] == [1, 1, 2]


def shuffled(picture: Array) -> Array:
    """The same patches in another order."""
    small = np.asarray(Image.fromarray(picture).resize((IMAGE_SIZE, IMAGE_SIZE)))
    along = IMAGE_SIZE // PATCH
    patches = small.reshape(along, PATCH, along, PATCH, 3).swapaxes(1, 2).reshape(along**2, PATCH, PATCH, 3)
    patches = patches[np.random.default_rng(3).permutation(along**2)]
    mixed = patches.reshape(along, along, PATCH, PATCH, 3).swapaxes(1, 2).reshape(IMAGE_SIZE, IMAGE_SIZE, 3)
    return np.ascontiguousarray(mixed)


SPOILT: dict[str, Callable[[Array], Array]] = {
    "colours swapped": lambda picture: np.ascontiguousarray(picture[..., ::-1]),
    "patches shuffled": shuffled,
    "upside down": lambda picture: np.ascontiguousarray(picture[::-1]),
    "all grey": lambda picture: np.full_like(picture, 127),
}


@pytest.mark.parametrize("how", sorted(SPOILT))
def test_a_spoilt_picture_is_far_from_the_reference(seeing: SeeingModel, how: str) -> None:
    drawn = [SPOILT[how](picture) for picture in pictures()]
    assert np.abs(projected(seeing, drawn) - GOLDEN["projected"]).max() > FAR
    assert np.abs(answered(seeing, 1, drawn)[0] - GOLDEN["logits_1"]).max() > FAR


def test_pictures_in_the_wrong_order_are_far_from_the_reference(seeing: SeeingModel) -> None:
    first, second, *_ = pictures()
    assert np.abs(answered(seeing, 2, [second, first])[0] - GOLDEN["logits_2"]).max() > FAR


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_picture_whose_tokens_see_only_backwards_is_far_from_the_reference(seeing: SeeingModel, number: int) -> None:
    def one_way(pixels: mx.array, cache: list[Any]) -> list[None]:
        """mlx-lm's own masks, as for words; it multiplies embeddings by the square root of their width."""
        seen = seeing.net.eyes(pixels)
        seeing.net.language(mx.zeros(seen.shape[:2], mx.int32), cache, seen / TEXT**0.5)
        return []

    logits, _ = answered(seeing, number, pictures(), look=one_way)
    assert np.abs(logits - GOLDEN[f"logits_{number}"]).max() > FAR


def test_a_picture_that_sees_beyond_the_window_is_far_from_the_reference(
    seeing: SeeingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_gemma, "_window", lambda _kept, _tokens: None)
    logits, _ = answered(seeing, 1, pictures())
    assert np.abs(logits - GOLDEN["logits_1"]).max() > FAR


def test_what_transformers_5_saves_is_read_too(seeing: SeeingModel, tmp_path: Path) -> None:
    later = make_tiny_gemma_with_eyes(tmp_path / "later", later=True)
    loaded = load_seeing_model(later, "auto", CONTEXT)
    assert loaded.shape.language()["rope_scaling"] == {"rope_type": "linear", "factor": 8.0}
    drawn = pictures()
    assert np.array_equal(answered(loaded, 1, drawn)[0], answered(seeing, 1, drawn)[0])


def test_what_it_will_hold_is_told_before_it_is_loaded(folder: Path, seeing: SeeingModel) -> None:
    on_disk = (folder / "model.safetensors").stat().st_size
    declared = footprint_bytes(folder, on_disk, CONTEXT)
    assert seeing.footprint_bytes <= declared
    assert footprint_bytes(folder, on_disk, 2 * CONTEXT) > declared


def test_only_a_gemma_with_a_vision_tower_has_eyes(folder: Path, tmp_path: Path) -> None:
    assert has_eyes(folder)
    assert not has_eyes(make_tiny_siglip(tmp_path / "siglip"))
    assert not has_eyes(tmp_path)
    blind = edited(folder, tmp_path / "blind", vision_config=None)
    assert not has_eyes(blind)
    (blind / "config.json").write_text("[]")
    assert not has_eyes(blind)


def edited(folder: Path, other: Path, *, text: dict[str, Any] | None = None, **said: Any) -> Path:
    """Only ``config.json``, with other values."""
    other.mkdir()
    config = json.loads((folder / "config.json").read_bytes())
    config["text_config"] |= text or {}
    (other / "config.json").write_text(json.dumps(config | said))
    return other


WRONG: dict[str, dict[str, Any]] = {
    "model_type": {"model_type": "gemma3n"},
    "quantised": {"quantization": {"bits": 4, "group_size": 64}},
    "evenly": {"mm_tokens_per_image": 9},
    "soft-capped": {"text": {"final_logit_softcapping": 30.0}},
    "see everything": {"text": {"layer_types": ["full_attention"] * 4}},
    "no layer sees": {"text": {"sliding_window_pattern": 6}},
    "both kinds": {"text": {"rope_parameters": {"full_attention": {"rope_theta": 1e6}}}},
    "vision tower": {"vision_config": None},
}


@pytest.mark.parametrize("reason", sorted(WRONG))
def test_a_model_with_parts_that_we_lack_is_refused_with_the_reason(folder: Path, tmp_path: Path, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason):
        read_gemma_shape(edited(folder, tmp_path / "other", **WRONG[reason]))


def test_weights_that_do_not_fit_or_are_no_numbers_are_refused(tmp_path: Path) -> None:
    poisoned = make_tiny_gemma_with_eyes(tmp_path / "poisoned", poisonous=True)
    with pytest.raises(CheckpointError, match="not numbers"):
        load_seeing_model(poisoned, "fp32", CONTEXT)
    weights = mx.load(str(poisoned / "model.safetensors"))
    assert isinstance(weights, dict)
    for name, reason in (("audio_tower.x", "no part of"), ("vision_tower.vision_model.head.probe", "do not fit")):
        mx.save_safetensors(str(poisoned / "model.safetensors"), {**weights, name: mx.zeros(3)}, {"format": "pt"})
        with pytest.raises(CheckpointError, match=reason):
            load_seeing_model(poisoned, "fp32", CONTEXT)


def test_a_tokenizer_without_the_marks_or_a_template_is_refused(tmp_path: Path) -> None:
    tiny = make_tiny_gemma_with_eyes(tmp_path / "tiny")
    settings = json.loads((tiny / "tokenizer_config.json").read_bytes())
    (tiny / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": None}))
    with pytest.raises(CheckpointError, match="chat template"):
        load_seeing_model(tiny, "fp32", CONTEXT)
    config = json.loads((tiny / "config.json").read_bytes())
    (tiny / "config.json").write_text(json.dumps(config | {"boi_token_index": 30}))
    with pytest.raises(CheckpointError, match="around a picture"):
        load_seeing_model(tiny, "fp32", CONTEXT)
    (tiny / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not readable"):
        load_seeing_model(tiny, "fp32", CONTEXT)
