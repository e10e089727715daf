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
    """Return the address without what only Prisma understands, so that the original's can be used as it is."""
    parts = urlsplit(url)
    kept = [
        (name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in _PRISMA
    ]
    return urlunsplit(parts._replace(query=urlencode(kept)))
