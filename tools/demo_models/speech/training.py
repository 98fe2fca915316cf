"""Trains the speech model: the schedule counts windows, never time, so that a run can be repeated and resumed."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from tools.demo_models.speech.batches import batches
from tools.demo_models.speech.losses import Losses, losses
from tools.demo_models.speech.muon import Muon
from tools.demo_models.speech.network import SpeechNetwork
from tools.demo_models.speech.plans import CONSTANT_SHARE, Shape, TrainingPlan
from tools.demo_models.speech.pool import Pool
from tools.demo_models.speech.vocabulary import Vocabulary, load_vocabulary
from tools.demo_models.speech.windows import plan_groups

_ADAM_RATE: Final = 2e-3
_WARM_UP_STEPS: Final = 40
_LEAST_FACTOR: Final = 0.02
_SMOOTHING: Final = 0.95
_EVERY: Final = 20
_CHECKPOINT_EVERY: Final = 100


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: losses smoothed over about twenty steps, seconds of this process, the machine's load."""

    step: int
    windows: int
    text: float
    guide: float
    letters: float
    tokens: float
    accuracy: float
    factor: float
    seconds: float
    load: float


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Numbers below 1e-38 count as 0 meanwhile, because a step with them takes far longer.

    It is a state of the whole thread: what else runs on it, between two points too, needs it as it was.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


class Training:
    """One run, in memory."""

    def __init__(self, pool: Pool, vocabulary: Vocabulary, plan: TrainingPlan) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.vocabulary, self._pool = plan, vocabulary, pool
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = SpeechNetwork(vocabulary, plan.shape).to(device)
        matrices = [p for name, p in self.network.named_parameters() if "blocks" in name and p.ndim == 2]
        others = [p for name, p in self.network.named_parameters() if "blocks" not in name or p.ndim != 2]
        self._muon, self._others = Muon(matrices), others
        self._adam = torch.optim.AdamW(others, lr=_ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.01)
        self.step = self.windows = 0
        self._smooth: list[float] = []

    def run(self, until: int | None = None) -> Iterator[Point]:
        """A point each 20 steps and at the end; stops early after step ``until``."""
        plan = self.plan
        groups = plan_groups(self._pool, plan)
        began = time.monotonic()
        for batch in batches(self._pool, self.vocabulary, itertools.islice(groups, self.step, until)):
            progress = plan.progress(self.windows)
            generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + self.step)
            with denormals_flushed():
                loss = losses(self.network, self.vocabulary, batch, generator, progress)
                factor = self._update(loss, progress)
            self.step += 1
            self.windows += len(batch.inputs)
            self._note(loss)
            if self.step % _EVERY == 0:
                yield self._point(factor, time.monotonic() - began)
        if self.step % _EVERY:
            yield self._point(schedule(self.step, 1.0), time.monotonic() - began)

    def save(self, path: Path) -> None:
        """A checkpoint that ``restore`` goes on from."""
        state = {"network": self.network.state_dict(), "muon": self._muon.state(), "adam": self._adam.state_dict()}
        counters = {"step": self.step, "windows": self.windows, "smooth": self._smooth, "plan": asdict(self.plan)}
        draft = path.with_suffix(".tmp")
        torch.save({**state, **counters}, draft)
        draft.rename(path)

    def restore(self, path: Path) -> None:
        """Raises ``ValueError`` for a checkpoint of another plan."""
        state = torch.load(path, weights_only=True)
        if state["plan"] != asdict(self.plan):
            raise ValueError(f"{path} belongs to another plan: {state['plan']}")
        self.network.load_state_dict(state["network"])
        self._muon.restore(state["muon"])
        self._adam.load_state_dict(state["adam"])
        self.step, self.windows, self._smooth = state["step"], state["windows"], state["smooth"]

    def begin_with(self, path: Path) -> None:
        """Take the weights of an ended run, and nothing else of it. Raises ``ValueError`` for another shape."""
        state = torch.load(path, weights_only=True)
        if state["plan"]["shape"] != asdict(self.plan.shape):
            raise ValueError(f"{path} has another shape: {state['plan']['shape']}")
        self.network.load_state_dict(state["network"])

    def _update(self, loss: Losses, progress: float) -> float:
        self.network.zero_grad(set_to_none=True)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(self._others, 1.0)
        factor = schedule(self.step, progress)
        self._muon.step(factor)
        for group in self._adam.param_groups:
            group["lr"] = _ADAM_RATE * factor
        self._adam.step()
        return factor

    def _note(self, loss: Losses) -> None:
        now = [loss.text, loss.guide, loss.letters, loss.tokens, loss.accuracy]
        keep = _SMOOTHING if self._smooth else 0.0
        self._smooth = [keep * old + (1 - keep) * new for old, new in zip(self._smooth or now, now, strict=True)]

    def _point(self, factor: float, seconds: float) -> Point:
        text, guide, letters, tokens, accuracy = (round(value, 4) for value in self._smooth)
        load = round(os.getloadavg()[0], 1)
        smooth = (text, guide, letters, tokens, accuracy)
        return Point(self.step, self.windows, *smooth, round(factor, 3), round(seconds, 1), load)


def schedule(step: int, progress: float) -> float:
    """The share of the learning rate: a short rise, constant to progress 0.45, then linear to nothing."""
    rise = min(1.0, (step + 1) / _WARM_UP_STEPS)
    return rise * min(1.0, max(_LEAST_FACTOR, (1 - progress) / (1 - CONSTANT_SHARE)))


def train(pool_folder: Path, out: Path, plan: TrainingPlan, first_leg: Path | None = None) -> Iterator[Point]:
    """Train into ``out`` (``checkpoint.pt``, ``curve.jsonl``), going on where a broken run stopped; yields the curve.

    ``first_leg`` is the folder of the ended run whose weights a second leg begins with. Raises ``ValueError`` where a second
    leg has none.
    """
    if (first_leg is None) != (plan.begins == 0):
        raise ValueError("a second leg begins with the weights of a first one, and nothing else does")
    out.mkdir(parents=True, exist_ok=True)
    vocabulary = load_vocabulary(pool_folder / "vocabulary.json")
    vocabulary.save(out / "vocabulary.json")
    training = Training(Pool(pool_folder), vocabulary, plan)
    checkpoint, curve = out / "checkpoint.pt", out / "curve.jsonl"
    if checkpoint.exists():
        training.restore(checkpoint)
        kept = [line for line in curve.read_text().splitlines() if json.loads(line)["step"] <= training.step]
        curve.write_text("".join(f"{line}\n" for line in kept))
    else:
        curve.write_text("")
        if first_leg is not None:
            training.begin_with(first_leg / "checkpoint.pt")
    for point in training.run():
        with curve.open("a") as lines:
            lines.write(json.dumps(asdict(point)) + "\n")
        if point.step % _CHECKPOINT_EVERY == 0:
            training.save(checkpoint)
        yield point
    training.save(checkpoint)


def trained_network(folder: Path) -> tuple[SpeechNetwork, Vocabulary, dict[str, Any]]:
    """The network of a checkpoint with its vocabulary and counters."""
    vocabulary = load_vocabulary(folder / "vocabulary.json")
    state = torch.load(folder / "checkpoint.pt", weights_only=True, map_location="cpu")
    network = SpeechNetwork(vocabulary, Shape(**state["plan"]["shape"]))
    network.load_state_dict(state["network"])
    return network, vocabulary, {name: state[name] for name in ("step", "windows", "plan")}
