"""A tiny random Whisper in mlx-whisper's on-disk format: deterministic, made in about a second."""

from __future__ import annotations

import json
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_whisper.whisper import ModelDimensions, Whisper

MULTILINGUAL_VOCABULARY = 51_865


def make_tiny_whisper(
    folder: Path,
    *,
    seed: int = 0,
    state: int = 32,
    layers: int = 2,
    heads: int = 2,
    audio_positions: int = 250,
    mels: int = 80,
) -> Path:
    """Random fp32 weights; ``audio_positions`` of 20 ms are the window. Such weights never end a text by themselves."""
    folder.mkdir(parents=True, exist_ok=True)
    dimensions = {
        "n_mels": mels,
        "n_audio_ctx": audio_positions,
        "n_audio_state": state,
        "n_audio_head": heads,
        "n_audio_layer": layers,
        "n_vocab": MULTILINGUAL_VOCABULARY,
        "n_text_ctx": 64,
        "n_text_state": state,
        "n_text_head": heads,
        "n_text_layer": layers,
    }
    mx.random.seed(seed)
    model = Whisper(ModelDimensions(**dimensions), mx.float32)
    weights = {}
    for name, value in tree_flatten(model.parameters()):
        random = name != "alignment_heads" and value.ndim > 1
        weights[name] = mx.random.normal(value.shape) * 0.3 if random else value
    weights["alignment_heads"] = model.alignment_heads
    mx.save_safetensors(str(folder / "weights.safetensors"), weights)
    (folder / "config.json").write_text(json.dumps(dimensions | {"model_type": "whisper"}))
    return folder
