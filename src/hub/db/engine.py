"""The one Piccolo engine of a process, made safe.

Piccolo's own engine connects when it is imported, opens a connection a query when no pool runs, and leaks
the connection of a transaction whose COMMIT fails. This one does none of that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal

import asyncpg
from msgspec import Struct
from piccolo.engine.postgres import PostgresEngine, PostgresTransaction

from hub.core import tracing

if TYPE_CHECKING:
    from types import TracebackType

    from asyncpg import Connection

#: Seconds after which the database is asked to give up on one statement.
COMMAND_TIMEOUT = 30.0
#: Seconds that a transaction may wait for its own process: a frozen one must not keep its rows locked.
IDLE_LIMIT = 10.0

#: Everything that a call can raise for the database's sake: for loops that must go on whatever it was.
DATABASE_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

#: What of that is worth trying again: the database is away, shutting down, too slow, or broke a deadlock.
UNAVAILABLE: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that ended in the middle of its clean-up
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.TransactionRollbackError,  # the other side of a deadlock went through
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,  # this process stood still for too long
)


class HubConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg ships no types
    """A connection that goes back to its pool without the round trip of a reset, if it is known to be clean.

    Sessions set nothing, so there is nothing to reset unless a call was cut short: asyncpg may then leave
    PostgreSQL inside a half-sent statement, in which the next call would run and see an old ``now()``.
    """

    __slots__ = ("_is_clean",)

    def note_clean(self) -> None:
        """Say that the last call ended well and that nothing but giving back follows."""
        self._is_clean = True

    def get_reset_query(self) -> str:
        """Return what the pool runs when it gets the connection back; nothing if it is clean."""
        is_clean, self._is_clean = getattr(self, "_is_clean", False), False
        return "" if is_clean else str(super().get_reset_query())


class PoolStanding(Struct, frozen=True, kw_only=True):
    """How many connections a pool has lent and how many lie idle, ``most`` of both, and who waits for one."""

    in_use: int = 0
    idle: int = 0
    most: int = 0
    waiting: int = 0


class SafeTransaction(PostgresTransaction):
    """A transaction that always gives its connection back, even when BEGIN, COMMIT or ROLLBACK fails."""

    engine: HubEngine
    _step: tracing.Span = tracing.NOTHING

    async def __aenter__(self) -> PostgresTransaction:
        if self.engine.pool is None:
            raise RuntimeError("the database pool is not open")
        if self._parent is None:
            self._step = tracing.leaf("transaction", kind="client", facts={"db.system.name": "postgresql"})
        try:
            return await super().__aenter__()
        except BaseException as error:
            # Nobody will leave what was not entered; a BEGIN cut short is of no use.
            connection = getattr(self, "connection", None)
            if connection is not None:
                with suppress(asyncpg.InterfaceError):  # it broke and has left the pool already
                    connection.terminate()
                await self.engine.give_back(connection)
            tracing.end(self._step, error)
            raise

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        if self._parent is not None:
            return False
        try:
            if exception is None:
                await self.commit()  # type: ignore[no-untyped-call]  # Piccolo's is not annotated
            else:
                await self._undo()
        finally:
            self.engine.current_transaction.reset(self.context)
            if self._committed:
                self.connection.note_clean()
            await self.engine.give_back(self.connection)
            tracing.end(self._step, exception)
        return False

    async def get_connection(self) -> Connection:
        """Take a connection from the pool."""
        return await self.engine.take()

    async def _undo(self) -> None:
        """Roll back; where that fails, end the connection, so that what made us roll back is what counts."""
        try:
            await self.rollback()  # type: ignore[no-untyped-call]  # Piccolo's is not annotated
        except DATABASE_ERRORS:
            with suppress(asyncpg.InterfaceError):  # it broke and has left the pool already
                self.connection.terminate()


class HubEngine(PostgresEngine):
    """A pool that is opened on purpose; without it every query fails at once."""

    def __init__(self) -> None:
        super().__init__(config={})
        self._waiting = 0

    async def check_version(self) -> None:
        """Do not connect at import; readiness checks the server instead."""

    async def prep_database(self) -> None:
        """Do not connect at import; migrations make what the schema needs."""

    async def open(self, dsn: str, *, pool_size: int, lock_timeout: int = 0) -> None:
        """Open the pool on the running event loop, where alone it may be used.

        Args:
            dsn: PostgreSQL address.
            pool_size: most connections held at once.
            lock_timeout: milliseconds after which a statement stops waiting for a lock; 0 waits on.
        """
        # It tells each failed attempt to reconnect with a traceback; relay and bus say once that it is away.
        logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
        self.config = {"dsn": dsn}
        self.pool = await asyncpg.create_pool(
            dsn=dsn,
            min_size=min(2, pool_size),
            max_size=pool_size,
            command_timeout=COMMAND_TIMEOUT,
            max_inactive_connection_lifetime=300,
            connection_class=HubConnection,
            server_settings={
                "application_name": "companion-hub",
                "lock_timeout": str(lock_timeout),
                "idle_in_transaction_session_timeout": str(int(IDLE_LIMIT * 1000)),
            },
        )

    async def close(self) -> None:
        """Close the pool; connections still busy after 3 seconds are cut."""
        if self.pool is None:
            return
        pool, self.pool = self.pool, None
        try:
            async with asyncio.timeout(3):
                await pool.close()
        except TimeoutError:
            pool.terminate()

    def transaction(self, allow_nested: bool = True) -> SafeTransaction:  # noqa: FBT001, FBT002 - Piccolo's signature
        """Begin a transaction, or join the one that is open in this task."""
        return SafeTransaction(engine=self, allow_nested=allow_nested)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend the open transaction's connection, or one of the pool's, for asyncpg's own calls."""
        current = self.current_transaction.get()
        if current is not None:
            yield current.connection
            return
        connection = await self.take()
        try:
            yield connection
            connection.note_clean()
        finally:
            await self.give_back(connection)

    async def take(self) -> Connection:
        """Take a connection from the pool, to be given back."""
        if self.pool is None:
            raise RuntimeError("the database pool is not open")
        self._waiting += 1
        try:
            return await self.pool.acquire()
        finally:
            self._waiting -= 1

    def pool_standing(self) -> PoolStanding:
        """Return how the pool stands; nothing of it if it is not open."""
        if self.pool is None:
            return PoolStanding()
        size, idle = self.pool.get_size(), self.pool.get_idle_size()
        return PoolStanding(
            in_use=size - idle, idle=idle, most=self.pool.get_max_size(), waiting=self._waiting
        )

    async def give_back(self, connection: Connection) -> None:
        """Give a connection back to the pool, which ends it should it be broken.

        What was done with it counts, not how it ends: an error here would take the place of a result, or of
        a cancellation, which must not get lost.
        """
        if self.pool is not None:
            with suppress(*DATABASE_ERRORS):
                await self.pool.release(connection)

    async def _run_in_pool(self, query: str, args: Sequence[Any] | None = None) -> Any:
        async with self.connection() as connection:
            return await connection.fetch(query, *(args or ()))

    async def _run_in_new_connection(
        self,
        query: str,  # noqa: ARG002 - Piccolo's signature
        args: Sequence[Any] | None = None,  # noqa: ARG002 - Piccolo's signature
    ) -> Any:
        raise RuntimeError("the database pool is not open")


#: Every table of the hub is bound to this engine.
ENGINE = HubEngine()
