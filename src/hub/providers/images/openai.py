"""Servers that make pictures as OpenAI does: OpenAI itself, LocalAI, and gateways to others.

There is no seed and no negative prompt in this protocol: a picture's seed is the one that was ordered and
means nothing to the server, a negative prompt is not sent. Nor is there any progress.
"""

from __future__ import annotations

import asyncio

import msgspec
from msgspec import Struct

from hub.providers.http.answers import NO_SUCH_PAGE
from hub.providers.http.breaker import Breaker
from hub.providers.http.client import HttpClient
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.foreign import ForeignError, ForeignFetcher
from hub.providers.http.network import Pool
from hub.providers.images.content import checked, plain, read_base64, unread
from hub.providers.images.exchange import exchange
from hub.providers.images.failures import failure
from hub.providers.images.options import Options
from hub.providers.images.protocol import Picture, PictureOrder, Progress
from hub.providers.images.sizes import Dialect

_MAX_DIALECTS = 6
_CHECK_SECONDS = 5.0
_SMALL = 4 * 1024 * 1024
_LARGE = 256 * 1024  # characters from which on base64 is read beside the event loop
_LONGEST_PROMPT = 8000


class _One(Struct):
    b64_json: str | None = None
    url: str | None = None
    revised_prompt: object = None


class _Made(Struct):
    data: list[_One | None] | None = None


class OpenAIImages:
    """An ``ImageServer`` behind an address that ends in /v1 (or what the server has instead).

    ``timeout`` is in seconds for a whole picture. Of ``options`` only the model is used. A picture that the
    answer only points to is fetched by ``fetcher``: from the public internet or from the server itself.
    Tickets are neither given nor heeded; cancelling closes the connection.
    """

    provider = "openai"

    def __init__(
        self,
        endpoint: Endpoint,
        pool: Pool,
        *,
        options: Options,
        timeout: float,
        breaker: Breaker,
        fetcher: ForeignFetcher | None = None,
    ) -> None:
        self._client = HttpClient(endpoint, pool, breaker)
        self._model = options.model
        self._timeout = timeout
        self._fetcher = fetcher or ForeignFetcher(own=endpoint)
        self._dialect = Dialect()

    async def make(self, order: PictureOrder, *, progress: Progress, ticket: str | None = None) -> Picture:
        """Make a picture; see ``ImageServer.make``."""
        del progress, ticket
        try:
            async with asyncio.timeout(self._timeout):
                one = _read(await self._ask(order))
                content = await self._content(one)
        except TimeoutError:
            raise failure("image_timeout", detail="the whole picture took too long") from None
        revised = plain(one.revised_prompt, longest=_LONGEST_PROMPT).strip()
        return Picture(
            content=content,
            seed=order.seed,
            model=self._model or "",
            sampler="",
            steps=0,
            prompt=revised if revised and revised != order.prompt else None,
        )

    async def check(self) -> None:
        """Ask for the list of models; raises ``ImageServerError`` if the server or the key is no good.

        Some servers that make pictures well have no such list.
        """
        seconds = min(self._timeout, _CHECK_SECONDS)
        answer = await exchange(
            self._client, "GET", "/models", seconds=seconds, max_bytes=_SMALL, looking=True
        )
        if not answer.ok and answer.status not in NO_SUCH_PAGE:
            raise answer.failure()

    async def close(self) -> None:
        """Nothing is its own."""

    async def _ask(self, order: PictureOrder) -> bytes:
        """Send the order in a dialect that the server takes; returns the body of its 200."""
        dialect = self._dialect
        for _ in range(_MAX_DIALECTS):
            told: dict[str, object] = {"prompt": order.prompt, "n": 1}
            if self._model:
                told["model"] = self._model
            body = msgspec.json.encode(told | dialect.fields(order.width, order.height))
            answer = await exchange(self._client, "POST", "/images/generations", body, seconds=self._timeout)
            if answer.ok:
                self._dialect = dialect  # only what worked is remembered
                return answer.body
            refused = answer.failure()
            asked = (order.width, order.height)
            simpler = dialect.simpler(answer.status, answer.body, asked)
            if simpler is None or refused.code != "image_bad_request":
                raise refused
            dialect = simpler
        raise failure("image_bad_request", detail="no dialect fits")

    async def _content(self, one: _One) -> bytes:
        if one.b64_json:
            return await _decoded(one.b64_json)
        if not one.url:
            raise failure("image_empty")
        if one.url[:5].lower() == "data:":
            return await _decoded(one.url)
        try:
            return checked(await self._fetcher.get(one.url))
        except ForeignError as error:
            code = "image_unreachable" if error.transient else "image_bad_answer"
            raise failure(code, detail=f"the address of the picture: {error}") from None


async def _decoded(text: str) -> bytes:
    return await asyncio.to_thread(read_base64, text) if len(text) > _LARGE else read_base64(text)


def _read(body: bytes) -> _One:
    try:
        made = _made.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise unread(body) from None
    one = made.data[0] if made.data else None
    if one is None:
        raise failure("image_empty")
    return one


_made = msgspec.json.Decoder(_Made)
