"""Whisper's architecture in PyTorch over the compact vocabulary; module names follow mlx_whisper's checkpoints.

Two connectionist heads (letters, and text tokens) help the encoder while it learns; the export drops them.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from tools.demo_models.speech.letters import ALPHABET
from tools.demo_models.speech.mel import BANDS
from tools.demo_models.speech.plans import Shape
from tools.demo_models.speech.vocabulary import Vocabulary

TEXT_POSITIONS: Final = 448
AUDIO_POSITIONS: Final = 500
GUIDED_HEADS: Final = 2
"""The first heads of each decoder layer are taught where words are; the product reads word times from them."""
Tensor = Any


class Attention(nn.Module):  # type: ignore[misc]
    """Multi-head attention; returns the values and, when asked, the weights (batch, heads, queries, keys)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = nn.Linear(shape.state, shape.state)
        self.key = nn.Linear(shape.state, shape.state, bias=False)
        self.value = nn.Linear(shape.state, shape.state)
        self.out = nn.Linear(shape.state, shape.state)

    def forward(self, x: Tensor, source: Tensor | None = None, *, causal: bool = False) -> tuple[Tensor, Tensor | None]:
        """``x`` (batch, queries, state) attends to itself or to ``source`` (batch, keys, state)."""
        source_or_self = x if source is None else source
        query, key, value = self.query(x), self.key(source_or_self), self.value(source_or_self)
        query, key, value = self._split(query), self._split(key), self._split(value)
        weights = None
        if source is None:
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        else:
            scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
            weights = torch.softmax(scores, -1)
            mixed = weights @ value
        return self.out(mixed.transpose(1, 2).flatten(2)), weights

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):  # type: ignore[misc]
    """A residual block of encoder or decoder."""

    def __init__(self, shape: Shape, *, cross: bool) -> None:
        super().__init__()
        self.attn = Attention(shape)
        self.attn_ln = nn.LayerNorm(shape.state)
        self.cross_attn = Attention(shape) if cross else None
        self.cross_attn_ln = nn.LayerNorm(shape.state) if cross else None
        self.mlp1 = nn.Linear(shape.state, 4 * shape.state)
        self.mlp2 = nn.Linear(4 * shape.state, shape.state)
        self.mlp_ln = nn.LayerNorm(shape.state)

    def forward(self, x: Tensor, source: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The new state and the weights of the cross-attention, if any."""
        x = x + self.attn(self.attn_ln(x), causal=source is not None)[0]
        weights = None
        if self.cross_attn is not None and self.cross_attn_ln is not None:
            heard, weights = self.cross_attn(self.cross_attn_ln(x), source)
            x = x + heard
        return x + self.mlp2(functional.gelu(self.mlp1(self.mlp_ln(x)))), weights


class Encoder(nn.Module):  # type: ignore[misc]
    """(batch, frames, 80) → (batch, frames / 2, state)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(BANDS, shape.state, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.state, shape.state, 3, stride=2, padding=1)
        self.register_buffer("positions", sinusoids(AUDIO_POSITIONS, shape.state), persistent=False)
        self.blocks = nn.ModuleList(Block(shape, cross=False) for _ in range(shape.encoder))
        self.ln_post = nn.LayerNorm(shape.state)

    def forward(self, mel: Tensor) -> Tensor:
        x = functional.gelu(self.conv1(mel.transpose(1, 2)))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        for block in self.blocks:
            x, _ = block(x)
        return self.ln_post(x)


class SharedEmbedding(nn.Module):  # type: ignore[misc]
    """Rows of the vocabulary: numerals share their digits and times a smooth basis, words are free."""

    def __init__(self, vocabulary: Vocabulary, state: int) -> None:
        super().__init__()
        features, free = vocabulary.features()
        self.register_buffer("features", torch.from_numpy(features), persistent=False)
        self.register_buffer("mask", torch.from_numpy(free)[:, None], persistent=False)
        self.free = nn.Parameter(torch.randn(len(free), state) * 0.02)
        self.shared = nn.Parameter(torch.randn(features.shape[1], state) * 0.02)

    def table(self) -> Tensor:
        """(rows, state)."""
        return self.free * self.mask + self.features @ self.shared


class SpeechNetwork(nn.Module):  # type: ignore[misc]
    """The whole model and its two helping heads."""

    def __init__(self, vocabulary: Vocabulary, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.embedding = SharedEmbedding(vocabulary, shape.state)
        self.positions = nn.Parameter(sinusoids(TEXT_POSITIONS, shape.state) * 0.05)
        self.blocks = nn.ModuleList(Block(shape, cross=True) for _ in range(shape.decoder))
        self.ln = nn.LayerNorm(shape.state)
        self.letter_head = nn.Linear(shape.state, len(ALPHABET) + 1)
        self.token_head = nn.Linear(shape.state, len(vocabulary.text) + 1)
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "mlp2.weight")):
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2))

    def decode(self, tokens: Tensor, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits (batch, tokens, compact vocabulary) and each layer's cross-attention weights."""
        table = self.embedding.table()
        x = table[tokens] + self.positions[: tokens.shape[1]]
        attention = []
        for block in self.blocks:
            x, weights = block(x, features)
            attention.append(weights)
        return self.ln(x) @ table.T, attention


def sinusoids(length: int, state: int) -> Tensor:
    """Whisper's positions: sines, then cosines, of shape (length, state)."""
    step = math.log(10_000) / (state // 2 - 1)
    angles = torch.arange(length)[:, None] * torch.exp(-step * torch.arange(state // 2))[None]
    return torch.cat([angles.sin(), angles.cos()], 1)
