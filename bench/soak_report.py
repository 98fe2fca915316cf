"""What a soak gave, as rows of the one JSON line, and whether it was sound."""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass

from bench.report import Report, say
from bench.soak_books import SHARES, Books, growth, percentile
from bench.soak_record import READS, WRITES, Ledger
from bench.soak_watch import CORE, PROBE_LIMIT_S, PROBE_S, Part, Probe, Watch

AIM_P99_MS, AIM_A_MINUTE, AIM_GROWTH, AIM_UPTIME = 100.0, 1000, 1.03, 99.9
FLAT_FROM_MIN, STRICT_FROM_MIN = 10.0, 30.0
"""A shorter run is still warming up: its memory says nothing. Below half an hour allocators still settle, by so much; a leak of TLS
connections that was found came to four times that."""
SETTLING_BYTES = 48 * 2**20
BORNE_CUTS = 0.001
"""Of all answers, beside other work (``--no-timing``): a starved machine breaks one now and then, seen to stand still or not."""
PERCENT = 100.0
MOST_TOLD = 20
Aim = tuple[str, float]


@dataclass
class Outcome:
    """Everything that was seen. Moments in seconds of the monotonic clock, ``own_cpu_s`` of this program."""

    books: Books
    ledger: Ledger
    watch: Watch
    probe: Probe
    missing: list[str]
    began: float
    until: float
    ended: float
    own_cpu_s: float


class Telling:
    """Makes the rows; ``wrong`` holds what the exit status is about."""

    def __init__(self, outcome: Outcome, asked: argparse.Namespace, report: Report) -> None:
        self._it, self._asked, self._report = outcome, asked, report
        self.wrong: list[str] = []

    def timing(self, sign: str, limit: float) -> Aim | None:
        """An aim of a time or a rate, where these mean something."""
        return None if self._asked.no_timing else (sign, limit)

    def all(self) -> None:
        """Every row."""
        self.rates()
        self.times()
        self.soundness()
        self.uptime()
        for name, part in sorted(self._it.watch.parts.items()):
            self.part(name, part)
        self.costs()

    def rates(self) -> None:
        """Requests a minute."""
        books, row = self._it.books, self._report.row
        minutes = books.minutes(self._it.began, self._it.until)
        what = f"requests a minute over {self._asked.minutes:g} min, {self._asked.phones} phones"
        row(f"{what}: median", statistics.median(minutes), "1/min")
        row(f"{what}: least of all minutes", min(minutes), "1/min", aim=self.timing(">=", AIM_A_MINUTE))
        row("frames of 100 ms dictated besides", books.frames, "frames")

    def times(self) -> None:
        """Percentiles, from the moment at which a request was to be made."""
        books = self._it.books
        together = {"reads of the record": list(READS), "writes to the record": list(WRITES)}
        for what, actions in together.items():
            times = books.all_of(actions)
            if not times:
                continue
            for name, share in SHARES.items():
                aim = self.timing("<=", AIM_P99_MS) if name == "p99" else None
                self._report.row(f"{what}: {name}", percentile(times, share) * 1000, f"ms of {len(times)}", aim=aim)
        for action, single in sorted(books.seconds.items()):
            for name, share in SHARES.items():
                self._report.row(f"{action}: {name}", percentile(single, share) * 1000, f"ms of {len(single)}")

    def soundness(self) -> None:
        """What must be nothing."""
        books, row = self._it.books, self._report.row
        stalls = self._it.probe.standstills()
        errors, blamed = books.settled(stalls if self._asked.no_timing else None)
        for what, times in books.told_to_wait.most_common(MOST_TOLD):
            say(f"  told to wait {times} × {what}")
        for sentence in self._it.missing[:MOST_TOLD]:
            say(f"  LOST: {sentence}")
        row("acknowledged writes, all read back", self._it.ledger.writes, "writes")
        self._nothing("of them lost", len(self._it.missing), "writes")
        cut = errors.total() - books.errors.total() if self._asked.no_timing else 0
        self._nothing("errors", errors.total(), "answers", bear=cut if cut <= BORNE_CUTS * len(books.answered) else 0)
        for what, times in errors.most_common(MOST_TOLD):
            row(f"error {what}", times, "answers")
        if self._asked.no_timing:
            for what, times in blamed.most_common(MOST_TOLD):
                say(f"  the machine's fault {times} × {what}")
            row("given up or cut while the machine stood still", blamed.total(), f"answers, {len(stalls)} standstills")
            row("calls left out because the last one was unanswered", self._it.books.left_out, "calls")
        row("told to wait (429 with Retry-After)", sum(books.told_to_wait.values()), "answers")
        row("sessions renewed after a 401", books.renewed, "answers")
        self._nothing("restarts of core, engines and Litestream", len(self._it.watch.restarts), "restarts")

    def _nothing(self, what: str, count: int, unit: str, *, bear: int = 0) -> None:
        self._report.row(what, count, unit, aim=("==", 0))
        if count > bear:
            self.wrong.append(f"{what}: {count}")

    def uptime(self) -> None:
        """Seconds without an answer of the health probe."""
        uptime, total = self._it.probe.uptime(self._it.began, self._it.ended), self._it.ended - self._it.began
        probes = f"/health/primary asked every {PROBE_S * 1000:g} ms, {PROBE_LIMIT_S:g} s to answer"
        self._report.row(f"up ({probes})", uptime.share(total) * PERCENT, "%", aim=self.timing(">=", AIM_UPTIME))
        self._report.row("without an answer", uptime.away_s, f"s of {total:.0f}")
        self._report.row("longest without an answer", max(uptime.outages, default=0.0), "s")

    def part(self, name: str, part: Part) -> None:
        """Memory, open files and CPU of one process."""
        total = self._it.ended - self._it.began
        self._report.row(f"{name}: CPU", part.cpu_s / total * PERCENT, "% of a core")
        memory, files = growth(part.resident), growth(part.files)
        if memory is None or files is None:
            return
        long = self._asked.minutes >= FLAT_FROM_MIN
        ours = name == CORE or name.startswith("engine")
        self._report.row(
            f"{name}: resident memory, last third", memory.last / 2**20, "MiB", peer="second third",
            peer_value=memory.second / 2**20, aim=("<=", AIM_GROWTH) if long and ours else None, on="ratio",
        )  # fmt: skip
        self._report.row(f"{name}: open files, last third", files.last, "files",
                         peer="second third", peer_value=files.second)  # fmt: skip
        allowed = SETTLING_BYTES if self._asked.minutes < STRICT_FROM_MIN else 0
        if long and ours and memory.last > max(memory.second * AIM_GROWTH, memory.second + allowed):
            self.wrong.append(f"{name} grew by {(memory.ratio - 1) * PERCENT:.1f} %")

    def costs(self) -> None:
        """What the bench itself took of the machine."""
        total = self._it.ended - self._it.began
        self._report.row("the bench's own CPU", self._it.own_cpu_s / total * PERCENT, "% of a core")
        self._report.row("the bench's own latest wake-up", self._it.probe.late_s * 1000, "ms")


def tell(outcome: Outcome, asked: argparse.Namespace) -> int:
    """Print the JSON line; 1 when something was lost, an error happened, or a part restarted or grew."""
    report = Report("soak")
    telling = Telling(outcome, asked, report)
    telling.all()
    for sentence in telling.wrong:
        say(f"NOT SOUND: {sentence}")
    report.print()
    return 1 if telling.wrong else 0
