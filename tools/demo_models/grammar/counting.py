"""How many different sentences the grammar can say: a lower bound, computed from its tables."""

from __future__ import annotations

from tools.demo_models.grammar.closing import STARTING
from tools.demo_models.grammar.subjective import AGES, COMPLAINTS, OPENINGS, TAKING
from tools.demo_models.grammar.tables_numbers import DURATIONS
from tools.demo_models.grammar.vocabulary import DRUGS, LATERAL_SYMPTOMS, SYMPTOMS, doses, frequencies


def distinct_sentences() -> int:
    """Openings, complaints with a duration and prescriptions alone; each differs from the others in at least a word."""
    symptoms = len(SYMPTOMS.names) + 2 * len(LATERAL_SYMPTOMS.names)
    times = sum(longest for _, longest in DURATIONS.values())
    given = sum(len(doses(drug)) * len(frequencies(drug)) for drug in DRUGS.names)
    treatment_times = DURATIONS["dias"][1] + DURATIONS["semanas"][1]
    openings = len(OPENINGS) * len(AGES) * symptoms * times
    prescriptions = given * (len(TAKING) + len(STARTING) * (1 + treatment_times))
    return openings + len(COMPLAINTS) * symptoms * times + prescriptions
