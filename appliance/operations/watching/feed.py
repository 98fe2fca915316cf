"""The box's own alerts: what is on, since when, who has seen it. Remembered in the home, for a standby has no record.

An alert that ends stays in the list for a week, so that the morning shift sees what happened at night. Nothing in it is of a
patient: a rule's name and the labels of a metric.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from appliance.operations.errors import ALERT_UNKNOWN
from appliance.operations.watching.conditions import Snapshot
from appliance.operations.watching.evaluate import Evaluator, Key
from appliance.operations.watching.rules import BY_NAME
from appliance.security.files import write_file
from appliance.store.durable import make_folder
from appliance.telemetry.clock import instant
from appliance.telemetry.logs import get_logger

log = get_logger("alerts")
KEEP_S: Final = 7 * 24 * 3600.0
SETTLE_S: Final = 120.0
"""After a start many figures are not known yet: what was on before is not over because nobody has looked."""
MAX_ENDED: Final = 500
Change = Literal["on", "off"]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert; moments are FHIR instants. ``ended``: None while it is on. ``seen_by``: who acknowledged it.

    ``told``: the last change that every target (mail, webhook) has taken; empty: none yet, or there are no targets.
    """

    id: str
    node: str
    rule: str
    severity: str
    labels: dict[str, str]
    pt: str
    en: str
    runbook: str
    began: str
    ended: str | None = None
    seen_by: str | None = None
    seen_at: str | None = None
    told: Literal["", "on", "off"] = ""


class AlertFeed:
    """``look`` at each snapshot; ``rows`` for people. ``tell`` hears of every alert that begins or ends."""

    def __init__(
        self, file: Path, node: str, tell: Callable[[Alert, Change], None] = lambda _alert, _change: None
    ) -> None:
        """Reads what was remembered: blocks a little."""
        self._file, self._node, self._tell = file, node, tell
        self._evaluator = Evaluator()
        self._alerts: dict[str, Alert] = {one.id: one for one in _load(file)}
        self._unseen = {one.id for one in self._alerts.values() if one.ended is None}
        """On when it was remembered, and not met again since this feed began."""
        self._changed = False
        self._began_s: float | None = None

    def rows(self) -> list[Alert]:
        """What is on first, the critical before the rest, the newest first."""
        newest = sorted(self._alerts.values(), key=lambda one: one.began, reverse=True)
        return sorted(newest, key=lambda one: (one.ended is not None, one.ended is None and one.severity != "critical"))

    def on(self) -> list[Alert]:
        """What is on now."""
        return [one for one in self.rows() if one.ended is None]

    def look(self, now: Snapshot) -> bool:
        """Judge; whether anything changed, and so has to be saved."""
        firing = self._evaluator.judge(now)
        if self._began_s is None:
            self._began_s = now.at
            self._tell_what_ended()
        known = {
            (one.rule, tuple(sorted(one.labels.items()))): one for one in self._alerts.values() if one.ended is None
        }
        for key in firing.keys() - known.keys():
            self._put(self._begun(key, firing[key], now.at), "on")
        met = {known[key].id for key in firing.keys() & known.keys()}
        for one in known.values():
            if one.id in met & self._unseen and not one.told:
                self._tell(one, "on")
        self._unseen -= met
        ended = [one for key, one in known.items() if key not in firing and not self._may_still_be(one, now.at)]
        for one in ended:
            self._put(msgspec.structs.replace(one, ended=_instant(now.at)), "off")
        changed, self._changed = self._changed, False
        return self._forget(now.at) or changed or bool(ended) or bool(firing.keys() - known.keys())

    def check(self, alert_id: str) -> Alert:
        """The alert called so. Raises ``alerts.unknown`` (404)."""
        if alert_id not in self._alerts:
            raise ALERT_UNKNOWN()
        return self._alerts[alert_id]

    def acknowledge(self, alert_id: str, by: str, at: str) -> Alert:
        """Somebody has seen it and sees to it; the first one's name stays. Raises ``alerts.unknown`` (404)."""
        one = self.check(alert_id)
        if one.seen_by is None:
            one = self._alerts[alert_id] = msgspec.structs.replace(one, seen_by=by, seen_at=at)
        return one

    def told(self, alert: Alert, change: Change) -> None:
        """Every target has taken it: it need not be told again after a restart. Saved with the next look."""
        if alert.id in self._alerts:
            self._alerts[alert.id] = msgspec.structs.replace(self._alerts[alert.id], told=change)
            self._changed = True

    def save(self) -> None:
        """Remember; a full disk costs only the memory, for the conditions are still there after a restart. Blocks."""
        try:
            make_folder(self._file.parent.absolute())
            write_file(self._file, msgspec.json.format(msgspec.json.encode(list(self._alerts.values()))))
        except OSError as error:
            log.warning("alerts could not be remembered", error=type(error).__name__)

    def _tell_what_ended(self) -> None:
        """Who heard that it began, and not that it ended before this node went down, would wait for ever."""
        for one in self._alerts.values():
            if one.ended is not None and one.told == "on":
                self._tell(one, "off")

    def _may_still_be(self, one: Alert, now: float) -> bool:
        """Whether it was on before a restart, and its rule has not had the time that it needs to say so again."""
        began_s = now if self._began_s is None else self._began_s
        return one.id in self._unseen and now - began_s < BY_NAME[one.rule].for_s + SETTLE_S

    def _begun(self, key: Key, since: float, now: float) -> Alert:
        rule, labels = BY_NAME[key[0]], dict(key[1])
        name = hashlib.sha256(f"{self._node} {key} {now}".encode()).hexdigest()[:16]
        return Alert(
            id=name, node=self._node, rule=rule.name, severity=rule.severity, labels=labels, pt=rule.pt, en=rule.en,
            runbook=rule.runbook, began=_instant(since),
        )  # fmt: skip

    def _put(self, alert: Alert, change: Change) -> None:
        self._alerts[alert.id] = alert
        log.warning("an alert", check=alert.rule, status=change, kind=alert.severity)
        self._tell(alert, change)

    def _forget(self, now: float) -> bool:
        ended = sorted(
            (one for one in self._alerts.values() if one.ended), key=lambda one: one.ended or "", reverse=True
        )
        oldest = _instant(now - KEEP_S)
        gone = [one.id for place, one in enumerate(ended) if place >= MAX_ENDED or (one.ended or "") < oldest]
        for one in gone:
            del self._alerts[one]
        return bool(gone)


def _instant(at: float) -> str:
    return instant(datetime.fromtimestamp(at, UTC))


def _load(file: Path) -> list[Alert]:
    """What was remembered, of rules that still exist."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=list[Alert])
    except FileNotFoundError:
        return []
    except (msgspec.MsgspecError, OSError) as error:
        log.warning("remembered alerts can't be read; they begin anew", error=type(error).__name__)
        return []
    return [one for one in found if one.rule in BY_NAME]
