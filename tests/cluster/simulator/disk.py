"""What outlives a process: the record's database, received and own LTX files, the fence; and what a crash takes."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.cluster.model import NOTHING, Position

Rows = tuple[int, ...]


@dataclass
class Disk:
    """Rows are numbers. ``files[epoch][txid]`` are LTX files; the first of an epoch is a snapshot of everything."""

    rows: list[int] = field(default_factory=list)
    """The record's database, if this node opened it itself (``record_epoch``)."""
    record_epoch: int | None = None
    files: dict[int, dict[int, Rows]] = field(default_factory=dict)
    fence: int = 0
    aside: list[Rows] = field(default_factory=list)
    full: bool = False
    slow: float = 1.0
    last_own: int = 0
    drops_next: bool = False
    """The next file of our own never reaches the spool."""
    _contiguous: dict[int, int] = field(default_factory=dict)

    def contiguous(self, epoch: int) -> int:
        """The highest TXID below which nothing is missing."""
        files, known = self.files.get(epoch, {}), self._contiguous.get(epoch, 0)
        while known + 1 in files:
            known += 1
        self._contiguous[epoch] = known
        return known

    def highest(self, epoch: int) -> int:
        return max(self.files.get(epoch, {}), default=0)

    def punch_hole(self, pick: float) -> bool:
        """Lose one file in the middle of what was received; False: there is none to lose."""
        if self.record_epoch is not None or not self.files:
            return False
        epoch = max(self.files)
        middle = sorted(self.files[epoch])[:-1]
        if not middle:
            return False
        lost = middle[int(pick * len(middle))]
        del self.files[epoch][lost]
        self._contiguous[epoch] = min(self._contiguous.get(epoch, 0), lost - 1)
        return True

    def held(self) -> Position:
        """What could be opened for writing here."""
        if self.record_epoch is not None:
            return Position(self.record_epoch, self.last_own)
        for epoch in sorted(self.files, reverse=True):
            if (txid := self.contiguous(epoch)) > 0:
                return Position(epoch, txid)
        return NOTHING

    def drained(self, *, careless: bool = False) -> list[int] | None:
        """The rows of everything that was received; None: a file is missing, the restore fails."""
        if self.record_epoch is not None:
            return self.rows
        held = self.held()
        broken = held.txid < self.highest(held.epoch) or any(epoch > held.epoch for epoch in self.files)
        if broken and not careless:
            return None
        files = self.files.get(held.epoch, {})
        return [row for txid in sorted(files) for row in files[txid]]

    def open(self, epoch: int, rows: list[int]) -> None:
        """Begin an epoch of our own: its first file is the snapshot."""
        self.rows, self.record_epoch, self.last_own = rows, epoch, 1
        self.files = {epoch: {1: tuple(rows)}}
        self._contiguous = {}

    def commit(self, row: int) -> int:
        """Database and own spool, both durable; the row's TXID."""
        assert self.record_epoch is not None
        self.rows.append(row)
        self.last_own += 1
        txid = self.last_own
        if not self.drops_next:
            self.files[self.record_epoch][txid] = (row,)
        self.drops_next = False
        return txid

    def highest_own(self) -> int:
        """The highest TXID of our own epoch."""
        return self.last_own if self.record_epoch is not None else 0

    def set_aside(self) -> None:
        """Our former record, or what was received, leaves the way, but not the disk."""
        self.aside.append(tuple(self.drained(careless=True) or ()))
        self.rows, self.record_epoch, self.files, self._contiguous = [], None, {}, {}
