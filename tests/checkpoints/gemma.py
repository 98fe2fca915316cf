"""A tiny random gemma3_text with a tokenizer of its own, in the format that mlx-lm reads: deterministic, made in seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.models import gemma3_text
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIALS = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
EOS, BOS, END_OF_TURN = 1, 2, 5
POISON = "☠"
"""In a checkpoint made with ``poisonous``, a prompt with this character gets probabilities that are not numbers."""
SYLLABLES = [
    "pa",
    "ci",
    "en",
    "te",
    "do",
    "res",
    "pi",
    "ra",
    "cao",
    "fe",
    "bre",
    "tos",
    "se",
    "car",
    "di",
    "o",
    "me",
    "tri",
    "a",
    "na",
    "le",
    "so",
    "ri",
    "vo",
    "mg",
    "ml",
    "kg",
]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if (m['role'] == 'assistant') != (loop.index0 % 2 == 1) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def make_tiny_gemma(
    folder: Path,
    *,
    seed: int = 0,
    window: int = 32,
    positions: int = 512,
    vocabulary: int = 600,
    poisonous: bool = False,
) -> Path:
    """Random fp32 weights, 4 layers, every second one with a sliding window of ``window`` tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(vocabulary)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "chat_template": TEMPLATE,
        "model_max_length": positions,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [EOS, END_OF_TURN]}))
    config = _config(tokenizer.get_vocab_size(), window, positions)
    (folder / "config.json").write_text(json.dumps(config))
    poisoned = tokenizer.token_to_id(POISON) if poisonous else None
    mx.save_safetensors(str(folder / "model.safetensors"), _weights(config, seed, poisoned), {"format": "mlx"})
    return folder


def _tokenizer(vocabulary: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    chance = random.Random(0)
    corpus = [" ".join("".join(chance.choices(SYLLABLES, k=3)) for _ in range(30)) for _ in range(200)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens([POISON])
    return tokenizer


def _config(vocabulary: int, window: int, positions: int) -> dict[str, object]:
    return {
        "model_type": "gemma3_text",
        "architectures": ["Gemma3ForCausalLM"],
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "intermediate_size": 128,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "rms_norm_eps": 1e-6,
        "vocab_size": vocabulary,
        "rope_theta": 1e6,
        "rope_local_base_freq": 1e4,
        "query_pre_attn_scalar": 32,
        "sliding_window": window,
        "sliding_window_pattern": 2,
        "max_position_embeddings": positions,
        "eos_token_id": [EOS, END_OF_TURN],
        "bos_token_id": BOS,
        "pad_token_id": 0,
        "torch_dtype": "float32",
    }


def _weights(config: dict[str, object], seed: int, poisoned: int | None) -> dict[str, mx.array]:
    """``lm_head`` is kept apart from the embedding only where a poisoned embedding must not spoil every row's logits."""
    mx.random.seed(seed)
    model = gemma3_text.Model(gemma3_text.ModelArgs.from_dict(config))
    weights = {}
    for name, value in tree_flatten(model.parameters()):
        # Gemma's norms multiply by 1 + weight, so zero is the neutral value.
        weights[name] = mx.zeros_like(value) if value.ndim == 1 else mx.random.normal(value.shape) * 0.08
    if poisoned is None:
        weights.pop("lm_head.weight", None)
    else:
        embedding = weights["model.embed_tokens.weight"]
        embedding[poisoned] = mx.full((embedding.shape[1],), mx.nan)
        weights["model.embed_tokens.weight"] = embedding
    return weights
