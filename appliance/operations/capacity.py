"""``prontuario models capacity``: what a model promises on a machine, and which promises physics allows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.plugin_api.kv_geometry import ModelFigures, UnknownModelError, figures_of

GB: Final = 10**9
CONTEXTS: Final = (8 * 1024, 32 * 1024, 128 * 1024)
ROWS: Final = (1, 8, 64, 200)
FORMULA: Final = (
    "cache of a row = 2 × kv_heads × head_dim × bytes × (global_layers × context + sliding_layers × min(context, window));  "
    "tokens/s ≤ rows × bandwidth ÷ (weights + rows × cache of a row)"
)


class ContextCapacity(msgspec.Struct, frozen=True, kw_only=True):
    """One context length. ``ceilings`` maps conversations at once to tokens a second of all; what doesn't fit is left out."""

    context_tokens: int
    cache_bytes: int
    fit: int
    ceilings: dict[int, float]
    beyond_model: bool
    """The model was not made for contexts of this length."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer; ``budget_bytes`` holds weights and caches together, ``bandwidth`` is in bytes a second."""

    figures: ModelFigures
    budget_bytes: int
    bandwidth: float
    contexts: tuple[ContextCapacity, ...]

    def promise(self, rows: int, context_tokens: int) -> bool:
        """Whether so many conversations of this length lie in the budget beside the weights."""
        return self.figures.kv.rows_that_fit(self.budget_bytes - self.figures.weight_bytes, context_tokens) >= rows


def read_config(path: Path) -> dict[str, Any]:
    """``config.json`` itself, or the one in a model's folder.

    Raises:
        UnknownModelError: it can't be read, or is no JSON object.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        config = msgspec.json.decode(file.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise UnknownModelError(f"{file.name} can't be read: {error}") from error
    if not isinstance(config, dict):
        raise UnknownModelError(f"{file.name} is no JSON object")
    return config


def capacity(
    config: dict[str, Any],
    *,
    budget_bytes: int,
    bandwidth: float,
    contexts: Sequence[int] = CONTEXTS,
    rows: Sequence[int] = ROWS,
) -> Capacity:
    """Compute the table.

    Raises:
        UnknownModelError: the configuration does not say enough.
    """
    figures = figures_of(config)
    free = budget_bytes - figures.weight_bytes
    table = tuple(_one(figures, free, context, bandwidth, rows) for context in contexts)
    return Capacity(figures=figures, budget_bytes=budget_bytes, bandwidth=bandwidth, contexts=table)


def _one(figures: ModelFigures, free: int, context: int, bandwidth: float, rows: Sequence[int]) -> ContextCapacity:
    fit = figures.kv.rows_that_fit(free, context)
    return ContextCapacity(
        context_tokens=context,
        cache_bytes=figures.kv.row_bytes(context),
        fit=fit,
        ceilings={count: figures.decode_ceiling(count, context, bandwidth) for count in rows if count <= fit},
        beyond_model=figures.max_context is not None and context > figures.max_context,
    )


def as_text(answer: Capacity) -> str:
    """The table for a terminal, with the formula."""
    figures = answer.figures
    model = f"{figures.parameters / 1e6:,.0f} million parameters, weights {figures.weight_bytes / GB:.3f} GB"
    lines = [
        f"{model}, budget {answer.budget_bytes / GB:.0f} GB, bandwidth {answer.bandwidth / GB:.0f} GB/s",
        FORMULA,
        f"{'context':>8} {'cache each':>11} {'fit':>6}   tokens/s at most, all conversations together",
    ]
    for one in answer.contexts:
        ceilings = ", ".join(f"{count}: {value:,.0f}" for count, value in one.ceilings.items()) or "none fits"
        note = "  (longer than the model was made for)" if one.beyond_model else ""
        lines.append(f"{one.context_tokens:>8,} {one.cache_bytes / 2**20:>7,.0f} MiB {one.fit:>6,}   {ceilings}{note}")
    return "\n".join(lines)
