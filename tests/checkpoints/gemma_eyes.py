"""A tiny random Gemma 3 with a vision tower, in the layout of Hugging Face's released checkpoints: deterministic, made in a moment."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from tests.checkpoints.gemma import BOS, END_OF_TURN, EOS, TEMPLATE, _tokenizer

IMAGE_SIZE, PATCH = 56, 7
SIDE = IMAGE_SIZE // PATCH
TOKENS = 16
"""Of one picture, for the language model: 2 x 2 patches each."""
VISION, WIDER, VISION_HEADS = 32, 64, 4
TEXT, TEXT_WIDER, HEADS, KV_HEADS, HEAD_DIM, LAYERS, PATTERN = 64, 128, 4, 2, 16, 4, 2
WINDOW = 24
"""Of the layers that slide: shorter than the prompts and only a little longer than a picture, so that a wrong mask shows."""
WORDS = 600
EYES = ("<start_of_image>", "<end_of_image>", "<image_soft_token>")


def make_tiny_gemma_with_eyes(folder: Path, *, seed: int = 0, poisonous: bool = False, later: bool = False) -> Path:
    """Random fp32 weights; ``poisonous``: the projection is not a number; ``later``: config and names as transformers 5 saves them."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(WORDS)
    tokenizer.add_special_tokens(list(EYES))
    tokenizer.save(str(folder / "tokenizer.json"))
    ids = {name: int(tokenizer.token_to_id(name) or 0) for name in EYES}
    names = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [EOS, END_OF_TURN]}))
    half = [0.5, 0.5, 0.5]
    steps = {"do_resize": True, "do_rescale": True, "do_normalize": True, "resample": 2, "image_mean": half}
    numbers = {"rescale_factor": 1 / 255, "image_std": half, "size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE}}
    (folder / "preprocessor_config.json").write_text(json.dumps(steps | numbers))
    vocabulary = tokenizer.get_vocab_size()
    (folder / "config.json").write_text(json.dumps(tiny_config(vocabulary, ids, later=later)))
    weights = tiny_weights(vocabulary, seed)
    if poisonous:
        weights["multi_modal_projector.mm_soft_emb_norm.weight"][3] = np.nan
    arrays = {(name.replace("vision_model.", "") if later else name): mx.array(one) for name, one in weights.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), arrays, {"format": "pt"})
    return folder


def tiny_config(vocabulary: int, ids: dict[str, int], *, later: bool = False) -> dict[str, Any]:
    """As released; ``later``: with the rotary figures where transformers 5 writes them."""
    full, local = {"rope_type": "linear", "factor": 8.0}, {"rope_theta": 1e4, "rope_type": "default"}
    if later:
        rotary: dict[str, Any] = {
            "rope_parameters": {"full_attention": full | {"rope_theta": 1e6}, "sliding_attention": local},
            "layer_types": ["sliding_attention", "full_attention"] * (LAYERS // PATTERN),
        }
    else:
        rotary = {"rope_theta": 1e6, "rope_local_base_freq": 1e4, "rope_scaling": full}
    text = {
        "model_type": "gemma3_text", "hidden_size": TEXT, "intermediate_size": TEXT_WIDER, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "vocab_size": vocabulary,
        "query_pre_attn_scalar": HEAD_DIM, "sliding_window": WINDOW, "sliding_window_pattern": PATTERN, "rms_norm_eps": 1e-6,
        "max_position_embeddings": 512, **rotary,
    }  # fmt: skip
    vision = {
        "model_type": "siglip_vision_model", "hidden_size": VISION, "intermediate_size": WIDER, "num_hidden_layers": 2,
        "num_attention_heads": VISION_HEADS, "image_size": IMAGE_SIZE, "patch_size": PATCH, "vision_use_head": False,
    }  # fmt: skip
    return {
        "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text, "vision_config": vision,
        "mm_tokens_per_image": TOKENS, "boi_token_index": ids[EYES[0]], "eoi_token_index": ids[EYES[1]],
        "image_token_index": ids[EYES[2]], "eos_token_id": [EOS, END_OF_TURN], "bos_token_id": BOS, "torch_dtype": "float32",
    }  # fmt: skip


def tiny_weights(vocabulary: int, seed: int) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Every array under its released name. Uniform numbers: their stream is the same on every machine."""
    chance = np.random.default_rng(seed)
    weights: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {}
    for name, shape in _shapes(vocabulary).items():
        reach = 2.0 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.3
        if "position_embedding" in name:
            reach = 0.5
        if "embed_tokens" in name:
            reach = 0.05
        if "mm_input_projection" in name:
            reach = 3.0 / math.sqrt(
                VISION
            )  # pictures must weigh as much as words, or no comparison would show anything
        values = (chance.random(shape) * 2 - 1) * reach
        if name.startswith("vision_tower") and name.endswith(("norm.weight", "norm1.weight", "norm2.weight")):
            values += 1.0
        weights[name] = values.astype(np.float32)
    return weights


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    tower, text = "vision_tower.vision_model.", "language_model.model."
    shapes: dict[str, tuple[int, ...]] = {
        f"{tower}embeddings.patch_embedding.weight": (VISION, 3, PATCH, PATCH),
        f"{tower}embeddings.patch_embedding.bias": (VISION,),
        f"{tower}embeddings.position_embedding.weight": (SIDE**2, VISION),
        f"{tower}post_layernorm.weight": (VISION,),
        f"{tower}post_layernorm.bias": (VISION,),
        "multi_modal_projector.mm_input_projection_weight": (VISION, TEXT),
        "multi_modal_projector.mm_soft_emb_norm.weight": (VISION,),
        f"{text}embed_tokens.weight": (vocabulary, TEXT),
        f"{text}norm.weight": (TEXT,),
    }
    for number in range(2):
        layer = f"{tower}encoder.layers.{number}."
        for part, out, into in _linears():
            shapes |= {f"{layer}{part}.weight": (out, into), f"{layer}{part}.bias": (out,)}
        for norm in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{layer}{norm}.weight": (VISION,), f"{layer}{norm}.bias": (VISION,)}
    for number in range(LAYERS):
        shapes |= {f"{text}layers.{number}.{part}.weight": shape for part, shape in _text_layer().items()}
    return shapes


def _linears() -> list[tuple[str, int, int]]:
    attention = [(f"self_attn.{part}_proj", VISION, VISION) for part in ("q", "k", "v", "out")]
    return [*attention, ("mlp.fc1", WIDER, VISION), ("mlp.fc2", VISION, WIDER)]


def _text_layer() -> dict[str, tuple[int, ...]]:
    sides = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")
    return {
        "self_attn.q_proj": (HEADS * HEAD_DIM, TEXT),
        "self_attn.k_proj": (KV_HEADS * HEAD_DIM, TEXT),
        "self_attn.v_proj": (KV_HEADS * HEAD_DIM, TEXT),
        "self_attn.o_proj": (TEXT, HEADS * HEAD_DIM),
        "self_attn.q_norm": (HEAD_DIM,),
        "self_attn.k_norm": (HEAD_DIM,),
        "mlp.gate_proj": (TEXT_WIDER, TEXT),
        "mlp.up_proj": (TEXT_WIDER, TEXT),
        "mlp.down_proj": (TEXT, TEXT_WIDER),
        **dict.fromkeys(sides, (TEXT,)),
    }
