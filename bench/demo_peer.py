"""The peers of ``bench_demo_models.py``: the reference libraries alone, one after another, on the same weights and inputs.

``speech FILE.npz`` runs ``mlx_whisper.transcribe`` over the file's sounds; ``notes FILE.json`` runs ``mlx_lm.stream_generate``
over its prompts, free of any grammar. Run in a process of its own with the engine's environment. Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

RATE_HZ = 16_000
SAMPLES_PER_POSITION = 320
MAX_TOKENS = 1200


def speech(path: Path) -> dict[str, Any]:
    import mlx_whisper
    import numpy as np

    from plugins.whisper_stt.engine_model import load_whisper
    from plugins.whisper_stt.plugin import DEMONSTRATION

    reference: Any = sys.modules["mlx_whisper.transcribe"]
    model, half = load_whisper(DEMONSTRATION, "auto")
    reference.ModelHolder.model, reference.ModelHolder.model_path = model, str(DEMONSTRATION)
    reference.N_SAMPLES = model.dims.n_audio_ctx * SAMPLES_PER_POSITION  # this model's window is shorter than 30 s
    reference.N_FRAMES = model.dims.n_audio_ctx * 2
    settings = {"language": "pt", "temperature": 0.0, "condition_on_previous_text": False, "fp16": half}
    stored = np.load(path)
    sounds = [stored[name] for name in stored.files]
    mlx_whisper.transcribe(sounds[0], path_or_hf_repo=str(DEMONSTRATION), **settings)
    began = time.perf_counter()
    texts = [mlx_whisper.transcribe(sound, path_or_hf_repo=str(DEMONSTRATION), **settings)["text"] for sound in sounds]
    seconds = time.perf_counter() - began
    return {"audio_s": sum(map(len, sounds)) / RATE_HZ, "seconds": seconds, "texts": texts}


def notes(path: Path) -> dict[str, Any]:
    from mlx_lm import stream_generate

    from plugins.medgemma_chat.engine_model import load_language_model
    from plugins.medgemma_chat.plugin import DEMONSTRATION

    language = load_language_model(DEMONSTRATION, "auto")
    tokenizer, tokens = language.tokenizer, 0
    prompts = [
        tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True)
        for prompt in json.loads(path.read_text(encoding="utf-8"))
    ]
    began = time.perf_counter()
    for prompt in prompts:
        tokens += sum(1 for _ in stream_generate(language.model, tokenizer, prompt, max_tokens=MAX_TOKENS))
    return {"tokens": tokens, "seconds": time.perf_counter() - began}


def main() -> None:
    print(json.dumps({"speech": speech, "notes": notes}[sys.argv[1]](Path(sys.argv[2]))), flush=True)


if __name__ == "__main__":
    main()
