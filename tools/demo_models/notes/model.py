"""The gemma3_text architecture in plain PyTorch: parameters under the names of the exported file, and functions of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.nn import functional

EPSILON: Final = 1e-6
_LONGEST: Final = 2048
_EMBEDDING_DEVIATION: Final = 0.03
_GENTLE_START: Final = -0.7  # of the norms that close a branch: a layer begins as little more than the identity
EMBEDDING: Final = "model.embed_tokens.weight"
Parameters = dict[str, Any]
"""Tensor by name."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of the model; ``local_base`` and ``global_base`` are the rotary bases of the two kinds of layers."""

    vocabulary: int
    hidden: int = 256
    layers: int = 4
    intermediate: int = 512
    heads: int = 4
    key_heads: int = 2
    head: int = 64
    pattern: int = 2
    window: int = 1024
    local_base: float = 1e4
    global_base: float = 1e6

    def configuration(self) -> dict[str, Any]:
        """``config.json`` as mlx-lm reads it."""
        return {
            "architectures": ["Gemma3ForCausalLM"],
            "model_type": "gemma3_text",
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "intermediate_size": self.intermediate,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_heads,
            "head_dim": self.head,
            "rms_norm_eps": EPSILON,
            "vocab_size": self.vocabulary,
            "rope_theta": self.global_base,
            "rope_local_base_freq": self.local_base,
            "query_pre_attn_scalar": self.head,
            "sliding_window": self.window,
            "sliding_window_pattern": self.pattern,
            "max_position_embeddings": 8192,
            "hidden_activation": "gelu_pytorch_tanh",
            "attention_bias": False,
            "tie_word_embeddings": True,
            "bos_token_id": 2,
            "eos_token_id": [5, 1],
            "pad_token_id": 0,
            "torch_dtype": "float16",
        }


def initial(shape: Shape, seed: int = 0) -> Parameters:
    """Fresh parameters, the same for the same seed."""
    chance = torch.Generator().manual_seed(seed)

    def matrix(rows: int, columns: int, deviation: float | None = None) -> Any:
        drawn = torch.randn(rows, columns, generator=chance)
        return drawn * (columns**-0.5 if deviation is None else deviation)

    queries, keys = shape.heads * shape.head, shape.key_heads * shape.head
    out: Parameters = {EMBEDDING: matrix(shape.vocabulary, shape.hidden, _EMBEDDING_DEVIATION)}
    for index in range(shape.layers):
        layer = {
            "self_attn.q_proj": matrix(queries, shape.hidden),
            "self_attn.k_proj": matrix(keys, shape.hidden),
            "self_attn.v_proj": matrix(keys, shape.hidden),
            "self_attn.o_proj": matrix(shape.hidden, queries),
            "self_attn.q_norm": torch.zeros(shape.head),
            "self_attn.k_norm": torch.zeros(shape.head),
            "mlp.gate_proj": matrix(shape.intermediate, shape.hidden),
            "mlp.up_proj": matrix(shape.intermediate, shape.hidden),
            "mlp.down_proj": matrix(shape.hidden, shape.intermediate),
            "input_layernorm": torch.zeros(shape.hidden),
            "post_attention_layernorm": torch.full((shape.hidden,), _GENTLE_START),
            "pre_feedforward_layernorm": torch.zeros(shape.hidden),
            "post_feedforward_layernorm": torch.full((shape.hidden,), _GENTLE_START),
        }
        out |= {f"model.layers.{index}.{name}.weight": value for name, value in layer.items()}
    out["model.norm.weight"] = torch.zeros(shape.hidden)
    return out


def rotary(shape: Shape) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Cosines and sines [position, head] of the local and of the global layers."""

    def table(base: float) -> tuple[Any, Any]:
        frequencies = base ** (-torch.arange(0, shape.head, 2).float() / shape.head)
        angles = torch.arange(_LONGEST).float()[:, None] * frequencies
        doubled = torch.cat([angles, angles], -1)
        return doubled.cos(), doubled.sin()

    return table(shape.local_base), table(shape.global_base)


def hidden_states(parameters: Parameters, shape: Shape, tables: Any, ids: Any) -> Any:
    """The last layer's states [batch, position, hidden] of token numbers [batch, position].

    Attention is plainly causal: training texts are shorter than the window.
    """
    states = functional.embedding(ids, parameters[EMBEDDING]) * shape.hidden**0.5
    for index in range(shape.layers):
        whole = (index + 1) % shape.pattern == 0
        states = _layer(parameters, f"model.layers.{index}.", shape, tables[1 if whole else 0], states)
    return _normed(states, parameters["model.norm.weight"])


def logits(parameters: Parameters, states: Any) -> Any:
    """Scores over the vocabulary; the embedding is tied."""
    return states @ parameters[EMBEDDING].T


def _normed(states: Any, weight: Any) -> Any:
    return functional.rms_norm(states, (states.shape[-1],), 1.0 + weight, EPSILON)


def _turned(states: Any, cosines: Any, sines: Any) -> Any:
    half = states.shape[-1] // 2
    return states * cosines + torch.cat([-states[..., half:], states[..., :half]], -1) * sines


def _layer(parameters: Parameters, prefix: str, shape: Shape, table: tuple[Any, Any], states: Any) -> Any:
    def weight(name: str) -> Any:
        return parameters[f"{prefix}{name}.weight"]

    batch, length, _ = states.shape
    cosines, sines = table[0][:length], table[1][:length]
    normed = _normed(states, weight("input_layernorm"))

    def heads(name: str, count: int) -> Any:
        return (
            functional.linear(normed, weight(f"self_attn.{name}_proj")).view(batch, length, count, -1).transpose(1, 2)
        )

    query = _turned(_normed(heads("q", shape.heads), weight("self_attn.q_norm")), cosines, sines)
    key = _turned(_normed(heads("k", shape.key_heads), weight("self_attn.k_norm")), cosines, sines)
    value = heads("v", shape.key_heads)
    shared = shape.heads // shape.key_heads
    key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    joined = attended.transpose(1, 2).reshape(batch, length, -1)
    states = states + _normed(functional.linear(joined, weight("self_attn.o_proj")), weight("post_attention_layernorm"))
    normed = _normed(states, weight("pre_feedforward_layernorm"))
    gate = functional.gelu(functional.linear(normed, weight("mlp.gate_proj")), approximate="tanh")
    fed = functional.linear(gate * functional.linear(normed, weight("mlp.up_proj")), weight("mlp.down_proj"))
    return states + _normed(fed, weight("post_feedforward_layernorm"))
