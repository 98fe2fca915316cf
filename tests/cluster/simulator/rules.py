"""The rules that keep acknowledged writes, each of which can be broken on purpose to see that the checks notice."""

from __future__ import annotations

from typing import Final

BREAKABLE: Final = {
    "ack-without-lease": "the primary acknowledges without looking at its lease",
    "lease-from-answer": "the lease's time is counted from the keepalive's answer, not from before it was sent",
    "lease-on-wall-clock": "the lease is measured with a clock that people and NTP may step",
    "promote-out-of-sync": "a standby leads though the sync key does not name it",
    "ack-before-mark": "the first lone acknowledgement does not wait for the out-of-sync mark",
    "mark-in-early": "the standby is named in sync before it holds what was acknowledged alone",
    "receiver-accepts-old-epoch": "the receiver takes files of an epoch below its fence",
    "answer-before-fsync": "the receiver answers before the file is on its disk",
    "promote-without-drain": "a new primary opens without the last files that it received",
    "open-without-claim": "a new primary opens while the sync key still names the old one",
    "mark-while-leaving": "a node on its way out takes a slow peer out of the sync key",
    "stand-still-on-trouble": "a primary whose epoch can't be copied whole goes on in it, for ever alone",
    "hole-unnoticed": "neither the receiver's answer nor the drain notices a missing file",
}
