"""The database, and what its rows tell: schema, clock, administrators, jobs, pictures that wait to go."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime

import asyncpg
from msgspec import Struct

from hub.core.redaction import scrub
from hub.core.settings import SecretUrl, Settings
from hub.core.sizes import size
from hub.db import migrate
from hub.db.address import without_prisma_parameters
from hub.db.embedded import EmbeddedPostgres, EmbeddedPostgresError, EmbeddedPostgresSlowError
from hub.db.embedded.layout import Layout
from hub.db.engine import DATABASE_ERRORS, ENGINE
from hub.doctor.findings import Finding, bad, good, warning
from hub.doctor.rows import administrators, jobs, leftovers

_DATABASE, _URL = "database", "HUB_DATABASE_URL"
_POOL = "HUB_DATABASE_POOL_SIZE"
#: Connections of a process beside its pool: the bus sends on one and listens on another.
_BESIDE_POOL = 2
_OLDEST_TESTED = 150_000
#: Seconds by which this machine's clock may differ from the database's.
_SKEW, _BAD_SKEW = 2.0, 60.0
#: Seconds that closing the connections may take.
CLOSE_SECONDS = 0.3


class Found(Struct, kw_only=True):
    """Where the database is, if it can be asked; ``embedded`` is to be stopped by whoever looked for it."""

    dsn: str | None = None
    findings: list[Finding] = []
    embedded: EmbeddedPostgres | None = None


class Visit(Struct, kw_only=True):
    """What was found so far; ``hubs`` is how many connections other processes of the hub have."""

    findings: list[Finding] = []
    hubs: int | None = None


class _Facts(Struct, frozen=True, kw_only=True):
    version: str
    number: int
    bytes: int
    encoding: str
    most: int
    used: int
    hubs: int
    read_only: bool
    may_create: bool | None
    now: datetime


_FACTS = """
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int AS number,
    pg_database_size(d.oid) AS bytes, pg_encoding_to_char(d.encoding) AS encoding,
    least(current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
        CASE WHEN d.datconnlimit >= 0 THEN d.datconnlimit END,
        CASE WHEN r.rolconnlimit >= 0 THEN r.rolconnlimit END) AS most,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> ALL($1)) AS used,
    (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'companion-hub' AND datname = d.datname
        AND pid <> ALL($1)) AS hubs,
    pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS read_only,
    has_schema_privilege(current_schema(), 'CREATE') AS may_create, clock_timestamp() AS now
