"""Where a label's evidence lies: a model whose patches do not see each other shows which patch is which."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from plugins.medical_images.engine import ImageEngine
from plugins.medical_images.labels import sigmoid
from plugins.medical_images.messages import HeatGrid, Picture
from tests.checkpoints.siglip import IMAGE_SIZE, PATCH, SIDE, make_tiny_siglip, tiny_weights
from tests.plugins.medical_images.asking import config, picture, samples, small_set, warmth

CLOSE = 1e-4


@pytest.fixture(scope="module")
def near_sighted(tmp_path_factory: pytest.TempPathFactory) -> ImageEngine:
    """Its layers add nothing and its places have no sign of their own, so that a patch's embedding is that patch's only."""
    folder = make_tiny_siglip(tmp_path_factory.mktemp("near-sighted"))
    weights = tiny_weights(0)
    for name, value in weights.items():
        if name.startswith("vision_model.encoder") and (".out_proj." in name or ".fc2." in name):
            value[:] = 0.0
    weights["vision_model.embeddings.position_embedding.weight"][:] = 0.0
    arrays = {name: mx.array(value) for name, value in weights.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), arrays)
    engine = ImageEngine()
    engine.load(config(folder, small_set(folder / "sets")))
    return engine


def grey() -> np.ndarray:
    return np.full((IMAGE_SIZE, IMAGE_SIZE, 3), 128, np.uint8)


def values(grid: HeatGrid) -> np.ndarray:
    assert (grid.rows, grid.columns, len(grid.values)) == (SIDE, SIDE, SIDE * SIDE)
    return np.array(grid.values).reshape(grid.rows, grid.columns)


def test_a_picture_with_nothing_on_it_has_no_hot_spot(near_sighted: ImageEngine) -> None:
    """A map that was stretched to its own range would show one."""
    told = values(warmth(near_sighted, picture(grey()), "effusion", "small"))
    assert told.max() - told.min() < CLOSE


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 3), (2, 1), (3, 0)])
def test_what_is_painted_in_one_place_shows_there_and_nowhere_else(
    row: int, column: int, near_sighted: ImageEngine
) -> None:
    painted = grey()
    painted[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] = (250, 30, 90)
    plain = values(warmth(near_sighted, picture(grey()), "effusion", "small"))
    changed = np.abs(values(warmth(near_sighted, picture(painted), "effusion", "small")) - plain)
    assert np.argwhere(changed > CLOSE).tolist() == [[row, column]]
    assert changed[row, column] > 50 * CLOSE


def test_each_label_has_its_own_map(near_sighted: ImageEngine) -> None:
    (one,) = samples(1)
    maps = [values(warmth(near_sighted, one, label, "small")) for label in ("effusion", "lesion")]
    assert np.abs(maps[0] - maps[1]).max() > 50 * CLOSE
    assert all(0.0 <= value <= 1.0 for one in maps for value in one.ravel())


def test_a_map_is_what_the_patches_own_embeddings_say(tiny_siglip: Path, tmp_path: Path) -> None:
    """Computed again, patch by patch, from the model's own embeddings."""
    engine = ImageEngine()
    engine.load(config(tiny_siglip, small_set(tmp_path)))
    (one,) = samples(1)
    told = values(warmth(engine, one, "lesion", "small"))
    net, words = engine._model.net, engine._model.words
    pixels = np.frombuffer(one.rgb, np.uint8).reshape(IMAGE_SIZE, IMAGE_SIZE, 3).astype(np.float32) / 127.5 - 1
    patches = net.patches(mx.array(pixels[None]))
    yes, no, also_no = np.array(net.sentences(mx.array(words.tokens(["skin lesion", "normal skin", "skin"]))))
    against = (no + also_no) / np.linalg.norm(no + also_no)
    scale = float(np.exp(np.array(net.logit_scale))[0])
    for number in range(SIDE * SIDE):
        alone = np.array(net.pooled(patches[:, number : number + 1]))[0]  # the head over a picture of this patch only
        expected = sigmoid(scale * float(alone @ (yes - against)))
        assert told[number // SIDE, number % SIDE] == pytest.approx(expected, abs=CLOSE)


def test_maps_of_different_pictures_differ(tiny_siglip: Path, tmp_path: Path) -> None:
    engine = ImageEngine()
    engine.load(config(tiny_siglip, small_set(tmp_path)))
    first, second, _ = samples(3)
    maps = [values(warmth(engine, one, "lesion", "small")) for one in (first, second)]
    assert np.abs(maps[0] - maps[1]).max() > 50 * CLOSE
    black = Picture(0, IMAGE_SIZE, IMAGE_SIZE, bytes(3 * IMAGE_SIZE**2))
    assert np.isfinite(values(warmth(engine, black, "lesion", "small"))).all()
