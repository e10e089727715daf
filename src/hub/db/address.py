"""Database addresses, as asyncpg wants them."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

#: Parameters of Prisma's own, which PostgreSQL would refuse as unknown settings.
_PRISMA = frozenset(
    {
        "schema",
        "connection_limit",
        "pool_timeout",
        "socket_timeout",
        "pgbouncer",
        "sslaccept",
        "statement_cache_size",
    }
)


def without_prisma_parameters(url: str) -> str:
    """Return the address without what only Prisma understands, so that the original's can be used."""
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    return urlunsplit(parts._replace(query=urlencode([each for each in given if each[0] not in _PRISMA])))
