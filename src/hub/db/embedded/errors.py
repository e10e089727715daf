"""What can go wrong with the embedded database, as one line a person can act on."""

from __future__ import annotations

import errno
from pathlib import Path

from hub.core.errors import HubError


class EmbeddedPostgresError(HubError):
    """The embedded database could not be started; the text says why and what to do."""

    status = 503
    code = "embedded_database_failed"
    title = "The embedded database could not start"


class EmbeddedPostgresSlowError(EmbeddedPostgresError):
    """It is not ready in the time that the caller had; after a crash it replays its log."""


def explain(error: OSError, root: Path) -> EmbeddedPostgresError:
    """Turn a refused file operation below ``root`` (the database's folder) into one clear sentence."""
    where = error.filename if isinstance(error.filename, str) else str(root)
    why = error.strerror or str(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        advice = "Free some space, then start the hub again"
    elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        advice = "Make the data folder writable for the user that runs the hub, or choose another data folder"
    else:
        advice = "Look at the data folder, then start the hub again"
    return EmbeddedPostgresError(f"The embedded database cannot use {where}: {why}. {advice}.")
