"""Reads a language model for the machine at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import mlx_lm.generate
from mlx import nn
from mlx.utils import tree_flatten
from mlx_lm.models.cache import RotatingKVCache, make_prompt_cache
from mlx_lm.tokenizer_utils import TokenizerWrapper
from mlx_lm.utils import dequantize_model, load

from appliance.plugin_api.kv_geometry import KvGeometry

_RUNTIME_BYTES: Final = 900 << 20
"""Python, MLX, transformers and a tokenizer of 262 thousand tokens before any weight."""
_PROBE_TOKENS: Final = 2


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model with its tokenizer and its figures."""

    model: nn.Module
    tokenizer: TokenizerWrapper
    vocabulary: int
    """Columns of the logits; may exceed the tokenizer's own count."""
    max_positions: int | None
    kv: KvGeometry
    weight_bytes: int

    def footprint_bytes(self, batch_size: int, cache_bytes: int) -> int:
        """Upper bound of what the process holds with every row full; ``cache_bytes`` for rows and known beginnings."""
        logits = 4 * self.vocabulary * batch_size * 4
        return int(_RUNTIME_BYTES + self.weight_bytes + cache_bytes + logits)


def load_language_model(folder: Path, precision: str) -> LanguageModel:
    """The model, expanded to fp32 on a CPU: neither quantised nor half-precision arithmetic reaches the BLAS there."""
    forbid_wired_memory()
    model, tokenizer, config = load(str(folder), return_config=True)
    on_cpu = mx.default_device().type == mx.DeviceType.cpu
    if precision == "fp32" or (precision == "auto" and on_cpu):
        dequantize_model(model)
        model.set_dtype(mx.float32)
    mx.eval(model.parameters())
    cache = make_prompt_cache(model)
    logits = model(mx.array([[0] * _PROBE_TOKENS]), cache=cache)
    mx.eval(logits)
    return LanguageModel(
        model=model,
        tokenizer=tokenizer,
        vocabulary=int(logits.shape[-1]),
        max_positions=_max_positions(config),
        kv=_kv_geometry(cache),
        weight_bytes=sum(array.nbytes for _, array in tree_flatten(model.parameters())),
    )


def forbid_wired_memory() -> None:
    """Keep mlx-lm from wiring GPU memory: with it, M3 Ultra kernels panic under concurrency and cache churn (FACTS, MLX)."""
    mlx_lm.generate.maybe_set_recommended_wired_limit = lambda: None


def _max_positions(config: dict[str, Any]) -> int | None:
    value = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
    return int(value) if value else None


def _kv_geometry(cache: list[Any]) -> KvGeometry:
    """The shape of a real cache, layer by layer: what the model does, whatever its configuration says."""
    windows = [int(layer.max_size) for layer in cache if isinstance(layer, RotatingKVCache)]
    keys = cache[0].state[0]
    return KvGeometry(
        global_layers=len(cache) - len(windows),
        sliding_layers=len(windows),
        window=max(windows, default=0),
        kv_heads=max(int(layer.state[0].shape[1]) for layer in cache),
        head_dim=max(int(layer.state[0].shape[3]) for layer in cache),
        number_bytes=int(keys.dtype.size),
    )
