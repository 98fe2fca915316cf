"""A transaction on the record, as plain functions see it: no await, no database library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

SqlValue = str | int | float | bytes | None
T = TypeVar("T")


class Row(Protocol):
    """One result row; columns by position or by name."""

    def __getitem__(self, key: int | str, /) -> SqlValue: ...
    def __iter__(self) -> Iterator[SqlValue]: ...
    def __len__(self) -> int: ...
    def keys(self) -> list[str]:
        """Column names in order."""
        ...


class Query(Protocol):
    """Reading: what a read-only connection and a transaction both offer. Calls block; they run on a database thread."""

    def one(self, sql: str, params: Sequence[SqlValue] = ()) -> Row | None:
        """The first row, or None."""
        ...

    def all(self, sql: str, params: Sequence[SqlValue] = ()) -> list[Row]:
        """Every row."""
        ...


class Transaction(Query, Protocol):
    """One writer's turn. It is all or nothing: an exception undoes this writer's changes and nobody else's."""

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> int:
        """Run one statement; returns the number of rows it changed."""
        ...

    def execute_many(self, sql: str, rows: Sequence[Sequence[SqlValue]]) -> None:
        """Run one statement for each row of parameters."""
        ...

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the event loop once the change is acknowledged (never after a failure)."""
        ...


class Store(Protocol):
    """The record. ``write`` answers only after the durability barrier: acknowledged means kept."""

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Run ``change`` in its own savepoint of the next group commit; its value once it is durable.

        Raises:
            ProntuarioError: ``unavailable`` (503) when this node may not acknowledge now; whatever ``change`` raised.
        """
        ...

    async def read(self, query: Callable[[Query], T]) -> T:
        """Run ``query`` on a read-only connection, in one hop to its thread."""
        ...
