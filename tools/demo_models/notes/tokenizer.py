"""The notes model's tokenizer: byte-pair encoding that keeps JSON scaffolding and segment marks as units.

A word has the same pieces wherever it stands: merges are learnt on words without their space, and the space joins only
afterwards, with merges that come last. A made-up name in the transcript and in the note's JSON, where a quotation mark
stands before it, is then the same row of pieces, so that copying is all that the model has to learn.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from appliance.care.note_schema import FACT_KINDS
from tools.demo_models.notes.hearing import Manner
from tools.demo_models.notes.samples import CHAT_TEMPLATE, chunks, sample

SPECIAL: Final = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
_KEYS: Final = "sections|code|sentences|text|segments|facts|kind|name|value|negated|laterality"
_SCAFFOLD: Final = (
    r'[.%]*[\]}",]*(?:[{,\[]*"(?:' + _KEYS + r')":(?:null|true|false|"[SOAP]"(?=,)|"(?:' + "|".join(FACT_KINDS) + r')"'
    r'|"|\[\{|\[)?,?)+\{?'
)
_MARKS: Final = r"\d{1,2}(?=(?:,\d{1,2})*\]\})|\n?\[\d{1,2}\] |\s?\[\d{1,2}\]"
_REST: Final = r'"|\n+|\s+'
_WORDS: Final = r'{space}\d|{space}\p{{L}}+|{space}[^\s\p{{L}}\p{{N}}"]+'
_SPACE: Final = "Ġ"  # how byte-level encoding writes a space
_SEED: Final = 11
CORPUS: Final = 8000
_WORDS_VOCABULARY: Final = 2816
_SPACED: Final = 750
_LEAST_FREQUENCY: Final = 10


def _pre_tokenizer(space: str) -> Any:
    pattern = "|".join((_SCAFFOLD, _MARKS, _WORDS.format(space=space), _REST))
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _corpus(count: int) -> Iterator[str]:
    rng = random.Random(_SEED)
    for _ in range(count):
        yield from (text for text, _ in chunks(sample(rng, Manner(made_up=0.3)).turns))


def build(corpus: int = CORPUS) -> Tokenizer:
    """Learn the merges from ``corpus`` samples of the training split."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = _pre_tokenizer("")
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_WORDS_VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=_LEAST_FREQUENCY,
    )
    made.train_from_iterator(_corpus(corpus), trainer)
    return _with_spaces(made, _after_spaces(made, corpus // 4))


def _after_spaces(made: Tokenizer, corpus: int) -> list[str]:
    """The pieces that stand most often behind a space."""
    counts: Counter[str] = Counter()
    for text in _corpus(corpus):
        pieces = made.encode(text, add_special_tokens=False).tokens
        counts.update(after for before, after in pairwise(pieces) if before == _SPACE)
    return [piece for piece, _ in counts.most_common(_SPACED) if not piece.startswith((_SPACE, "<"))]


def _with_spaces(made: Tokenizer, pieces: list[str]) -> Tokenizer:
    told = json.loads(made.to_str())
    vocabulary, merges = told["model"]["vocab"], told["model"]["merges"]
    for piece in pieces:
        if _SPACE + piece not in vocabulary:
            vocabulary[_SPACE + piece] = len(vocabulary)
            merges.append([_SPACE, piece])
    joined = Tokenizer.from_str(json.dumps(told))
    joined.pre_tokenizer = _pre_tokenizer(r"[^\S\n]?")
    return joined


def load(path: Path, corpus: int = CORPUS) -> Tokenizer:
    """The tokenizer at ``path``, built there first when there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        build(corpus).save(str(path))
    return Tokenizer.from_file(str(path))


def save(made: Tokenizer, folder: Path) -> None:
    """Write the files that mlx-lm reads: tokenizer, its configuration and the chat template."""
    made.save(str(folder / "tokenizer.json"))
    configuration = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<end_of_turn>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "model_max_length": 8192,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(configuration, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
