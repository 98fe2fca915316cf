"""What the caches may take. Light: both the core's half and the child's half compute it, and must agree."""

from __future__ import annotations

from typing import Final

from appliance.plugin_api.kv_geometry import KvGeometry

_MIB: Final = 1 << 20
_USUAL_SHARE: Final = 4
"""Most conversations are far shorter than the longest one allowed; a quarter of all rows full is plenty."""
_BLOCK: Final = 256
"""Caches grow by blocks of this many tokens (mlx-lm)."""


def in_blocks(tokens: int) -> int:
    """Tokens rounded up to what a cache really takes."""
    return -(-tokens // _BLOCK) * _BLOCK


def kv_budget_bytes(geometry: KvGeometry, context_tokens: int, rows: int, configured_mib: int) -> int:
    """Bytes for the caches of all conversations together: as configured, else a quarter of full rows, at least one full row."""
    if configured_mib:
        return configured_mib * _MIB
    full = geometry.row_bytes(in_blocks(context_tokens))
    return max(2 * full, rows * full // _USUAL_SHARE)
