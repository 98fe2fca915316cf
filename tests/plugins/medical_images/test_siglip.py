"""Our SigLIP against the reference implementation's numbers (tools/golden/siglip.py), and what must not pass for equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from plugins.medical_images.engine_model import ImageModel, load_image_model
from plugins.medical_images.engine_pixels import Preparation, PreparationError, read_preparation
from plugins.medical_images.engine_siglip import VisionTower
from plugins.medical_images.engine_words import WordsError, canonical, read_words
from plugins.medical_images.shape import (
    CheckpointError,
    VisionShape,
    activation_bytes,
    batch_bytes,
    declared_bytes,
    read_shape,
)
from tests.checkpoints.siglip import IMAGE_SIZE, LENGTH, SIDE, SPIECE, VOCABULARY, make_tiny_siglip, tiny_weights
from tests.checkpoints.siglip_samples import SENTENCES, pictures

Array = np.ndarray[Any, np.dtype[Any]]
TOLERANCE = 1e-3
CLEARLY = 20 * TOLERANCE
"""A negative control that stays below this would show nothing."""


@pytest.fixture(scope="module")
def golden() -> dict[str, Array]:
    with np.load(Path(__file__).with_name("siglip.npz")) as found:
        return dict(found)


@pytest.fixture(scope="module")
def model(tiny_siglip: Path) -> ImageModel:
    return load_image_model(tiny_siglip, "fp32")


def seen(model: ImageModel, drawn: list[Array]) -> Array:
    """Our embeddings of RGB arrays, from the preparation to the pooling head: (pictures, width)."""
    pixels = np.stack([model.preparation.pixels(Image.fromarray(one)) for one in drawn])
    return np.array(model.net.pooled(model.net.patches(mx.array(pixels))))


def off(mine: Array, reference: Array) -> float:
    assert mine.shape == reference.shape
    return float(np.abs(mine - reference).max())


# -- equal to the reference -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "resample"), [("bilinear", 2), ("bicubic", 3)])
def test_pixels_are_those_of_the_reference(name: str, resample: int, golden: dict[str, Array], tmp_path: Path) -> None:
    preparation = read_preparation(make_tiny_siglip(tmp_path, resample=resample), IMAGE_SIZE)
    mine = np.stack([preparation.pixels(Image.fromarray(one)) for one in pictures()])
    assert off(mine.transpose(0, 3, 1, 2), golden[f"pixels_{name}"]) < 1e-5


def test_the_two_filters_are_told_apart(golden: dict[str, Array]) -> None:
    assert off(golden["pixels_bilinear"], golden["pixels_bicubic"]) > CLEARLY


def test_tokens_are_those_of_the_reference(model: ImageModel, golden: dict[str, Array]) -> None:
    tokens = np.array(model.words.tokens(SENTENCES))
    assert tokens.shape == (len(SENTENCES), LENGTH)
    assert np.array_equal(tokens, golden["tokens"])


def test_both_towers_give_the_references_embeddings(model: ImageModel, golden: dict[str, Array]) -> None:
    sentences = np.array(model.net.sentences(mx.array(model.words.tokens(SENTENCES))))
    mine = seen(model, pictures())
    assert off(mine, golden["pictures"]) < TOLERANCE
    assert off(sentences, golden["sentences"]) < TOLERANCE
    logits = np.array(model.net.logits(mx.array(mine), mx.array(sentences)))
    assert off(logits, golden["logits"]) < 10 * TOLERANCE  # the scale is 10


def test_single_places_are_what_the_references_head_says_of_one_patch(
    model: ImageModel, golden: dict[str, Array]
) -> None:
    pixels = np.stack([model.preparation.pixels(Image.fromarray(one)) for one in pictures()])
    places = np.array(model.net.places(model.net.patches(mx.array(pixels))))
    assert off(places, golden["places"]) < TOLERANCE
    assert off(places[:, ::-1], golden["places"]) > CLEARLY


# -- what must not pass for equal -------------------------------------------------------------------------------------------
def test_other_pictures_and_sentences_are_far_apart(golden: dict[str, Array]) -> None:
    """Else the comparison above would hold for a model that looks at nothing."""
    for kind in ("pictures", "sentences"):
        rows = golden[kind]
        apart = [np.abs(rows[one] - rows[other]).max() for one in range(len(rows)) for other in range(one)]
        assert min(apart) > CLEARLY


def swapped(picture: Array) -> Array:
    return np.ascontiguousarray(picture[:, :, ::-1])


def shuffled_pixels(picture: Array) -> Array:
    rows = picture.reshape(-1, 3)
    return rows[np.random.default_rng(3).permutation(len(rows))].reshape(picture.shape)


def turned(picture: Array) -> Array:
    return np.ascontiguousarray(picture[::-1])


@pytest.mark.parametrize("damage", [swapped, shuffled_pixels, turned])
def test_a_damaged_picture_is_not_equal(damage: Any, model: ImageModel, golden: dict[str, Array]) -> None:
    mine = seen(model, [damage(one) for one in pictures()])
    assert np.abs(mine - golden["pictures"]).max(axis=1).min() > CLEARLY


def test_patches_in_another_order_are_not_equal(model: ImageModel, golden: dict[str, Array]) -> None:
    """The pixels are the same and so is each patch: only their places differ, so the positions must count."""
    pixels = golden["pixels_bilinear"].transpose(0, 2, 3, 1)
    patch = IMAGE_SIZE // SIDE
    grid = pixels.reshape(len(pixels), SIDE, patch, SIDE, patch, 3).transpose(0, 1, 3, 2, 4, 5)
    order = np.random.default_rng(5).permutation(SIDE**2)
    mixed = grid.reshape(len(pixels), SIDE**2, patch, patch, 3)[:, order]
    again = mixed.reshape(len(pixels), SIDE, SIDE, patch, patch, 3).transpose(0, 1, 3, 2, 4, 5)
    mine = np.array(model.net.pooled(model.net.patches(mx.array(again.reshape(pixels.shape)))))
    assert np.abs(mine - golden["pictures"]).max(axis=1).min() > CLEARLY


def test_other_weights_are_not_equal(tmp_path: Path, golden: dict[str, Array]) -> None:
    other = load_image_model(make_tiny_siglip(tmp_path, seed=1), "fp32")
    assert off(seen(other, pictures()), golden["pictures"]) > CLEARLY


def test_words_in_another_order_are_not_equal(model: ImageModel) -> None:
    tokens = mx.array(model.words.tokens(["chest normal x ray", "normal chest x ray"]))
    first, second = np.array(model.net.sentences(tokens))
    assert np.abs(first - second).max() > CLEARLY


# -- the batch ----------------------------------------------------------------------------------------------------------------
def test_a_picture_in_a_batch_is_what_it_is_alone(model: ImageModel) -> None:
    together = seen(model, pictures())
    alone = np.concatenate([seen(model, [one]) for one in pictures()])
    assert off(together, alone) < 1e-5


# -- words ----------------------------------------------------------------------------------------------------------------------
def test_canonical_text() -> None:
    assert canonical("  Derrame\tPLEURAL, (à direita)!  ") == "derrame pleural à direita"
    assert canonical("x-ray") == "xray"
    assert canonical("…") == "…"  # only ASCII punctuation, as the reference does


def test_a_fast_tokenizer_serves_where_there_is_no_sentencepiece(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -3.0), ("a", -1.0), ("b", -1.5), ("▁ab", -0.5)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    words = read_words(tmp_path, 5, 7)
    assert words.tokens(["AB, ab", "a"]) == [[6, 6, 1, 1, 1], [3, 4, 1, 1, 1]]
    assert words.tokens(["b " * 9])[0][-1] == 1


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "missing"),
        ({"spiece.model": b"\x00rubbish"}, "not a SentencePiece model"),
        ({"tokenizer.json": b"{}"}, "not a tokenizer"),
    ],
)
def test_a_tokenizer_that_does_not_serve_is_named(files: dict[str, bytes], reason: str, tmp_path: Path) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(WordsError, match=reason):
        read_words(tmp_path, LENGTH, VOCABULARY)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(SPIECE.read_bytes())
    with pytest.raises(WordsError, match="200 tokens, the model only 199"):
        read_words(tmp_path, LENGTH, VOCABULARY - 1)


# -- preparation ------------------------------------------------------------------------------------------------------------------
def test_grey_and_transparent_pictures_become_rgb(model: ImageModel) -> None:
    grey = Image.fromarray(pictures()[0][:, :, 0])
    pixels = model.preparation.pixels(grey)
    assert pixels.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    assert np.array_equal(pixels[:, :, 0], pixels[:, :, 2])
    assert model.preparation.pixels(grey.convert("RGBA")).shape == pixels.shape


def test_without_the_file_the_usual_preparation_is_taken(tmp_path: Path) -> None:
    found = read_preparation(tmp_path, 448)
    assert isinstance(found, Preparation)
    assert (found.size.height, found.size.width, found.resample) == (448, 448, 3)
    assert found.pixels(Image.new("RGB", (9, 7), (255, 0, 255))).max() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": {"height": 448, "width": 448}}, "size is not the model's"),
        ({"size": {"shortest_edge": 56}}, "missing required field"),
        ({"do_normalize": False}, "must all be on"),
        ({"resample": 17}, "unknown resample"),
        ({"image_std": [0.5, 0.0, 0.5]}, "deviation of zero"),
    ],
)
def test_a_preparation_that_the_model_was_not_trained_with_is_refused(
    change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    file = make_tiny_siglip(tmp_path) / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(PreparationError, match=reason):
        read_preparation(tmp_path, IMAGE_SIZE)


# -- checkpoints --------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model_type": "clip"}, 'model_type is "clip"'),
        ({"vision_config": {"hidden_act": "relu"}}, "relu"),
        ({"vision_config": {"num_channels": 1}}, "three channels"),
        ({"text_config": {"projection_size": 7}}, "different lengths"),
        ({"text_config": {"num_attention_heads": 5}}, "multiple"),
        ({"text_config": {"hidden_size": "wide"}}, "not a SigLIP's"),
    ],
)
def test_a_config_that_is_no_siglip_is_refused(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    file = make_tiny_siglip(tmp_path) / "config.json"
    config = json.loads(file.read_text())
    for key, value in change.items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    file.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=reason):
        load_image_model(tmp_path, "fp32")


def without(name: str) -> dict[str, Any]:
    weights = tiny_weights(0)
    del weights[name]
    return weights


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (without("vision_model.head.probe"), "do not fit"),
        (without("vision_model.embeddings.patch_embedding.weight"), "no convolution"),
        (tiny_weights(0) | {"text_model.head.weight": np.zeros((3, 3), np.float32)}, "do not fit"),
        (tiny_weights(0) | {"surplus.weight": np.zeros(3, np.float32)}, "do not fit"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: dict[str, Any], reason: str, tmp_path: Path) -> None:
    file = make_tiny_siglip(tmp_path) / "model.safetensors"
    mx.save_safetensors(str(file), {name: mx.array(value) for name, value in weights.items()})
    with pytest.raises(CheckpointError, match=reason):
        load_image_model(tmp_path, "fp32")


def test_weights_that_are_no_numbers_truncated_or_missing_are_refused(tmp_path: Path) -> None:
    make_tiny_siglip(tmp_path, poisonous=True)
    with pytest.raises(CheckpointError, match=r"post_layernorm\.bias"):
        load_image_model(tmp_path, "fp32")
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="not readable"):
        load_image_model(tmp_path, "fp32")
    file.unlink()
    with pytest.raises(CheckpointError, match=r"no \.safetensors"):
        load_image_model(tmp_path, "fp32")


def test_a_checkpoint_in_several_files_and_half_precision_is_read(tmp_path: Path, golden: dict[str, Array]) -> None:
    file = make_tiny_siglip(tmp_path) / "model.safetensors"
    arrays = {name: mx.array(value).astype(mx.bfloat16) for name, value in tiny_weights(0).items()}
    arrays["vision_model.embeddings.position_ids"] = mx.arange(SIDE**2)[None]
    file.unlink()
    names = sorted(arrays)
    for number, part in enumerate((names[:40], names[40:])):
        mx.save_safetensors(str(tmp_path / f"model-{number}.safetensors"), {name: arrays[name] for name in part})
    model = load_image_model(tmp_path, "fp32")
    assert model.net.logit_scale.dtype == mx.float32
    assert off(seen(model, pictures()), golden["pictures"]) < 0.05  # bf16 keeps eight bits


# -- memory -----------------------------------------------------------------------------------------------------------------------
def test_the_declared_footprint_grows_with_the_batch_and_covers_the_model(tiny_siglip: Path) -> None:
    on_disk = (tiny_siglip / "model.safetensors").stat().st_size
    model = load_image_model(tiny_siglip, "fp32")
    one, many = (declared_bytes(tiny_siglip, on_disk, batch) for batch in (1, 9))
    assert many - one == batch_bytes(read_shape(tiny_siglip).vision_config, 8)
    assert one >= model.footprint_bytes(1)


@pytest.mark.parametrize("pictures_at_once", [1, 4])
@pytest.mark.parametrize(("width", "wider", "image_size"), [(96, 384, 224), (48, 96, 56), (144, 538, 448)])
def test_a_batch_uses_no_more_than_is_declared_and_not_much_less(
    width: int, wider: int, image_size: int, pictures_at_once: int
) -> None:
    """Measured by MLX itself: what a forward pass holds at its highest."""
    shape = VisionShape(
        hidden_size=width,
        intermediate_size=wider,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=image_size,
        patch_size=14,
    )
    tower = VisionTower(shape)
    pixels = mx.zeros((pictures_at_once, image_size, image_size, 3))
    mx.eval(tower.parameters(), pixels)
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    mx.eval(tower.head(tower(pixels)))
    used = mx.get_peak_memory() - before
    assert used <= batch_bytes(shape, pictures_at_once)
    assert used > batch_bytes(shape, pictures_at_once) / 6


def test_medsiglips_own_sizes_need_what_they_should() -> None:
    """448 pixels in patches of 14: 1024 places, whose attention in 16 heads is 64 MiB, twice."""
    shape = VisionShape(hidden_size=1152, intermediate_size=4304, num_attention_heads=16, image_size=448, patch_size=14)
    assert shape.side == 32
    assert 128 << 20 < activation_bytes(shape) < 256 << 20
