"""Gemma 3 with eyes on MLX: SigLIP's patches are pooled, projected, and stand among the words.

Sources: Gemma 3 report (arXiv 2503.19786, §2.1: 4096 patches become 256 tokens by average pooling; a picture's tokens see each
other in both directions); parity with Hugging Face's ``Gemma3ForConditionalGeneration``. The language model is mlx-lm's; what it
lacks, embeddings that are not its own and the mask for them, is here.
"""

# mypy: disallow-subclassing-any=False
# MLX's modules carry no types.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import mlx.core as mx
from mlx import nn
from mlx_lm.models import gemma3_text
from mlx_lm.models.cache import RotatingKVCache

from plugins.medical_images.engine_siglip import VisionTower
from plugins.medical_images.gemma_shape import GemmaShape


class Projector(nn.Module):
    """Patches to tokens of the language model's width."""

    def __init__(self, shape: GemmaShape) -> None:
        super().__init__()
        vision = shape.vision_config
        self.side, self.pool = vision.side, shape.pool
        self.mm_soft_emb_norm = gemma3_text.RMSNorm(vision.hidden_size, eps=vision.layer_norm_eps)
        self.mm_input_projection_weight = mx.zeros((vision.hidden_size, shape.text_config.hidden_size))

    def __call__(self, patches: mx.array) -> mx.array:
        """(pictures, patches, width) → (pictures, tokens, the language model's width)."""
        count, _, width = patches.shape
        along = self.side // self.pool
        squares = patches.reshape(count, along, self.pool, along, self.pool, width)
        tokens: mx.array = self.mm_soft_emb_norm(squares.mean(axis=(2, 4)).reshape(count, along**2, width))
        return tokens @ self.mm_input_projection_weight


class Eyes(nn.Module):
    """Pictures to what the language model reads."""

    def __init__(self, shape: GemmaShape) -> None:
        super().__init__()
        self.tower = VisionTower(shape.vision_config, head=False)
        self.projector = Projector(shape)

    def __call__(self, pixels: mx.array) -> mx.array:
        """(pictures, height, width, RGB) in the model's range → (pictures, tokens, the language model's width)."""
        tokens: mx.array = self.projector(self.tower(pixels))
        return tokens


class SeeingGemma(nn.Module):
    """A conversation is taken in piece by piece, words or a whole picture; the cache holds what was taken in."""

    def __init__(self, shape: GemmaShape) -> None:
        super().__init__()
        self.eyes = Eyes(shape)
        self.language = gemma3_text.Model(gemma3_text.ModelArgs.from_dict(shape.language()))

    def make_cache(self) -> list[Any]:
        """For one conversation."""
        cache: list[Any] = self.language.make_cache()
        return cache

    def read(self, tokens: Sequence[int], cache: list[Any]) -> mx.array:
        """Take in words; the logits of what comes next: (vocabulary,)."""
        logits: mx.array = self.language(mx.array([list(tokens)]), cache=cache)
        return logits[0, -1]

    def look(self, pixels: mx.array, cache: list[Any]) -> Iterator[None]:
        """Take in one picture, (1, height, width, RGB) in the model's range; words must follow before anything can be said.

        It gives way after each layer, for on a small processor each takes seconds. A cache is whole only after the last one.
        """
        tower, model = self.eyes.tower, self.language.model
        hidden = tower.embeddings(pixels)
        for layer in tower.encoder.layers:
            hidden = layer(hidden)
            mx.eval(hidden)
            yield
        hidden = self.eyes.projector(tower.post_layernorm(hidden)).astype(model.embed_tokens.weight.dtype)
        for layer, kept in zip(model.layers, cache, strict=True):
            hidden = layer(hidden, _window(kept, hidden.shape[1]), kept)
            mx.eval(hidden)
            yield


def _window(kept: Any, tokens: int) -> mx.array | None:
    """Which of what a layer's cache gives next each of a picture's tokens sees: (tokens, keys); None: everything.

    A layer that sees everything shows the picture's tokens all that was before, and each other in both directions; one that slides
    cuts off what lies its window or more behind. The cache keeps one less than its window beside what is new.
    """
    if not isinstance(kept, RotatingKVCache):
        return None
    before = min(kept.offset, kept.max_size - 1)
    places, asked = mx.arange(before + tokens), mx.arange(before, before + tokens)
    near: mx.array = places[None] > asked[:, None] - kept.max_size
    return near
