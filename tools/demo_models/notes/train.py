"""Training of the notes model: a fixed number of steps, the same for the same seed, resumable, with a recorded loss curve."""

from __future__ import annotations

import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file
from torch.nn import functional

from tools.demo_models.notes import tokenizer as tokenizers
from tools.demo_models.notes.batches import Batch, Place, batches
from tools.demo_models.notes.export import FLOAT_WEIGHTS, PARITY
from tools.demo_models.notes.hearing import Manner
from tools.demo_models.notes.model import Parameters, Shape, hidden_states, initial, logits, rotary
from tools.demo_models.notes.optimiser import Optimiser
from tools.demo_models.notes.samples import chunks, note_sample

WARM_UP: Final = 40
DECAY_SHARE: Final = 0.45
SHORT_SHARE: Final = 0.09
RECORD_EVERY: Final = 20
SAVE_EVERY: Final = 200
_PARITY_SEED: Final = 77
_VOCABULARY_MULTIPLE: Final = 64
_BATCHES_OF_A_SHORT_POOL: Final = 22


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train: ``steps`` in all, of which the rate falls to nothing over the last ``DECAY_SHARE``."""

    folder: Path
    steps: int
    seed: int = 1000
    threads: int = 1
    stop_at: int | None = None
    record_every: int = RECORD_EVERY
    corpus: int = tokenizers.CORPUS

    def rate(self, step: int) -> float:
        """The share of the full learning rate at a step: warm-up, level, then linearly to nothing."""
        falling = (1 - step / self.steps) / DECAY_SHARE
        return min(1.0, (step + 1) / WARM_UP) * min(1.0, max(0.01, falling))

    @property
    def short_pools(self) -> int:
        """How many pools of short consults come first: writing the JSON is learnt there."""
        return max(1, round(self.steps * SHORT_SHARE / _BATCHES_OF_A_SHORT_POOL))


def train(plan: Plan) -> None:
    """Train to the end, or on from the checkpoint in the folder, and write there what ``export`` reads."""
    torch.set_num_threads(plan.threads)
    plan.folder.mkdir(parents=True, exist_ok=True)
    run = _Run(plan)
    run.go()
    run.write_float()


class _Run:
    """A training under way."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.checkpoint = plan.folder / "checkpoint.pt"
        self._tokenizer = tokenizers.load(plan.folder / "tokenizer.json", plan.corpus)
        size = -(-self._tokenizer.get_vocab_size() // _VOCABULARY_MULTIPLE) * _VOCABULARY_MULTIPLE
        self._shape = Shape(size)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._parameters: Parameters = {
            name: value.to(self._device).requires_grad_() for name, value in initial(self._shape, plan.seed).items()
        }
        self._optimiser = Optimiser(self._parameters)
        self._place, self._step, self._seconds = Place(), 0, 0.0
        if self.checkpoint.exists():
            self._restore()
        self._tables = tuple(tuple(part.to(self._device) for part in table) for table in rotary(self._shape))

    def go(self) -> None:
        """Every step that is left."""
        plan, began = self._plan, time.monotonic() - self._seconds
        last = plan.steps if plan.stop_at is None else min(plan.steps, plan.stop_at)
        losses: list[float] = []
        right = written = samples = 0
        stream = batches(self._tokenizer, plan.seed, plan.short_pools, self._place)
        while self._step < last:
            batch, place = next(stream)
            loss, good, count = self._learn(batch, plan.rate(self._step))
            self._step, self._place = self._step + 1, place
            losses.append(loss)
            right, written, samples = right + good, written + count, samples + len(batch.ids)
            self._seconds = time.monotonic() - began
            if self._step % plan.record_every == 0 or self._step == last:
                self._record(sum(losses) / len(losses), right / max(1, written), samples)
                losses, right, written, samples = [], 0, 0, 0
            if self._step % SAVE_EVERY == 0 or self._step == last:
                self._save()
        sys.stderr.write("\n")

    def write_float(self) -> None:
        """The model in fp32 with its configuration, and its logits for one text, with which the export is compared."""
        folder = self._plan.folder
        weights = {name: value.detach().cpu().contiguous() for name, value in self._parameters.items()}
        save_file(weights, str(folder / FLOAT_WEIGHTS), {"format": "pt"})
        (folder / "config.json").write_text(json.dumps(self._shape.configuration(), indent=4) + "\n")
        text = "".join(piece for piece, _ in chunks(note_sample(random.Random(_PARITY_SEED), Manner()).turns))
        ids = torch.tensor([self._tokenizer.encode(text, add_special_tokens=False).ids])
        tables = rotary(self._shape)
        with torch.no_grad():
            found = logits(weights, hidden_states(weights, self._shape, tables, ids))
        save_file({"ids": ids[0], "logits": found[0].contiguous()}, str(folder / PARITY))

    def _learn(self, batch: Batch, rate: float) -> tuple[float, int, int]:
        ids = torch.tensor(batch.ids, device=self._device)
        chosen = torch.tensor(batch.written, device=self._device)[:, 1:]
        states = hidden_states(self._parameters, self._shape, self._tables, ids)[:, :-1][chosen]
        wanted = ids[:, 1:][chosen]
        scores = logits(self._parameters, states)
        loss = functional.cross_entropy(scores, wanted)
        loss.backward()
        self._optimiser.step(rate)
        return loss.item(), int((scores.argmax(-1) == wanted).sum()), wanted.numel()

    def _record(self, loss: float, accuracy: float, samples: int) -> None:
        done, steps = self._step, self._plan.steps
        entry = {
            "step": done, "loss": round(loss, 5), "accuracy": round(accuracy, 5), "samples": samples,
            "seconds": round(self._seconds, 1),
        }  # fmt: skip
        with (self._plan.folder / "curve.jsonl").open("a") as out:
            out.write(json.dumps(entry) + "\n")
        filled = 30 * done // steps
        left = self._seconds / done * (steps - done) / 60
        sys.stderr.write(
            f"\r[{'#' * filled}{'.' * (30 - filled)}] {done}/{steps} loss {loss:.4f} accuracy {accuracy:.4f} {left:.0f} min left "
        )
        sys.stderr.flush()

    def _save(self) -> None:
        kept = {
            "shape": asdict(self._shape),
            "parameters": {name: value.detach() for name, value in self._parameters.items()},
            "optimiser": self._optimiser.state(),
            "place": (self._place.pool, self._place.batch),
            "step": self._step,
            "steps": self._plan.steps,
            "seconds": self._seconds,
        }
        part = self.checkpoint.with_suffix(".part")
        torch.save(kept, part)
        part.replace(self.checkpoint)

    def _restore(self) -> None:
        kept = torch.load(self.checkpoint, map_location=self._device)
        if kept["steps"] != self._plan.steps:
            raise ValueError(f"{self.checkpoint} belongs to a training of {kept['steps']} steps")
        with torch.no_grad():
            for name, value in kept["parameters"].items():
                self._parameters[name].copy_(value)
        self._optimiser.restore(kept["optimiser"])
        self._place, self._step, self._seconds = Place(*kept["place"]), kept["step"], kept["seconds"]
