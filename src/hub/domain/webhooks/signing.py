"""Signatures by the Standard Webhooks specification, and the secrets that make them.

A secret is not stored: it follows from the hub's own key and a random seed in the webhook's row. So whoever
reads the database, or a backup of it, cannot sign.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

_SEED_BYTES = 24
_CHECK_BYTES = 8
_PREFIX = "whsec_"


class Secrets:
    """Makes webhooks' secrets; ``hub_key`` is the key of this hub."""

    def __init__(self, hub_key: str) -> None:
        self._key = hashlib.sha256(b"webhook secrets\0" + hub_key.encode()).digest()

    def make(self) -> tuple[bytes, str]:
        """Return a new secret's seed, and the secret.

        The seed is 24 random bytes, and 8 by which it is known that the hub's key is still the same.
        """
        seed = secrets.token_bytes(_SEED_BYTES)
        return seed + self._check(seed), self._secret(seed)

    def of(self, seed: bytes) -> str | None:
        """Return the secret that belongs to a stored seed; None when it was made with another hub key."""
        seed, check = seed[:_SEED_BYTES], seed[_SEED_BYTES:]
        if not hmac.compare_digest(self._check(seed), check):
            return None
        return self._secret(seed)

    def _secret(self, seed: bytes) -> str:
        return _PREFIX + base64.b64encode(self._derive(b"secret", seed)).decode()

    def _check(self, seed: bytes) -> bytes:
        return self._derive(b"check", seed)[:_CHECK_BYTES]

    def _derive(self, use: bytes, seed: bytes) -> bytes:
        return hmac.digest(self._key, use + b"\0" + seed, "sha256")


def signature(keys: Iterable[str], *, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``: one for each secret, separated by spaces.

    Args:
        keys: secrets, ``whsec_`` and base64.
        message_id: the ``webhook-id``, without a full stop.
        timestamp: the ``webhook-timestamp``, in seconds since 1970.
        body: exactly what is sent.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(base64.b64decode(key.removeprefix(_PREFIX)), signed, "sha256") for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
