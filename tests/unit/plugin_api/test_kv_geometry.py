"""The cache's arithmetic against the sizes published for known models."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugin_api.kv_geometry import KvGeometry, UnknownModelError, figures_of

MEDGEMMA_4B: dict[str, Any] = {
    "model_type": "gemma3",
    "text_config": {
        "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34,
        "sliding_window": 1024, "vocab_size": 262208, "max_position_embeddings": 131072,
    },
    "quantization": {"bits": 4, "group_size": 64},
}  # fmt: skip
LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072, "tie_word_embeddings": False,
}  # fmt: skip


def test_medgemma_4b_has_its_published_size() -> None:
    figures = figures_of(MEDGEMMA_4B)
    assert figures.parameters == pytest.approx(3.88e9, rel=0.005)
    assert figures.weight_bytes == pytest.approx(figures.parameters * 4.5 / 8, rel=1e-6)
    assert (figures.kv.global_layers, figures.kv.sliding_layers, figures.max_context) == (5, 29, 131072)
    assert figures.kv.row_bytes(1024) == (116 + 20) << 20
    assert figures.kv.row_bytes(8192) - figures.kv.row_bytes(7168) == 20 << 20


def test_llama_3_8b_has_its_published_size() -> None:
    figures = figures_of(LLAMA)
    assert figures.parameters == pytest.approx(8.03e9, rel=0.005)
    assert figures.weight_bytes == 2 * figures.parameters
    assert figures.kv.row_bytes(8192) == 1 << 30


def test_layer_types_decide_when_they_are_given() -> None:
    kinds = ["sliding_attention", "full_attention"] * 16
    figures = figures_of({**LLAMA, "layer_types": kinds, "sliding_window": 128})
    assert (figures.kv.global_layers, figures.kv.sliding_layers, figures.kv.window) == (16, 16, 128)
    assert figures_of({**LLAMA, "layer_types": ["full_attention"] * 32}).kv.sliding_layers == 0


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 4096), st.integers(1, 200_000), st.integers(0, 1 << 40))
def test_what_fits_fits_and_one_more_does_not(full: int, slid: int, window: int, context: int, budget: int) -> None:
    kv = KvGeometry(global_layers=full, sliding_layers=slid, window=window, kv_heads=4, head_dim=64, number_bytes=2)
    rows = kv.rows_that_fit(budget, context)
    assert rows * kv.row_bytes(context) <= budget
    assert (rows + 1) * max(1, kv.row_bytes(context)) > budget
    assert kv.row_bytes(context) <= kv.row_bytes(context + 1)


def test_more_rows_never_lower_the_ceiling_and_never_scale_beyond_their_number() -> None:
    figures = figures_of(MEDGEMMA_4B)
    ceilings = [figures.decode_ceiling(rows, 8192, 819e9) for rows in (1, 8, 64, 200)]
    assert ceilings == sorted(ceilings)
    assert ceilings[2] < 64 * ceilings[0]


@pytest.mark.parametrize(
    "key", ["hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size", "num_attention_heads"]
)
@pytest.mark.parametrize("value", [None, 0, -1, "many", True, 1.5])
def test_a_configuration_that_says_too_little_names_the_key(key: str, value: object) -> None:
    with pytest.raises(UnknownModelError, match=key):
        figures_of({**LLAMA, key: value})
