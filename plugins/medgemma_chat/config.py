"""The plugin's table in ``prontuario.toml``: ``[plugins.medgemma_chat]``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class ChatConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How conversations are answered.

    ``model`` is a folder in mlx-lm's format; without it the active pack of ``chat_model`` is used, and without a pack the
    demonstration. ``context_tokens`` bounds prompt and answer together; ``batch_size`` conversations decode at a time,
    and a quarter more where people have none yet: whoever sends a hundred requests does not hold every place.
    ``precision`` "auto" computes in fp32 on a CPU and as stored on a GPU. ``piece_every_s`` is the least time between two pieces
    of a streamed answer; it grows with the number of answers, so that messages do not cost more than tokens.
    ``kv_mib`` bounds the caches of all conversations together (0: a quarter of what full rows would take);
    ``prefix_mib`` those of known beginnings, which are forgotten ``prefix_age_s`` after their last use. While answers are
    written, reading a long prompt holds them up for ``stall_s`` at most.
    """

    model: str | None = None
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=256)] = 32
    context_tokens: Annotated[int, msgspec.Meta(ge=64)] = 8192
    prefill_step_tokens: Annotated[int, msgspec.Meta(ge=16)] = 512
    precision: Literal["auto", "fp32", "stored"] = "auto"
    piece_every_s: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.04
    kv_mib: Annotated[int, msgspec.Meta(ge=0)] = 0
    prefix_mib: Annotated[int, msgspec.Meta(ge=0)] = 256
    prefix_age_s: Annotated[float, msgspec.Meta(gt=0)] = 900.0
    stall_s: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.1
