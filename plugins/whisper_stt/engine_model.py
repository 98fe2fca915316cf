"""Reads a Whisper checkpoint for the machine at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import mlx.core as mx
from mlx import nn
from mlx.utils import tree_flatten, tree_map_with_path
from mlx_whisper.load_models import load_model
from mlx_whisper.whisper import Whisper

_RUNTIME_BYTES: Final = 700 << 20
"""Python, MLX, numba and the tokenizer before any weight."""
_BYTES_PER_VALUE: Final = 4


def load_whisper(folder: Path, precision: str) -> tuple[Whisper, bool]:
    """The model, and whether it computes in half precision.

    On a CPU the weights are expanded to fp32: neither quantised nor half-precision arithmetic reaches the BLAS there.
    """
    on_cpu = mx.default_device().type == mx.DeviceType.cpu
    full = precision == "fp32" or (precision == "auto" and on_cpu)
    dtype = mx.float32 if full else mx.float16
    model = load_model(str(folder), dtype)
    if full:
        dequantise(model)
    model.set_dtype(dtype)
    mx.eval(model.parameters())
    return model, not full


def dequantise(model: nn.Module) -> None:
    """Replace every quantised layer by its plain one, in place."""

    def plain(_path: str, layer: Any) -> Any:
        if not isinstance(layer, nn.QuantizedLinear | nn.QuantizedEmbedding):
            return layer
        weight = mx.dequantize(
            layer.weight, layer.scales, layer.biases, group_size=layer.group_size, bits=layer.bits, mode=layer.mode
        )
        if isinstance(layer, nn.QuantizedEmbedding):
            replacement: nn.Module = nn.Embedding(1, 1)
        else:
            replacement = nn.Linear(1, 1, bias="bias" in layer)
            if "bias" in layer:
                replacement.bias = layer.bias
        replacement.weight = weight
        return replacement

    model.update_modules(tree_map_with_path(plain, model.leaf_modules(), is_leaf=nn.Module.is_module))


def resident_bytes(model: Whisper, batch_size: int) -> int:
    """Upper bound of what the process holds: runtime, weights, and one batch's activations and caches."""
    dims = model.dims
    weights = sum(array.nbytes for _, array in tree_flatten(model.parameters()))
    attention = dims.n_audio_head * dims.n_audio_ctx**2
    encoder = dims.n_audio_ctx * dims.n_audio_state * (12 + 4 * dims.n_text_layer) + attention
    decoder = dims.n_text_ctx * dims.n_text_state * 4 * dims.n_text_layer + 4 * dims.n_vocab
    return int(_RUNTIME_BYTES + weights + batch_size * (encoder + decoder) * _BYTES_PER_VALUE)
