"""What can be wrong with an archive; each is one sentence that a command ends with."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from hub.core.errors import StartError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DamagedArchiveError(StartError):
    """An archive that cannot be relied on; the sentence names the first entry that is not as it should be."""

    def __init__(self, entry: str, what: str) -> None:
        self.entry = entry
        shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in entry[:300])
        super().__init__(
            f"The archive cannot be used: {shown} {what}. Nothing was changed; take another one."
        )


@contextmanager
def disk_sentences(
    doing: str, where: object, *, left: str = "nothing half-written was left there"
) -> Iterator[None]:
    """Turn what the operating system says of a disk into one sentence.

    Args:
        doing: the first word, like "The backup".
        where: the folder or file that is written to.
        left: what is there when the disk is full.

    Raises:
        StartError: in place of the OSError.
    """
    try:
        yield
    except BrokenPipeError:
        raise StartError(f"{doing} was not finished: nobody reads {where} any more.") from None
    except OSError as error:
        if error.errno in _FULL:
            raise StartError(
                f"{doing} was not finished: the disk of {where} is full. Make room, or choose another place;"
                f" {left}."
            ) from None
        raise StartError(f"{doing} was not finished: {where}: {error.strerror or error}.") from None
