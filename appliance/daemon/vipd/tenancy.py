"""Who holds the address and until when: the rules of vipd, without clock or network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.cluster.vip_errors import BAD_DEADLINE, NOT_HELD, STALE_EPOCH
from appliance.daemon.vipd.allow_list import Entry

LONGEST_TENANCY_S: Final = 60.0
"""No lease of ours is that long: a deadline further ahead is a mistake that would pin the address."""


@dataclass(slots=True)
class Tenancy:
    """The address's present holder. Times are seconds of the lease clock.

    The epoch lives as long as vipd, not longer: after a restart, what keeps an old primary away is that a deadline is
    bounded by its etcd lease.
    """

    epoch: int = 0
    deadline_s: float = 0.0
    entries: tuple[Entry, ...] = ()

    def acquire(self, epoch: int, deadline_s: float, entries: tuple[Entry, ...], now_s: float) -> tuple[Entry, ...]:
        """Grant ``entries``. Returns those that an earlier grant had and this one lacks: they have to go down.

        Raises:
            ProntuarioError: a lower epoch than before, or a deadline that has passed or is too far ahead.
        """
        self._check_epoch(epoch)
        _check_deadline(deadline_s, now_s)
        gone = tuple(entry for entry in self.entries if entry not in entries)
        self.epoch, self.deadline_s, self.entries = epoch, deadline_s, entries
        return gone

    def renew(self, epoch: int, deadline_s: float, now_s: float) -> None:
        """Move the deadline on; it never moves back.

        Raises:
            ProntuarioError: a lower epoch, a bad deadline, or nothing is held in this epoch any more.
        """
        self._check_epoch(epoch)
        _check_deadline(deadline_s, now_s)
        if epoch != self.epoch or not self.entries or now_s >= self.deadline_s:
            raise NOT_HELD()
        self.deadline_s = max(self.deadline_s, deadline_s)

    def release(self, epoch: int) -> tuple[Entry, ...]:
        """Give up. Returns the entries that have to go down.

        Raises:
            ProntuarioError: a lower epoch: that holder has nothing to give up.
        """
        self._check_epoch(epoch)
        self.epoch = epoch
        return self.expire()

    def expire(self) -> tuple[Entry, ...]:
        """Nobody holds anything from now on. Returns what was held."""
        gone, self.entries, self.deadline_s = self.entries, (), 0.0
        return gone

    def overdue(self, now_s: float) -> bool:
        """Whether something is held beyond its deadline."""
        return bool(self.entries) and now_s >= self.deadline_s

    def _check_epoch(self, epoch: int) -> None:
        if epoch < max(self.epoch, 1):
            raise STALE_EPOCH(held=self.epoch, asked=epoch)


def _check_deadline(deadline_s: float, now_s: float) -> None:
    if not now_s < deadline_s <= now_s + LONGEST_TENANCY_S:
        raise BAD_DEADLINE()
