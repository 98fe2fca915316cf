"""Carries the tenancy out: address, deadline in memory, announcements. One request at a time, never two at once."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.cluster.lease_clock import steady_s
from appliance.cluster.vip_errors import NOT_HELD
from appliance.cluster.vip_messages import VipAnswer, VipRequest
from appliance.daemon.vipd.allow_list import AllowList, Entry
from appliance.daemon.vipd.announce.announcer import Announcer
from appliance.daemon.vipd.backends import Backend
from appliance.daemon.vipd.guard import sweep
from appliance.daemon.vipd.presence import is_up
from appliance.daemon.vipd.shared_deadline import SharedDeadline
from appliance.daemon.vipd.tenancy import Tenancy
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.logs import get_logger

log = get_logger("vipd")


class Keeper:
    """vipd's state and its effects."""

    def __init__(self, allowed: AllowList, backend: Backend, shared: SharedDeadline, announcer: Announcer) -> None:
        self._allowed = allowed
        self._backend = backend
        self._shared = shared
        self._announcer = announcer
        self._tenancy = Tenancy()
        self._put_up_at = 0.0

    def handle(self, request: VipRequest) -> VipAnswer:
        """Do what is asked; the answer. A refusal is an answer too."""
        self.tick()
        try:
            if request.verb == "acquire":
                self._acquire(request)
            elif request.verb == "renew":
                self._renew(request)
            elif request.verb == "release":
                self._tenancy.release(request.epoch)
                self.drop()
        except ProntuarioError as error:
            details = {name: value for name, value in error.details.items() if isinstance(value, str | int)}
            return self.state(error.kind.code, details)
        return self.state()

    def state(self, code: str = "", details: dict[str, str | int] | None = None) -> VipAnswer:
        """How things stand."""
        return VipAnswer(
            epoch=self._tenancy.epoch,
            held=tuple(str(entry.address) for entry in self._tenancy.entries),
            up=tuple(str(entry.address) for entry in self._allowed.entries if is_up(entry.address)),
            deadline_s=self._tenancy.deadline_s,
            backend=self._backend.name,
            code=code,
            details=details or {},
        )

    def tick(self) -> None:
        """Call it often: the server's own look at the deadline, beside the guard's."""
        if self._tenancy.overdue(steady_s()):
            log.warning("lease ran out; the address goes down", epoch=self._tenancy.epoch)
            self.drop()
        elif not self._tenancy.entries:
            sweep(self._allowed.entries, self._backend)
        else:
            self._prolong()

    def drop(self) -> bool:
        """Nobody holds the address any more. Returns whether it is really gone; the guard goes on trying if not."""
        self._shared.deadline_s = 0.0
        self._tenancy.expire()
        self._announcer.stop()
        return sweep(self._allowed.entries, self._backend, always=True)

    def _acquire(self, request: VipRequest) -> None:
        entries = self._allowed.admit(request.addresses, request.interface)
        gone = self._tenancy.acquire(request.epoch, request.deadline_s, entries, steady_s())
        if gone:
            sweep(gone, self._backend)
        # Before the address: from here on the guard tolerates it, and takes it down if we are stopped in between.
        self._shared.deadline_s = self._tenancy.deadline_s
        self._put_up(entries)
        self._announcer.start(entries)
        log.info("address acquired", epoch=request.epoch)

    def _renew(self, request: VipRequest) -> None:
        self._tenancy.renew(request.epoch, request.deadline_s, steady_s())
        self._shared.deadline_s = self._tenancy.deadline_s
        entries = self._tenancy.entries
        if not all(is_up(entry.address) for entry in entries):
            self._put_up(entries)
            log.warning("the address had gone and was put up again", epoch=request.epoch)
            self._announcer.start(entries)

    def _prolong(self) -> None:
        every_s = self._backend.prolong_every_s
        if every_s is None or steady_s() - self._put_up_at < every_s:
            return
        try:
            self._put_up(self._tenancy.entries)
        except ProntuarioError as error:
            log.warning("the held address could not be prolonged and was dropped", code=error.kind.code)

    def _put_up(self, entries: Sequence[Entry]) -> None:
        try:
            self._backend.up(entries)
        except ProntuarioError:
            self.drop()
            raise
        self._put_up_at = steady_s()
        # This process may have been stopped since it looked at the clock.
        if self._tenancy.overdue(steady_s()):
            self.drop()
            raise NOT_HELD()
