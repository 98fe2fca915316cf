"""Golden arrays of Gemma 3 with eyes, made once with the reference implementation: ``tests/plugins/medical_images/gemma_eyes.npz``.

Made with torch 2.15.0 (CPU), transformers 5.23.0, Pillow 13.0.0 and numpy 2.4.6. Needs PyTorch, which the product does not: run it
with a Python that has it and sees this project's packages too, from the repository's root::

    PYTHONPATH=.:.venv/lib/python3.11/site-packages PYTHON_WITH_TORCH -m tools.golden.gemma_eyes

It writes the tiny checkpoint's projected pictures, and for three conversations about them the logits of each greedy step.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import Gemma3ForConditionalGeneration
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

from tests.checkpoints.gemma_eyes import TOKENS, make_tiny_gemma_with_eyes
from tests.checkpoints.gemma_eyes_samples import PICTURE, conversations, spelt
from tests.checkpoints.siglip_samples import pictures

OUT = Path("tests/plugins/medical_images/gemma_eyes.npz")
STEPS = 8
"""Tokens of each answer."""


def golden(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Every array by name; floats are fp32."""
    loaded = Gemma3ForConditionalGeneration.from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True
    )
    model, told = loaded[0].eval(), loaded[1]
    wrong = {kind: names for kind, names in told.items() if names}
    if wrong:
        raise SystemExit(f"the checkpoint does not fit the reference: {wrong}")
    processor = Gemma3ImageProcessorPil.from_pretrained(folder)
    drawn = [Image.fromarray(picture) for picture in pictures()]
    pixels = torch.stack([torch.from_numpy(processor(one, return_tensors="np")["pixel_values"][0]) for one in drawn])
    made = {"pixels": pixels.numpy().transpose(0, 2, 3, 1).astype(np.float32)}
    with torch.no_grad():
        made["projected"] = model.model.get_image_features(pixels).pooler_output.numpy()
    config = model.config
    asked = conversations(config.boi_token_index, config.eoi_token_index)
    for number, conversation in enumerate(asked):
        tokens = torch.tensor([spelt(conversation, config.image_token_index, TOKENS)])
        shown = pixels[: conversation.count(PICTURE)]
        with torch.no_grad():
            answer = model.generate(
                input_ids=tokens,
                attention_mask=torch.ones_like(tokens),
                token_type_ids=(tokens == config.image_token_index).long(),
                pixel_values=shown,
                max_new_tokens=STEPS,
                min_new_tokens=STEPS,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        made[f"logits_{number}"] = torch.stack(answer.logits)[:, 0].numpy().astype(np.float32)
        made[f"answer_{number}"] = answer.sequences[0, tokens.shape[1] :].numpy().astype(np.int64)
    return made


def main() -> None:
    """Write the file and say with what it was made."""
    with tempfile.TemporaryDirectory() as folder:
        made = golden(make_tiny_gemma_with_eyes(Path(folder)))
    np.savez_compressed(OUT, **made)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "pillow", "numpy"))
    print(f"{OUT}: {OUT.stat().st_size} bytes, made with {versions}")
    for name, value in made.items():
        print(name, value.shape, float(np.abs(value).max()))
        if name.startswith("answer"):
            print(value)


if __name__ == "__main__":
    main()
