"""Sending events to webhooks' addresses: signed, and into the own network only where the operator says so."""

from __future__ import annotations

import time
from collections.abc import Collection
from http import HTTPStatus

from hub.core.errors import FieldError
from hub.domain.webhooks.attempts import Failure, Sending
from hub.domain.webhooks.signing import Secrets, signature
from hub.providers.http.answers import wished_pause
from hub.providers.http.foreign import Answer, ForeignError, ForeignFetcher, parse

#: Seconds that a receiver may take for its answer.
PATIENCE = 15.0
#: Seconds that looking up a name may take when an address is set.
_LOOK_UP_SECONDS = 3.0
_RETRY_STATUSES = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_WRONG_KEY = "The hub has another key now: ask for a new secret."


class Sender:
    """Sends to any public https address, and to the hosts that the operator allows to be private.

    Args:
        secrets: makes the webhooks' secrets.
        private_hosts: ``host`` or ``host:port``, in lower case; by http too.
    """

    def __init__(self, secrets: Secrets, *, private_hosts: Collection[str]) -> None:
        self._secrets = secrets
        self._fetcher = ForeignFetcher(own=None, private_hosts=private_hosts, seconds=PATIENCE)
        self._checker = ForeignFetcher(own=None, private_hosts=private_hosts, seconds=_LOOK_UP_SECONDS)

    async def check(self, url: str) -> None:
        """Return if events might be sent there. A name that is not known yet is taken.

        Raises:
            FieldError: they never will; it says why.
        """
        try:
            self._require_https(url)
            await self._checker.check(url)
        except ForeignError as error:
            if not error.transient:
                raise FieldError(
                    "/url",
                    f"Events are not sent to this address: {error}. Give an https address on the public"
                    " internet; other hosts have to be allowed by the operator of this server.",
                ) from None

    async def send(self, sending: Sending) -> int | Failure:
        """Make one attempt; return the status of success, or why it failed."""
        keys = [key for seed in sending.seeds if (key := self._secrets.of(seed)) is not None]
        if not keys:
            return Failure(text=_WRONG_KEY)
        message_id, timestamp, body = str(sending.event_id), int(time.time()), sending.body.encode()
        headers = [
            (b"Content-Type", b"application/json"),
            (b"webhook-id", message_id.encode()),
            (b"webhook-timestamp", str(timestamp).encode()),
            (
                b"webhook-signature",
                signature(keys, message_id=message_id, timestamp=timestamp, body=body).encode(),
            ),
        ]
        try:
            self._require_https(sending.url)
            answer = await self._fetcher.post(sending.url, body, headers)
        except ForeignError as error:
            return Failure(text=str(error), is_away=error.transient)
        return answer.status if HTTPStatus(200) <= answer.status < HTTPStatus(300) else _failure(answer)

    def _require_https(self, url: str) -> None:
        target = parse(url)
        if "#" in url:
            raise ForeignError("it holds a #", refused=True)
        if target.scheme != "https" and not self._fetcher.may_be_private(target):
            raise ForeignError("it is not https", refused=True)


def _failure(answer: Answer) -> Failure:
    waits = answer.status in _RETRY_STATUSES
    return Failure(
        text=f"HTTP {answer.status}",
        status_code=answer.status,
        retry_after=wished_pause(answer.headers) if waits else None,
        is_gone=answer.status == HTTPStatus.GONE,
        is_away=waits,
    )
