"""Golden arrays of SigLIP, made once with the reference implementation and kept in ``tests/plugins/medical_images/siglip.npz``.

Made with torch 2.15.0 (CPU), transformers 5.23.0, sentencepiece 0.2.3, Pillow 13.0.0 and numpy 2.4.6. Needs PyTorch, which the
product does not: run it with a Python that has it and sees this project's packages too, from the repository's root::

    PYTHONPATH=.:.venv/lib/python3.11/site-packages PYTHON_WITH_TORCH -m tools.golden.siglip

It writes for three pictures and five sentences: what the processor and the tokenizer give, both towers' embeddings, the
logits, and the embeddings of single patches through the pooling head.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import SiglipConfig, SiglipModel, SiglipTokenizer
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests.checkpoints.siglip import LENGTH, SIDE, WIDTH, make_tiny_siglip
from tests.checkpoints.siglip_samples import SENTENCES, pictures

OUT = Path("tests/plugins/medical_images/siglip.npz")
BILINEAR, BICUBIC = 2, 3


def golden(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Every array by name; floats are fp32."""
    model = SiglipModel.from_pretrained(folder, config=SiglipConfig.from_pretrained(folder)).eval()
    drawn = [Image.fromarray(picture) for picture in pictures()]
    made: dict[str, np.ndarray[Any, Any]] = {}
    for name, resample in (("bilinear", BILINEAR), ("bicubic", BICUBIC)):
        processor = SiglipImageProcessorPil.from_pretrained(folder, resample=resample)
        made[f"pixels_{name}"] = np.stack(processor(drawn, return_tensors="np")["pixel_values"]).astype(np.float32)
    tokenizer = SiglipTokenizer.from_pretrained(folder)
    asked = tokenizer(SENTENCES, padding="max_length", truncation=True, max_length=LENGTH)
    made["tokens"] = np.array(asked["input_ids"], np.int64)
    with torch.no_grad():
        pixels = torch.from_numpy(made["pixels_bilinear"])
        whole = model(input_ids=torch.from_numpy(made["tokens"]), pixel_values=pixels)
        head = model.vision_model.head
        patches = model.vision_model(pixels).last_hidden_state
        # One patch at a time through the same head: rows become pictures of a single patch.
        places = head(patches.reshape(-1, 1, WIDTH)).reshape(len(drawn), SIDE**2, WIDTH)
    made["pictures"] = whole.image_embeds.numpy()
    made["sentences"] = whole.text_embeds.numpy()
    made["logits"] = whole.logits_per_image.numpy()
    made["places"] = torch.nn.functional.normalize(places, dim=-1).numpy()
    return made


def main() -> None:
    """Write the file and say with what it was made."""
    with tempfile.TemporaryDirectory() as folder:
        made = golden(make_tiny_siglip(Path(folder)))
    np.savez_compressed(OUT, **made)
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "transformers", "sentencepiece", "pillow", "numpy")
    )
    print(f"{OUT}: {OUT.stat().st_size} bytes, made with {versions}")


if __name__ == "__main__":
    main()
