"""From a sentence to tokens, as Hugging Face's ``SiglipTokenizer`` does it: SentencePiece, lower case, no punctuation."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sentencepiece
from tokenizers import Tokenizer

_NO_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_SPACES: Final = re.compile(r"\s+")
_END: Final = "</s>"


class WordsError(ValueError):
    """The folder has no tokenizer that fits the model. ``code`` crosses the process border."""

    code: Final = "images.checkpoint"


@dataclass(frozen=True, slots=True)
class Words:
    """``split`` gives a sentence's token ids without its end; ``end`` both closes a sentence and fills it up."""

    split: Callable[[str], list[int]]
    end: int
    length: int

    def tokens(self, sentences: Sequence[str]) -> list[list[int]]:
        """Shape (sentences, length). What is longer than the model's text is cut, as in training; the end stays."""
        rows = []
        for sentence in sentences:
            row = [*self.split(canonical(sentence))[: self.length - 1], self.end]
            rows.append(row + [self.end] * (self.length - len(row)))
        return rows


def canonical(sentence: str) -> str:
    """What SigLIP was trained on: lower case, ASCII punctuation dropped, single spaces (big_vision's prompt engineering)."""
    return _SPACES.sub(" ", sentence.lower().translate(_NO_PUNCTUATION)).strip()


def read_words(folder: Path, length: int, vocabulary: int) -> Words:
    """From ``spiece.model``, else ``tokenizer.json``. ``length`` in tokens; ``vocabulary`` is the model's.

    Raises:
        WordsError: neither file is there, it can't be read, has no end mark, or has more tokens than the model.
    """
    spiece, fast = folder / "spiece.model", folder / "tokenizer.json"
    if spiece.is_file():
        try:
            model = sentencepiece.SentencePieceProcessor(model_file=str(spiece))
        except (OSError, RuntimeError) as error:
            raise WordsError("spiece.model is not a SentencePiece model") from error
        end, size = int(model.eos_id()), int(model.get_piece_size())
        words = Words(lambda text: [int(token) for token in model.encode(text)], end, length)
    elif fast.is_file():
        try:
            tokenizer = Tokenizer.from_file(str(fast))
        except Exception as error:  # the library raises bare Exception
            raise WordsError("tokenizer.json is not a tokenizer") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        found = tokenizer.token_to_id(_END)
        end, size = -1 if found is None else found, tokenizer.get_vocab_size()
        words = Words(lambda text: tokenizer.encode(text, add_special_tokens=False).ids, end, length)
    else:
        raise WordsError("spiece.model or tokenizer.json is missing")
    if end < 0:
        raise WordsError(f"the tokenizer has no {_END}")
    if size > vocabulary:
        raise WordsError(f"the tokenizer has {size} tokens, the model only {vocabulary}")
    return words
