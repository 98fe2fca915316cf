"""What a decoder-only transformer costs in memory and bandwidth, computed from its ``config.json`` alone.

Keys and values of one token in one layer take ``2 × kv_heads × head_dim × bytes`` (Shazeer 2019, arXiv 1911.02150). A global
layer keeps them for the whole context, a sliding one for its window only (Gemma 3 report, arXiv 2503.19786 §2: every sixth layer
is global). Decoding reads the weights once for all rows and each row's cache once a token, so bandwidth bounds it (roofline,
Williams et al. 2009).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_GROUP_OVERHEAD_BITS: Final = 32
"""mlx's affine quantisation keeps a 16-bit scale and a 16-bit bias for each group."""
_DEFAULT_GROUP: Final = 64
_GEMMA3_PATTERN: Final = 6
_GEMMA3_DEFAULTS: Final[Mapping[str, int]] = {
    "head_dim": 256,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 262_208,
}
"""What mlx-lm and transformers fill in when a Gemma 3 configuration leaves it out."""


class UnknownModelError(ValueError):
    """The configuration lacks what the figures are computed from; the text names the key."""


class KvGeometry(msgspec.Struct, frozen=True, kw_only=True):
    """Shape of a model's cache. ``window`` in tokens, 0 when no layer slides; ``number_bytes`` is 2 for bf16."""

    global_layers: int
    sliding_layers: int
    window: int
    kv_heads: int
    head_dim: int
    number_bytes: int

    @property
    def layer_token_bytes(self) -> int:
        """Keys and values of one token in one layer."""
        return 2 * self.kv_heads * self.head_dim * self.number_bytes

    def row_bytes(self, context_tokens: int) -> int:
        """The cache of one conversation of this length."""
        slid = min(context_tokens, self.window)
        return self.layer_token_bytes * (self.global_layers * context_tokens + self.sliding_layers * slid)

    def rows_that_fit(self, budget_bytes: int, context_tokens: int) -> int:
        """How many conversations of this length lie in the budget at once."""
        return max(0, budget_bytes) // max(1, self.row_bytes(context_tokens))


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A model as it lies in memory: ``weight_bytes`` counts what one decoding step reads."""

    kv: KvGeometry
    parameters: int
    weight_bytes: int
    max_context: int | None

    def decode_ceiling(self, rows: int, context_tokens: int, bandwidth: float) -> float:
        """Tokens a second of all rows together that memory ``bandwidth`` (bytes a second) allows; no compute is counted."""
        return rows * bandwidth / (self.weight_bytes + rows * self.kv.row_bytes(context_tokens))


def figures_of(config: Mapping[str, Any], *, number_bytes: int = 2) -> ModelFigures:
    """The figures of a ``config.json`` of the Gemma 3, Llama, Mistral or Qwen 2/3 families.

    Raises:
        UnknownModelError: a key is missing or is no positive whole number.
    """
    text = _text_part(config)
    layers = _whole(text, "num_hidden_layers")
    heads = _whole(text, "num_attention_heads")
    head_dim = _whole(text, "head_dim", default=_whole(text, "hidden_size") // heads)
    kv_heads = _whole(text, "num_key_value_heads", default=heads)
    sliding, window = _sliding(text, layers)
    kv = KvGeometry(
        global_layers=layers - sliding, sliding_layers=sliding, window=window, kv_heads=kv_heads, head_dim=head_dim,
        number_bytes=number_bytes,
    )  # fmt: skip
    parameters = _parameters(text, layers, head_dim * heads, head_dim * kv_heads)
    limit = text.get("max_position_embeddings")
    return ModelFigures(
        kv=kv,
        parameters=parameters,
        weight_bytes=int(parameters * _weight_bits(config, number_bytes) / 8),
        max_context=limit if isinstance(limit, int) else None,
    )


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    text: Mapping[str, Any] = config.get("text_config", config)
    if str(text.get("model_type", config.get("model_type", ""))).startswith("gemma3"):
        return {**_GEMMA3_DEFAULTS, "sliding_window_pattern": _GEMMA3_PATTERN, **text}
    return text


def _sliding(text: Mapping[str, Any], layers: int) -> tuple[int, int]:
    """(layers that slide, their window in tokens)."""
    kinds = text.get("layer_types")
    if isinstance(kinds, list):
        count = sum(kind == "sliding_attention" for kind in kinds)
        return (count, _whole(text, "sliding_window")) if count else (0, 0)
    if "sliding_window_pattern" in text and text.get("sliding_window"):
        return layers - layers // _whole(text, "sliding_window_pattern"), _whole(text, "sliding_window")
    return 0, 0


def _parameters(text: Mapping[str, Any], layers: int, query: int, key: int) -> int:
    """Matrices of attention, gated feed-forward and vocabulary; norms and biases are below a thousandth."""
    hidden, vocabulary = _whole(text, "hidden_size"), _whole(text, "vocab_size")
    layer = 2 * hidden * query + 2 * hidden * key + 3 * hidden * _whole(text, "intermediate_size")
    tables = 1 if text.get("tie_word_embeddings", "gemma" in str(text.get("model_type", ""))) else 2
    return layers * layer + tables * vocabulary * hidden


def _weight_bits(config: Mapping[str, Any], number_bytes: int) -> float:
    quantised = config.get("quantization") or config.get("quantization_config")
    if not isinstance(quantised, Mapping) or "bits" not in quantised:
        return number_bytes * 8
    return _whole(quantised, "bits") + _GROUP_OVERHEAD_BITS / _whole(quantised, "group_size", default=_DEFAULT_GROUP)


def _whole(config: Mapping[str, Any], key: str, *, default: int | None = None) -> int:
    value = config.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise UnknownModelError(f"config.json lacks {key}, or it is no positive whole number")
    return value
