"""From the trained fp32 model to the pack that mlx-lm loads: half precision, then quantised by groups."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer

from tools.demo_models.notes import tokenizer as tokenizers

FLOAT_WEIGHTS: Final = "float.safetensors"
PARITY: Final = "parity.safetensors"
BITS: Final = 8
GROUP: Final = 32


@dataclass(frozen=True, slots=True)
class Exported:
    """``difference``: the largest between PyTorch's fp32 logits and MLX's for one text; ``bytes`` of the pack's weights."""

    difference: float
    same_choice: float
    bytes: int


def export(trained: Path, out: Path, bits: int = BITS) -> Exported:
    """Write the pack of the training in ``trained`` to ``out``."""
    import mlx.core as mx
    from mlx import nn
    from mlx.utils import tree_flatten

    configuration: dict[str, Any] = json.loads((trained / "config.json").read_text())
    model = _model(configuration, trained)
    difference, same = _parity(model, trained)
    model.set_dtype(mx.float16)
    nn.quantize(model, group_size=GROUP, bits=bits)
    out.mkdir(parents=True, exist_ok=True)
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(out / "model.safetensors"), weights, {"format": "mlx"})
    configuration["quantization"] = {"group_size": GROUP, "bits": bits, "mode": "affine"}
    (out / "config.json").write_text(json.dumps(configuration, indent=4) + "\n")
    generation = {key: configuration[key] for key in ("eos_token_id", "bos_token_id", "pad_token_id")}
    (out / "generation_config.json").write_text(json.dumps(generation) + "\n")
    tokenizers.save(Tokenizer.from_file(str(trained / "tokenizer.json")), out)
    return Exported(difference, same, (out / "model.safetensors").stat().st_size)


def _model(configuration: dict[str, Any], trained: Path) -> Any:
    import mlx.core as mx
    from mlx_lm.models.gemma3_text import Model, ModelArgs

    model = Model(ModelArgs.from_dict(configuration))
    weights: Any = mx.load(str(trained / FLOAT_WEIGHTS))
    model.load_weights(list(model.sanitize(weights).items()))
    return model


def _parity(model: Any, trained: Path) -> tuple[float, float]:
    import mlx.core as mx

    known: Any = mx.load(str(trained / PARITY))
    found = model(known["ids"][None])[0].astype(mx.float32)
    wanted = known["logits"]
    same = (found.argmax(-1) == wanted.argmax(-1)).astype(mx.float32).mean()
    return float(mx.abs(found - wanted).max()), float(same)
