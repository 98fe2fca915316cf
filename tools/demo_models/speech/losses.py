"""What the training minimises: the text, and three helpers that make the model listen instead of guess."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.nn import functional

from tools.demo_models.speech.batches import IGNORED, Batch
from tools.demo_models.speech.network import GUIDED_HEADS, SpeechNetwork
from tools.demo_models.speech.vocabulary import FULL_SIZE, Vocabulary

_RANDOM_INPUTS: Final = 0.15
_LAST_RANDOM: Final = 0.9
_TOKEN_WEIGHT: Final = 0.5
_TINY: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Losses:
    """``total`` to minimise; the rest as numbers: cross-entropy, guided attention, letters, tokens, share of text right."""

    total: Any
    text: float
    guide: float
    letters: float
    tokens: float
    accuracy: float


def losses(network: SpeechNetwork, vocabulary: Vocabulary, batch: Batch, generator: Any, progress: float) -> Losses:
    """One forward pass. ``generator`` draws the random decoder inputs."""
    device = network.positions.device
    inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
    words = len(vocabulary.text)
    if progress < _LAST_RANDOM:
        drop = (torch.rand(inputs.shape, generator=generator) < _RANDOM_INPUTS) & (inputs < words)
        inputs = torch.where(drop, torch.randint(0, words, inputs.shape, generator=generator), inputs)
    inputs, targets = inputs.to(device), targets.to(device)
    features = network.encoder(torch.from_numpy(batch.mel).to(device))
    logits, attention = network.decode(inputs, features)
    weight = torch.zeros(logits.shape[-1], device=device)
    weight[vocabulary.unused] = math.log(FULL_SIZE - vocabulary.unused)  # one row stands for all that are equal
    text = functional.cross_entropy((logits + weight).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    guide = _guide_loss(attention, torch.from_numpy(batch.guide).to(device))
    letters = tokens = torch.zeros((), device=device)
    if batch.spoken:
        heard = features[batch.spoken]
        letters = _connectionist(network.letter_head(heard), batch.letters, batch.positions)
        tokens = _connectionist(network.token_head(heard), batch.text, batch.positions)
    total = text + _TOKEN_WEIGHT * tokens
    total = total + (0.3 if progress < 0.5 else 0.09) * guide + (0.5 if progress < 0.6 else 0.2) * letters
    with torch.no_grad():
        is_text = (targets >= 0) & (targets < words)
        right = ((logits.argmax(-1) == targets) & is_text).sum() / is_text.sum().clamp_min(1)
    return Losses(total, text.item(), guide.item(), letters.item(), tokens.item(), right.item())


def _guide_loss(attention: list[Any], guide: Any) -> Any:
    """Minus the log of the attention that lies where the token was said, mean over guided tokens."""
    mean = torch.stack([weights[:, :GUIDED_HEADS].mean(1) for weights in attention]).mean(0)
    guided = guide.amax(-1)
    inside = (mean * guide).sum(-1)
    return -((inside + _TINY).log() * guided).sum() / guided.sum().clamp_min(1)


def _connectionist(logits: Any, targets: list[list[int]], positions: list[int]) -> Any:
    """Connectionist temporal classification, blank 0 (Graves et al. 2006)."""
    likelihood = logits.log_softmax(-1).transpose(0, 1)
    flat = torch.tensor([each for target in targets for each in target])
    sizes = torch.tensor([len(target) for target in targets])
    return functional.ctc_loss(likelihood, flat, torch.tensor(positions), sizes, zero_infinity=True)
