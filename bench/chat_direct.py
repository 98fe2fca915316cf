"""The peer of the chat rows: mlx-lm's BatchGenerator alone, on the same weights, prompts and batch size.

Run by ``chat_rows.py`` in a process of its own with the engine's environment. Reads one JSON line on stdin for each run
(``{"streams": n, "prompts": [...], "max_tokens": m}``: n at a time) and answers each with ``{"tokens": n, "seconds": s}``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mlx_lm.generate import BatchGenerator

from plugins.medgemma_chat.config import ChatConfig
from plugins.medgemma_chat.engine_model import load_language_model
from plugins.medgemma_chat.plugin import DEMONSTRATION


def main() -> None:
    """Serve runs until stdin ends."""
    config = ChatConfig()
    language = load_language_model(DEMONSTRATION, config.precision)
    tokenizer = language.tokenizer
    stops = [[int(token)] for token in sorted(tokenizer.eos_token_ids)]
    print("{}", flush=True)
    for line in sys.stdin:
        run = json.loads(line)
        prompts = [
            tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True)
            for prompt in run["prompts"]
        ]
        generator = BatchGenerator(
            language.model,
            stop_tokens=stops,
            completion_batch_size=config.batch_size,
            prefill_batch_size=8,
            prefill_step_size=config.prefill_step_tokens,
        )
        began = time.perf_counter()
        running, streams, tokens = 0, run["streams"], 0
        while prompts or running:
            if newcomers := prompts[: streams - running]:
                del prompts[: len(newcomers)]
                generator.insert(newcomers, [run["max_tokens"]] * len(newcomers))
                running += len(newcomers)
            _, responses = generator.next()
            for response in responses:
                tokens += response.finish_reason != "stop"
                running -= response.finish_reason is not None
        print(json.dumps({"tokens": tokens, "seconds": time.perf_counter() - began}), flush=True)
        generator.close()


if __name__ == "__main__":
    main()
