"""A seeded grammar of Brazilian-Portuguese consults: every sentence knows its section and its facts."""

from tools.demo_models.grammar.consults import consult
from tools.demo_models.grammar.counting import distinct_sentences
from tools.demo_models.grammar.types import Consult, Fact, Sentence, Split, is_held_out

__all__ = ["Consult", "Fact", "Sentence", "Split", "consult", "distinct_sentences", "is_held_out"]
