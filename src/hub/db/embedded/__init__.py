"""A private PostgreSQL, started from the programs of a wheel, for the one-command way to run the hub."""

from hub.db.embedded.errors import EmbeddedPostgresError, EmbeddedPostgresSlowError
from hub.db.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "EmbeddedPostgresSlowError"]
