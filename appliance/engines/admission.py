"""Who goes next: a bounded queue with lanes, and inside a lane every user in turn."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from appliance.plugin_api.engine import Lane

_ORDER: Final = (Lane.URGENT, Lane.INTERACTIVE, Lane.BACKGROUND)
TURNS_UNTIL_THE_LAST_LANE: Final = 8
"""Every eighth turn goes to the last lane that waits, so that background work is slow under load but never starved."""


class Waiting(Protocol):
    """What the queue needs to know of a request."""

    @property
    def lane(self) -> Lane: ...
    @property
    def user(self) -> str: ...


R = TypeVar("R", bound=Waiting)


class _LaneQueue(Generic[R]):
    """Users in turn; one user's requests in order of arrival."""

    def __init__(self) -> None:
        self._users: OrderedDict[str, deque[R]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._users)

    def push(self, request: R, *, first: bool) -> None:
        queue = self._users.setdefault(request.user, deque())
        if first:
            queue.appendleft(request)
            self._users.move_to_end(request.user, last=False)
        else:
            queue.append(request)

    def pop(self, may_run: Callable[[R], bool]) -> R | None:
        """The next of the first user whose next one may run; the users that are passed over keep their turn."""
        user = next((user for user, queue in self._users.items() if may_run(queue[0])), None)
        if user is None:
            return None
        queue = self._users[user]
        request = queue.popleft()
        if queue:
            self._users.move_to_end(user)
        else:
            del self._users[user]
        return request

    def remove(self, request: R) -> bool:
        queue = self._users.get(request.user)
        if queue is None or request not in queue:
            return False
        queue.remove(request)
        if not queue:
            del self._users[request.user]
        return True

    def __iter__(self) -> Iterator[R]:
        for queue in self._users.values():
            yield from queue

    def waiting_of(self, user: str) -> int:
        """How many of this user's wait."""
        return len(self._users.get(user, ()))

    def last_of_the_greediest(self) -> R:
        """The newest request of the user who has most of them."""
        return max(self._users.values(), key=len)[-1]

    def ahead_of(self, request: R) -> int:
        """How many of this lane go before ``request``, as users take turns."""
        mine = self._users[request.user].index(request)
        ahead, turn_passed = mine, False
        for user, queue in self._users.items():
            if user == request.user:
                turn_passed = True
            else:
                ahead += min(len(queue), mine if turn_passed else mine + 1)
        return ahead


class AdmissionQueue(Generic[R]):
    """Requests that wait for a slot. ``limit`` bounds their number."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lanes: dict[Lane, _LaneQueue[R]] = {lane: _LaneQueue() for lane in _ORDER}
        self._count = 0
        self._turn = 0
        self.held: frozenset[Lane] = frozenset()
        """Lanes that wait for the time being: their requests are queued, and none of them is next."""

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether one more would be too many."""
        return self._count >= self.limit

    def push(self, request: R, *, first: bool = False) -> None:
        """Queue it; ``first`` puts a retried request back where it was, even when the queue is full."""
        self._lanes[request.lane].push(request, first=first)
        self._count += 1

    def pop(self, may_run: Callable[[R], bool] = lambda _: True) -> R | None:
        """The next one that may run, or None."""
        waiting = [lane for lane in _ORDER if self._lanes[lane] and lane not in self.held]
        if (self._turn + 1) % TURNS_UNTIL_THE_LAST_LANE == 0:
            waiting.reverse()
        for lane in waiting:
            if (request := self._lanes[lane].pop(may_run)) is not None:
                self._turn += 1
                self._count -= 1
                return request
        return None

    def gives_way_to(self, lane: Lane, user: str) -> R | None:
        """Who should leave a full queue for a newcomer of ``lane``: of the last lane below it, the newest of the greediest user.

        Where nobody waits below it, the same of its own lane, if that user has more than ``user`` would have: nobody fills the
        queue for all others. Urgent requests are not weighed against each other.
        """
        for lower in reversed(_ORDER[_ORDER.index(lane) + 1 :]):
            if self._lanes[lower]:
                return self._lanes[lower].last_of_the_greediest()
        own = self._lanes[lane]
        if lane is Lane.URGENT or not own:
            return None
        newest = own.last_of_the_greediest()
        return newest if own.waiting_of(newest.user) > own.waiting_of(user) + 1 else None

    def place(self, request: R) -> int:
        """The place of a waiting request, 1 for the next one; an estimate, for newcomers of a higher lane go before it."""
        before = sum(sum(1 for _ in self._lanes[lane]) for lane in _ORDER[: _ORDER.index(request.lane)])
        return before + self._lanes[request.lane].ahead_of(request) + 1

    def __iter__(self) -> Iterator[R]:
        for lane in _ORDER:
            yield from self._lanes[lane]

    def remove(self, request: R) -> bool:
        """Take it out again (cancelled or too late); False if it does not wait."""
        if self._lanes[request.lane].remove(request):
            self._count -= 1
            return True
        return False

    def drain(self) -> list[R]:
        """Take everything out, in no useful order."""
        everyone = [request for lane in self._lanes.values() for request in lane]
        self._lanes = {lane: _LaneQueue() for lane in _ORDER}
        self._count = 0
        return everyone