FROM pg_database d, pg_roles r WHERE d.datname = current_database() AND r.rolname = current_user
"""
_COLLATION = """
SELECT datcollversion AS made, pg_database_collation_actual_version(oid) AS actual
FROM pg_database WHERE datname = current_database()
"""


def find(settings: Settings, *, seconds: float) -> Found:
    """Return the database that is set, or the embedded one: as it runs, or started if that is quick.

    One that was never made is left alone. To be called in the main thread, whose end ends the database.
    """
    if settings.database_url is not None:
        return Found(dsn=without_prisma_parameters(settings.database_url))
    try:
        Layout.below(settings.data_dir).data.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Found(findings=[good(_DATABASE, "embedded; made at the first start")])
    except OSError as error:
        advice = "Run the hub as the user whose folder this is."
        return Found(findings=[bad(_DATABASE, f"embedded: {error}", advice=advice, setting="HUB_DATA_DIR")])
    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        return Found(dsn=embedded.start(within=seconds), embedded=embedded)
    except EmbeddedPostgresSlowError as error:
        advice = "Wait a moment and look again: after a crash it replays its log."
        return Found(findings=[bad(_DATABASE, f"{error}", advice=advice, setting="HUB_DATA_DIR")])
    except EmbeddedPostgresError as error:
        advice = "Do as it says. Its log is postgres/server.log in the data folder."
        return Found(findings=[bad(_DATABASE, f"{error}", advice=advice, setting="HUB_DATA_DIR")])


async def visit(settings: Settings, dsn: str, seen: Visit, *, seconds: float, fix: bool) -> None:
    """Look at everything that the database can tell, and note it in ``seen`` as it comes.

    Repairs take as long as they take; else what is not seen in time is told as such.
    """
    until = asyncio.get_running_loop().time() + seconds
    try:
        async with asyncio.timeout_at(until):
            await ENGINE.open(dsn, pool_size=2)
    except _REFUSALS as error:
        seen.findings.append(_unreachable(settings, error))
        return
    try:
        async with asyncio.timeout_at(None if fix else until):
            await _look_around(settings, dsn, seen, fix=fix)
    except DATABASE_ERRORS as error:
        slow = isinstance(error, TimeoutError) and seen.hubs is not None  # it has answered before
        seen.findings.append(_unfinished(settings, seconds) if slow else _unreachable(settings, error))
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await ENGINE.close()


async def _look_around(settings: Settings, dsn: str, seen: Visit, *, fix: bool) -> None:
    facts = await _facts(seen)
    seen.findings += _judge(settings, facts)
    seen.findings += await _collation(facts)
    if await _schema(dsn, seen, setting=_setting(settings), fix=fix and not facts.hubs):
        for look in (administrators, jobs, leftovers):
            await _note(look, settings, seen, fix=fix)


def _setting(settings: Settings) -> str:
    return _URL if settings.database_url is not None else "HUB_DATA_DIR"


def _unfinished(settings: Settings, seconds: float) -> Finding:
    advice = "The machine or the database is busy; hub doctor --within 30 waits for longer."
    detail = f"not everything was looked at within {seconds:.1f} s"
    return warning("tables", detail, advice=advice, setting=_setting(settings))


def _unreachable(settings: Settings, error: Exception) -> Finding:
    if settings.database_url is None:
        advice = "Its log is postgres/server.log in the data folder."
        return bad(_DATABASE, f"embedded: {_reason(error)[0]}", advice=advice, setting="HUB_DATA_DIR")
    reason, advice = _reason(error)
    where = SecretUrl(settings.database_url).masked()
    return bad(_DATABASE, f"{where}: {reason}", advice=advice, setting=_URL)


#: What connecting may raise; ValueError is asyncpg's for an address that it cannot read.
_REFUSALS: tuple[type[Exception], ...] = (*DATABASE_ERRORS, ValueError)
_START = "Start PostgreSQL, or correct the address."
#: What is wrong and what to do, by the first class that fits.
_REASONS: tuple[tuple[type[Exception], str, str], ...] = (
    (  # a wrong password is one too
        asyncpg.InvalidAuthorizationSpecificationError,
        "it refuses this user or its password",
        "Correct user and password.",
    ),
    (
        asyncpg.InvalidCatalogNameError,
        "it has no database of this name",
        "Make it (createdb), or correct the name.",
    ),
    (
        asyncpg.TooManyConnectionsError,
        "it takes no more connections",
        f"Raise its max_connections, or lower {_POOL}.",
    ),
    (asyncpg.CannotConnectNowError, "it is starting or stopping", "Look again in a moment."),
    (TimeoutError, "no answer in time", f"{_START} A firewall may swallow what is sent."),
    (socket.gaierror, "there is no such host", "Correct the host's name."),
)


def _reason(error: Exception) -> tuple[str, str]:
    """Return what is wrong and what to do."""
    for kind, reason, advice in _REASONS:
        if isinstance(error, kind):
            return reason, advice
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__, _START
    return f"{type(error).__name__}: {scrub(str(error))}", "Look at PostgreSQL's log."


async def _facts(seen: Visit) -> _Facts:
    async with ENGINE.connection() as first, ENGINE.connection() as second:
        own = [first.get_server_pid(), second.get_server_pid()]
        before = time.time()
        row = await first.fetchrow(_FACTS, own)
        after = time.time()
    facts = _Facts(**row)
    seen.hubs = facts.hubs
    skew = abs(facts.now.timestamp() - (before + after) / 2) - (after - before) / 2
    if skew < _SKEW:
        seen.findings.append(good("clock", "agrees with the database's"))
    else:
        judge = warning if skew < _BAD_SKEW else bad
        advice = "Have both machines keep their time by NTP: sign-ins and jobs end by the clock."
        detail = f"differs from the database's by {skew:,.1f} s"
        seen.findings.append(judge("clock", detail, advice=advice, setting=_URL))
    return facts


def _judge(settings: Settings, facts: _Facts) -> list[Finding]:
    whose = "embedded, " if settings.database_url is None else ""
    detail = f"{whose}PostgreSQL {facts.version}, {size(facts.bytes)}, {facts.encoding}"
    found = [good(_DATABASE, f"{detail}, {facts.used:,} of {facts.most:,} connections in use")]
    if facts.encoding != "UTF8":
        advice = "Make a database with ENCODING 'UTF8' and use that one."
        found = [bad(_DATABASE, f"{detail}: it cannot hold every character", advice=advice, setting=_URL)]
    elif facts.read_only:
        advice = "Name the server that takes writes, not its copy."
        found = [bad(_DATABASE, f"{detail}: it is read-only", advice=advice, setting=_URL)]
    elif not facts.may_create:
        advice = "Make this user the database's owner: migrations make tables."
        found = [bad(_DATABASE, f"{detail}: this user may make no tables", advice=advice, setting=_URL)]
    elif facts.number < _OLDEST_TESTED:
        advice = "It may work; the hub is tested with 15 and later."
        found = [warning(_DATABASE, detail, advice=advice, setting=_URL)]
    return found + _connections(settings, facts)


def _connections(settings: Settings, facts: _Facts) -> list[Finding]:
    need, free = settings.database_pool_size + _BESIDE_POOL, facts.most - facts.used
    if need <= (facts.most if facts.hubs else free):
        return []
    detail = f"a process of the hub may open {need}, and {max(free, 0)} of {facts.most} are free"
    advice = f"Lower it, or raise PostgreSQL's max_connections. Each process opens up to {need}."
    return [warning("connections", detail, advice=advice, setting=_POOL)]


async def _collation(facts: _Facts) -> list[Finding]:
    """See whether the system still sorts as it did when the indexes were made."""
    if facts.number < _OLDEST_TESTED:
        return []
    async with ENGINE.connection() as connection:
        row = await connection.fetchrow(_COLLATION)
    if row["made"] is None or row["made"] == row["actual"]:
        return []
    detail = f"made with version {row['made']} of the system's rules, which is at {row['actual']} now"
    advice = "REINDEX DATABASE, then ALTER DATABASE ... REFRESH COLLATION VERSION."
    return [warning("collation", detail, advice=advice, setting=_URL)]


async def _schema(dsn: str, seen: Visit, *, setting: str, fix: bool) -> bool:
    """Compare the schema with this version; tell whether rows can be looked at."""
    async with ENGINE.connection() as connection:
        done = set(await migrate.applied(connection))
    known, check = set(migrate.known()), "migrations"
    behind, ahead = len(known - done), sorted(done - known)
    if ahead:
        advice = "Install the version of the hub that made them, or a later one."
        detail = f"the database has {len(ahead)} that this version does not know, such as {ahead[-1]}"
        seen.findings.append(bad(check, detail, advice=advice, setting=setting))
    elif not behind:
        seen.findings.append(good(check, f"all {len(known)} have run"))
    elif fix:
        await migrate.migrate(dsn)
        seen.findings.append(good(check, f"all {len(known)} have run", fixed=f"ran {behind}"))
        behind = 0
    elif not done:
        seen.findings.append(good(check, "the database is empty; the first start makes its tables"))
    else:
        judge = bad if seen.hubs else warning
        advice = "Run them: hub migrate. A hub that starts does so, too."
        detail = f"{behind} of {len(known)} have not run"
        seen.findings.append(judge(check, detail, advice=advice, setting=setting))
    return not behind


async def _note(
    look: Callable[..., Awaitable[list[Finding]]], settings: Settings, seen: Visit, *, fix: bool
) -> None:
    seen.findings += await look(settings, fix=fix, hubs=seen.hubs or 0)
