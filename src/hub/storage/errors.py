"""What can be wrong with the place where files are kept."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from hub.core.errors import HubError
from hub.core.logging import get_logger

logger = get_logger(__name__)

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class NoRoomError(HubError):
    """The disk, or the part of it that pictures may take, is full."""

    status = 507
    code = "no_room"
    title = "There is no room for this picture"


class StorageFailedError(HubError):
    """The disk refused; the log has its words."""

    status = 503
    code = "storage_failed"
    title = "The server's disk cannot be used"


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the operating system says of the disk into a sentence for users.

    Raises:
        NoRoomError, StorageFailedError: in place of the OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            logger.warning("no room on the disk", reason=error.strerror)
            raise NoRoomError("The server's disk is full. Tell its operator, and try again later.") from None
        logger.error("the disk refused", reason=error.strerror or type(error).__name__)  # noqa: TRY400 - no traceback
        raise StorageFailedError("The server's disk refused it. Try again in a few seconds.") from error
