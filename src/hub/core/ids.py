"""Identifiers: UUID version 7 (RFC 9562), so that ids made later sort later."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils
from uuid_utils.compat import uuid7

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_id() -> UUID:
    """Return a fresh time-ordered id."""
    return uuid7()


def id_of(moment: datetime) -> UUID:
    """Return a fresh id that sorts as if it had been made at a moment, from 1970 on."""
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    return UUID(int=uuid_utils.uuid7(nanoseconds=milliseconds * 1_000_000).int)
