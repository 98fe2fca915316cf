"""A tiny random SigLIP in the format of Hugging Face's checkpoints: deterministic, made in a moment."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

SPIECE = Path(__file__).with_name("siglip.spiece")
"""200 pieces trained on invented syllables; ``</s>`` is 1 as in SigLIP's own."""
IMAGE_SIZE, PATCH = 56, 14
SIDE = IMAGE_SIZE // PATCH
WIDTH, WIDER, HEADS, LAYERS = 32, 64, 4, 2
VOCABULARY, LENGTH = 200, 16


def make_tiny_siglip(folder: Path, *, seed: int = 0, resample: int = 2, poisonous: bool = False) -> Path:
    """Random fp32 weights; with ``poisonous`` a bias is not a number. ``resample`` is Pillow's number of a filter."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(tiny_config()))
    half = [0.5, 0.5, 0.5]
    steps = {"do_resize": True, "do_rescale": True, "do_normalize": True, "resample": resample}
    numbers = {"rescale_factor": 1 / 255, "image_mean": half, "image_std": half}
    size = {"size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE}, "image_processor_type": "SiglipImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(steps | numbers | size))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "SiglipTokenizer", "pad_token": "</s>", "eos_token": "</s>"})
    )
    shutil.copyfile(SPIECE, folder / "spiece.model")
    weights = tiny_weights(seed)
    if poisonous:
        weights["vision_model.post_layernorm.bias"][3] = np.nan
    arrays = {name: mx.array(value) for name, value in weights.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), arrays, {"format": "pt"})
    return folder


def tiny_config() -> dict[str, Any]:
    tower = {
        "hidden_size": WIDTH,
        "intermediate_size": WIDER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
    }
    text = {"vocab_size": VOCABULARY, "max_position_embeddings": LENGTH, "projection_size": WIDTH}
    return {
        "model_type": "siglip",
        "architectures": ["SiglipModel"],
        "text_config": tower | text | {"model_type": "siglip_text_model"},
        "vision_config": tower
        | {"model_type": "siglip_vision_model", "image_size": IMAGE_SIZE, "patch_size": PATCH, "num_channels": 3},
        "torch_dtype": "float32",
    }


def tiny_weights(seed: int) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Every array of a checkpoint under its name there. Uniform numbers: their stream is the same on every machine."""
    chance = np.random.default_rng(seed)
    weights: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {}
    for name, shape in _shapes().items():
        # Wide enough that two pictures end up far apart, or no comparison would show anything.
        reach = 2.0 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.3
        if name.endswith("embedding.weight") and "patch" not in name:
            reach = 1.5  # places and tokens count as much as pixels
        values = (chance.random(shape) * 2 - 1) * reach
        if name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
            values += 1.0
        weights[name] = values.astype(np.float32)
    weights["logit_scale"] = np.array([math.log(10.0)], np.float32)
    weights["logit_bias"] = np.array([-1.5], np.float32)
    return weights


def _shapes() -> dict[str, tuple[int, ...]]:
    vision, text = "vision_model.", "text_model."
    shapes: dict[str, tuple[int, ...]] = {
        f"{text}embeddings.token_embedding.weight": (VOCABULARY, WIDTH),
        f"{text}embeddings.position_embedding.weight": (LENGTH, WIDTH),
        f"{vision}embeddings.patch_embedding.weight": (WIDTH, 3, PATCH, PATCH),
        f"{vision}embeddings.patch_embedding.bias": (WIDTH,),
        f"{vision}embeddings.position_embedding.weight": (SIDE**2, WIDTH),
        f"{vision}head.probe": (1, 1, WIDTH),
        f"{vision}head.attention.in_proj_weight": (3 * WIDTH, WIDTH),
        f"{vision}head.attention.in_proj_bias": (3 * WIDTH,),
    }
    shapes |= _linear(f"{text}head", WIDTH, WIDTH) | _linear(f"{vision}head.attention.out_proj", WIDTH, WIDTH)
    shapes |= _mlp(f"{vision}head.mlp")
    for norm in (f"{text}final_layer_norm", f"{vision}post_layernorm", f"{vision}head.layernorm"):
        shapes |= _norm(norm)
    for tower in (text, vision):
        for number in range(LAYERS):
            layer = f"{tower}encoder.layers.{number}."
            shapes |= _norm(f"{layer}layer_norm1") | _norm(f"{layer}layer_norm2") | _mlp(f"{layer}mlp")
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                shapes |= _linear(f"{layer}self_attn.{part}", WIDTH, WIDTH)
    return shapes


def _linear(name: str, out: int, into: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}


def _mlp(name: str) -> dict[str, tuple[int, ...]]:
    return _linear(f"{name}.fc1", WIDER, WIDTH) | _linear(f"{name}.fc2", WIDTH, WIDER)
