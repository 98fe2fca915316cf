"""The books of the soak: what each action took, what went wrong, whether the node answered, and whether it grew. No I/O here."""

from __future__ import annotations

import math
import statistics
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

LEAST_SAMPLES = 5
"""In each third; a shorter run tells nothing of growth."""
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
TOO_MANY = 429
AFTERWARDS_S = 10.0
"""So long after a standstill connections still break of it: those that came in meanwhile are handled late."""
MINUTE_S = 60.0


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` (0 to 1) of all do not exceed (nearest rank); NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Books:
    """What the phones saw. Seconds of the monotonic clock; 72,000 answers an hour are 600 kB."""

    def __init__(self) -> None:
        self.seconds: dict[str, array[float]] = {}
        """By action, from the moment at which it was to begin, so that a node that lets requests pile up is not spared."""
        self.errors: Counter[str] = Counter()
        self.cuts: list[tuple[float, str]] = []
        """(when, what) of connections that broke; ``settled`` says what they count as."""
        self.timed_out: Counter[str] = Counter()
        """What the phone itself gave up, because no answer had come in time."""
        self.left_out = 0
        """Calls that were not made because the one before had not been answered (only beside other work)."""
        self.told_to_wait: Counter[str] = Counter()
        self.renewed = 0
        """Answers 401 after which the phone went on with a renewed session."""
        self.answered = array("d")
        """When each HTTP request was answered, whatever the answer."""
        self.frames = 0

    def took(self, action: str, seconds: float) -> None:
        """An action ended well."""
        self.seconds.setdefault(action, array("d")).append(seconds)

    def heard(self) -> None:
        """An HTTP request was answered now."""
        self.answered.append(time.monotonic())

    def wrong(self, what: str) -> None:
        """An unexpected status, an answer that can't be right."""
        self.errors[what] += 1

    def cut(self, what: str) -> None:
        """A connection broke now."""
        self.cuts.append((time.monotonic(), what))

    def settled(self, stalls: Sequence[tuple[float, float]] | None = None) -> tuple[Counter[str], Counter[str]]:
        """(errors, what is the machine's fault). ``stalls``: when it let this very program stand still; None: no excuses.

        The machine is blamed for connections that broke around such a time, and for what took longer than a phone waits.
        """
        errors, blamed = Counter(self.errors), Counter[str]()
        (errors if stalls is None else blamed).update(self.timed_out)
        for at, what in self.cuts:
            near = any(began <= at <= ended + AFTERWARDS_S for began, ended in stalls or ())
            (blamed if near else errors)[what] += 1
        return errors, blamed

    def refused(self, where: str, status: int, code: str, *, retry_after: bool) -> None:
        """Any answer of 400 and above: being told to wait is no error, a 429 that does not say for how long is."""
        if status == TOO_MANY and retry_after:
            self.told_to_wait[f"{where}: {code}"] += 1
        else:
            self.wrong(f"{where}: {status} {code}")

    def all_of(self, actions: Iterable[str]) -> list[float]:
        """The times of several actions together."""
        return [second for action in actions for second in self.seconds.get(action, ())]

    def minutes(self, began: float, ended: float) -> list[int]:
        """Requests answered in each full minute between two moments; of a run below a minute its rate."""
        whole = int((ended - began) // MINUTE_S)
        if not whole:
            return [round(sum(began <= at < ended for at in self.answered) / max(ended - began, 1e-9) * MINUTE_S)]
        counts = Counter(int((at - began) // MINUTE_S) for at in self.answered if at >= began)
        return [counts[minute] for minute in range(whole)]


@dataclass
class Uptime:
    """Probes in their order. Away: from the first probe without an answer until the next one with."""

    away_s: float = 0.0
    probes: int = 0
    outages: list[float] = field(default_factory=list)
    _since: float | None = None

    def probed(self, at: float, *, answered: bool) -> None:
        """A probe of the moment ``at`` (seconds, growing)."""
        self.probes += 1
        if not answered:
            self._since = at if self._since is None else self._since
        elif self._since is not None:
            self._away(at)

    def end(self, at: float) -> None:
        """The run is over: what is still away was away until now."""
        if self._since is not None:
            self._away(at)

    def share(self, total_s: float) -> float:
        """Of the time, in which it answered: 0 to 1."""
        return 1.0 - self.away_s / total_s if total_s > 0 else math.nan

    def _away(self, until: float) -> None:
        assert self._since is not None
        self.away_s += until - self._since
        self.outages.append(until - self._since)
        self._since = None


@dataclass(frozen=True)
class Growth:
    """The medians of the second and of the last third of a row of samples; the first third warms caches up."""

    second: float
    last: float

    @property
    def ratio(self) -> float:
        return self.last / self.second if self.second else math.nan


def growth(samples: Sequence[int]) -> Growth | None:
    """None when there are too few samples, one a second, to say anything."""
    third = len(samples) // 3
    if third < LEAST_SAMPLES:
        return None
    return Growth(statistics.median(samples[third : 2 * third]), statistics.median(samples[2 * third :]))
