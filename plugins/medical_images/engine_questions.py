"""What a label set's sentences mean to the model: embedded once, a few at a step, and kept under the hash of the set's file."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

import mlx.core as mx
import numpy as np

from plugins.medical_images.engine_model import ImageModel
from plugins.medical_images.labels import Questions

SENTENCES_A_STEP: Final = 8
"""More would hold up the pictures of those whose sentences are known already."""
SETS_KEPT: Final = 16

Floats = np.ndarray[Any, np.dtype[np.float32]]


class Directions:
    """For each label the way from its negative to its positive sentences; a picture's place along it is the label's margin."""

    def __init__(self, model: ImageModel) -> None:
        self._model = model
        self._scale = float(np.exp(np.array(model.net.logit_scale.astype(mx.float32)))[0])
        self._known: OrderedDict[str, Floats] = OrderedDict()
        self._begun: dict[str, list[Floats]] = {}
        self.sentences = 0
        """Embedded since the beginning."""

    def ready(self, questions: Questions) -> bool:
        """Whether ``margins`` may be asked."""
        return questions.sha256 in self._known

    def advance(self, questions: Questions) -> None:
        """Embed the next few sentences of a set that is not ready."""
        wanted = [sentence for label in questions.labels for sentence in (*label.positive, *label.negative)]
        done = self._begun.setdefault(questions.sha256, [])
        known = sum(len(part) for part in done)
        some = wanted[known : known + SENTENCES_A_STEP]
        done.append(np.array(self._model.net.sentences(mx.array(self._model.words.tokens(some)))))
        self.sentences += len(some)
        if known + len(some) == len(wanted):
            del self._begun[questions.sha256]
            self._known[questions.sha256] = _directions(questions, np.concatenate(done))
            while len(self._known) > SETS_KEPT:
                self._known.popitem(last=False)

    def margins(self, questions: Questions, seen: Floats) -> Floats:
        """Logits of positive against negative: (…, width) → (…, labels). SigLIP's bias is in both, and so in neither."""
        self._known.move_to_end(questions.sha256)
        margins: Floats = self._scale * (seen @ self._known[questions.sha256].T)
        return margins


def _directions(questions: Questions, embedded: Floats) -> Floats:
    """(sentences in order, width) → (labels, width). Several sentences of a kind count as their mean, with length 1."""
    rows, start = [], 0
    for label in questions.labels:
        middle = start + len(label.positive)
        end = middle + len(label.negative)
        rows.append(_mean(embedded[start:middle]) - _mean(embedded[middle:end]))
        start = end
    return np.stack(rows)


def _mean(embedded: Floats) -> Floats:
    mean = embedded.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)
