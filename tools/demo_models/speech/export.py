"""Writes the trained network as a checkpoint that mlx_whisper loads: the full vocabulary, quantised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.demo_models.speech.mel import BANDS
from tools.demo_models.speech.network import AUDIO_POSITIONS, GUIDED_HEADS, TEXT_POSITIONS, SpeechNetwork
from tools.demo_models.speech.plans import Shape
from tools.demo_models.speech.vocabulary import FULL_SIZE, Vocabulary

Weights = dict[str, NDArray[Any]]
_GROUP_SIZE: Final = 64


def export(network: SpeechNetwork, vocabulary: Vocabulary, out: Path, bits: int | None = 4) -> int:
    """Write ``config.json`` and ``weights.safetensors`` and return the latter's bytes; ``bits`` None keeps fp32."""
    import mlx.core as mx
    from mlx import nn
    from mlx.utils import tree_flatten
    from mlx_whisper.whisper import ModelDimensions, Whisper

    out.mkdir(parents=True, exist_ok=True)
    dimensions = _dimensions(network.shape)
    model = Whisper(ModelDimensions(**dimensions), mx.float32)
    weights = full_weights(network, vocabulary)
    layers = range(network.shape.decoder)
    heads = mx.array([[layer, head] for layer in layers for head in range(GUIDED_HEADS)], mx.int32)
    arrays = [(name, mx.array(value)) for name, value in weights.items()]
    model.alignment_heads = heads
    model.load_weights([*arrays, ("alignment_heads", heads)], strict=True)
    config: dict[str, Any] = {**dimensions, "model_type": "whisper"}
    if bits is not None:
        nn.quantize(model, group_size=_GROUP_SIZE, bits=bits)
        config["quantization"] = {"group_size": _GROUP_SIZE, "bits": bits}
    kept = dict(_kept(tree_flatten(model.parameters()), mx, half=bits is not None))
    kept["alignment_heads"] = heads
    path = out / "weights.safetensors"
    mx.save_safetensors(str(path), kept)
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    return path.stat().st_size


def full_weights(network: SpeechNetwork, vocabulary: Vocabulary) -> Weights:
    """mlx_whisper's names and layouts; every row of the vocabulary that is not in use is the same."""
    compact = network.embedding.table().detach().cpu().numpy()
    table = np.repeat(compact[vocabulary.unused :], FULL_SIZE, axis=0)
    table[np.array(vocabulary.full)] = compact[: vocabulary.unused]
    weights: Weights = {
        "decoder.token_embedding.weight": table,
        "decoder.positional_embedding": network.positions.detach().cpu().numpy(),
    }
    for name, parameter in network.named_parameters():
        value = parameter.detach().cpu().numpy()
        if name.startswith("encoder."):
            weights[name] = value.transpose(0, 2, 1) if "conv" in name and value.ndim == 3 else value
        elif name.startswith(("blocks.", "ln.")):
            weights[f"decoder.{name}"] = value
    return weights


def _dimensions(shape: Shape) -> dict[str, int]:
    return {
        "n_mels": BANDS,
        "n_audio_ctx": AUDIO_POSITIONS,
        "n_audio_state": shape.state,
        "n_audio_head": shape.heads,
        "n_audio_layer": shape.encoder,
        "n_vocab": FULL_SIZE,
        "n_text_ctx": TEXT_POSITIONS,
        "n_text_state": shape.state,
        "n_text_head": shape.heads,
        "n_text_layer": shape.decoder,
    }


def _kept(parameters: list[tuple[str, Any]], mx: Any, *, half: bool) -> Iterator[tuple[str, Any]]:
    """What a checkpoint holds: no computed positions or masks, and half precision where the weights are quantised."""
    for name, value in parameters:
        if not name.startswith(("encoder._", "decoder._")) and name != "alignment_heads":
            yield name, value.astype(mx.float16) if half and value.dtype == mx.float32 else value
