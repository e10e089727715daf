"""Entity tags: a short name for what somebody was shown, by which an editor says what it has seen.

A tag is made of the shown value as it is sent, byte for byte. So it changes with every visible change and
with nothing else, whichever row that comes from, and it is a strong one (RFC 9110, 8.8.1).
"""

from __future__ import annotations

import base64
import hashlib

import msgspec
from msgspec import Struct

from hub.core.errors import HubError

#: 120 bits: two states of one thing do not meet by chance.
_SIZE = 15

_encoder = msgspec.json.Encoder()


class StaleEditError(HubError):
    """What is to be edited is not any more what the editor has seen."""

    status = 412
    code = "stale_edit"
    title = "It was changed meanwhile"

    def __init__(self) -> None:
        super().__init__("It was changed meanwhile. Read it again.")


def tag_of(shown: object) -> str:
    """Return the entity tag of a value that is sent as JSON, in its quotes."""
    return tag_of_body(_encoder.encode(shown))


def tag_of_body(body: bytes) -> str:
    """Return the entity tag of an answer's bytes, in its quotes."""
    digest = hashlib.sha256(body).digest()[:_SIZE]
    return f'"{base64.urlsafe_b64encode(digest).decode()}"'


class Expected(Struct, frozen=True):
    """What an editor has seen; ``tags`` None: it does not say, or anything will do."""

    tags: frozenset[str] | None = None

    def check(self, shown: object) -> None:
        """Return if this is what the editor has seen.

        To be called in the transaction that writes, behind the locks that keep everybody else from writing.

        Raises:
            StaleEditError: it is not.
        """
        if self.tags is not None and tag_of(shown) not in self.tags:
            raise StaleEditError


#: What is expected by those who do not say.
ANYTHING = Expected()
