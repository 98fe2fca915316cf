"""The grounding guard: deterministic checks that a note's sentences and facts are carried by the segments they cite."""

from __future__ import annotations

from appliance.care.guard.check import VERSION, check_fact, check_sentence, opposes
from appliance.care.guard.verdict import Problem, Verdict

__all__ = ["VERSION", "Problem", "Verdict", "check_fact", "check_sentence", "opposes"]
