"""Signed links: an address that shows one picture to whoever has it, for at most five minutes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime
from uuid import UUID

from hub.domain.images.errors import LinkInvalidError
from hub.domain.images.schemas import ImageLink

#: Seconds that a link works for at most.
LONGEST = 300


class Links:
    """Makes and checks links; ``secret`` is the key of this hub."""

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(b"image link\0" + secret.encode()).digest()

    def make(self, image_id: UUID, *, seconds: int = LONGEST) -> ImageLink:
        """Return a link to a picture that the caller may see."""
        expires = int(time.time()) + seconds
        signature = self._sign(image_id, expires)
        return ImageLink(
            url=f"/api/images/{image_id}/signed?expires={expires}&signature={signature}",
            expires_at=datetime.fromtimestamp(expires, UTC),
        )

    def check(self, image_id: UUID, *, expires: int, signature: str) -> int:
        """Return the seconds for which a link goes on working.

        Raises:
            LinkInvalidError: it is not ours, or its time is over.
        """
        left = expires - int(time.time())
        is_ours = hmac.compare_digest(self._sign(image_id, expires).encode(), signature.encode())
        if not is_ours or not 0 < left <= LONGEST:
            raise LinkInvalidError("Ask for a new one.")
        return left

    def _sign(self, image_id: UUID, expires: int) -> str:
        digest = hmac.digest(self._key, image_id.bytes + expires.to_bytes(8, "big", signed=True), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
