"""Two groups of rows, so that one person's hundred requests do not slow everybody's words: who joins which, and who gets the time.

A batch's step lasts the longer the more rows it has, whoever they belong to. So while others are answered, the rows of a
person who has many make a batch of their own, which is stepped for a part of the time only. With nobody else there it has all of it,
and a person alone fills one batch as ever. Plain arithmetic; nothing here knows a model.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

MODEST_ROWS: Final = 4
"""Up to so many rows at a time a person is like everybody; with more they are a crowd by themselves."""
_RATE: Final = 1 / 5
"""Seconds that a crowd earns by every second of the others: it gets a sixth of the time, and they take a fifth longer."""

People = Counter[str]
"""Rows of each person in a group; nobody with none."""
Groups = tuple[People, People]


def group_for(person: str, groups: Groups, *, modest: bool = False) -> int:
    """The group (0 or 1) that a new row of ``person`` joins; ``modest``: as if they had none yet.

    Whoever has few joins the group that nobody crowds; a crowd's rows join those of a crowd, so that there is always such a group.
    """
    if modest or _held(person, groups) < MODEST_ROWS:
        return max((0, 1), key=lambda at: (not _crowded(groups[at]), groups[at].total(), -at))

    def fitness(at: int) -> tuple[bool, bool, int, int, int]:
        disturbs_nobody = all(_is_crowd(one, groups) for one in groups[at] if one != person)
        return _crowded(groups[at]), disturbs_nobody, groups[at][person], groups[at].total(), -at

    return max((0, 1), key=fitness)


def crowd_of(groups: Groups) -> int | None:
    """The group of nothing but crowds, if somebody who is none is answered in the other one."""
    for at, people in enumerate(groups):
        other = groups[1 - at]
        alone = bool(people) and all(_is_crowd(one, groups) for one in people)
        if alone and any(not _is_crowd(one, groups) for one in other):
            return at
    return None


def _held(person: str, groups: Groups) -> int:
    return groups[0][person] + groups[1][person]


def _is_crowd(person: str, groups: Groups) -> bool:
    return _held(person, groups) > MODEST_ROWS


def _crowded(people: People) -> bool:
    return any(rows > MODEST_ROWS for rows in people.values())


class TimeShare:
    """When a crowd's batch may step while others are answered: once it has earned what its last step cost.

    It pays in advance, so a short answer beside it is not held up by a step that is longer than the answer itself.
    """

    def __init__(self) -> None:
        self._earned_s = 0.0
        self._cost_s = 0.0

    @property
    def may_step(self) -> bool:
        """Whether the crowd's turn has come."""
        return self._earned_s >= self._cost_s

    def spent(self, seconds: float, *, by_crowd: bool) -> None:
        """A batch's step took ``seconds``; nobody saves up for more than two steps."""
        if by_crowd:
            self._earned_s -= seconds
            self._cost_s = seconds
        else:
            self._earned_s = min(2 * self._cost_s, self._earned_s + _RATE * seconds)
