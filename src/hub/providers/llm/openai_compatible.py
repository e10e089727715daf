"""Any server that speaks OpenAI's chat completions: Novita, Ollama, vLLM, llama.cpp, OpenRouter, OpenAI."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import httpcore2
import msgspec
from msgspec import Struct

from hub.providers.http.answers import NO_SUCH_PAGE, TRANSPORT_ERRORS, read_body
from hub.providers.http.breaker import Breaker
from hub.providers.http.client import CONNECT_SECONDS, HttpClient
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import Pool
from hub.providers.llm.failures import failure, failure_of_answer, failure_of_transport
from hub.providers.llm.payload import Dialect, encode_request
from hub.providers.llm.protocol import ChatRequest, Delta, Finish, JsonSchema, LanguageModelError
from hub.providers.llm.stream_parser import StreamParser

TOTAL_SECONDS = 600.0
MAX_CHARACTERS = 64_000
_USAGE_SECONDS = 2.0  # after the finish: how long the usage and the end may take
_DRAIN_SECONDS = 0.05  # after [DONE]: how long the end of the body may take, for the connection's reuse
_CHECK_SECONDS = 5.0
_MAX_DIALECTS = 6
_OK = 200


class _Model(Struct):
    id: str


class _ModelList(Struct):
    data: list[_Model]


class OpenAICompatible:
    """A ``LanguageModel`` behind an address that ends in /v1 (or what the server has instead).

    ``timeout`` is in seconds of silence, also before the first byte. A comment or an empty chunk breaks the
    silence, but ``total_seconds`` ends any answer. Redirects are not followed, proxies of the environment
    not used. ``pool`` is its opener's to close.
    """

    def __init__(
        self,
        *,
        base_url: str,
        key: str | None,
        model: str | None,
        timeout: float,
        context_tokens: int,
        pool: Pool,
        breaker: Breaker | None = None,
        total_seconds: float = TOTAL_SECONDS,
        max_characters: int = MAX_CHARACTERS,
    ) -> None:
        """Raises ``ValueError`` (without the key in it) for an address or key that cannot be used."""
        endpoint = Endpoint.parse(base_url, key, whose="the language model's")
        self._client = HttpClient(endpoint, pool, breaker)
        self._model = model or "default"
        self._timeout = timeout
        self._context_tokens = context_tokens
        self._total_seconds = total_seconds
        self._max_characters = max_characters
        self._dialect = Dialect()

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        return self._context_tokens

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta | Finish, None]:
        """Ask; see ``LanguageModel.stream``."""
        parser = StreamParser(max_characters=self._max_characters)
        deadline = asyncio.get_running_loop().time() + self._total_seconds
        response = await self._ask(request, deadline, self._timeout)
        try:
            async with (
                contextlib.aclosing(response.aiter_stream()) as body,
                contextlib.aclosing(_texts(body, parser, deadline)) as texts,
            ):
                async for text in texts:
                    yield Delta(text)
            yield Finish(parser.reason or "stop", parser.usage)
        finally:
            await response.aclose()

    async def answer(self, request: ChatRequest, *, schema: JsonSchema, patience: float) -> str:
        """Ask; see ``LanguageModel.answer``."""
        deadline = asyncio.get_running_loop().time() + patience
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._ask(request, deadline, patience, schema)
                return await self._whole_text(response, deadline)
        except TimeoutError:
            raise failure("llm_timeout", detail="the whole answer took too long") from None

    async def _whole_text(self, response: httpcore2.Response, deadline: float) -> str:
        parser = StreamParser(max_characters=self._max_characters)  # it reads both: one JSON, or a stream
        try:
            async with (
                contextlib.aclosing(response.aiter_stream()) as body,
                contextlib.aclosing(_texts(body, parser, deadline)) as texts,
            ):
                return "".join([text async for text in texts])
        finally:
            await response.aclose()

    async def check(self) -> None:
        """Ask for the list of models; raises ``LanguageModelError`` if the server or the key is no good."""
        await self.models()

    async def models(self) -> frozenset[str] | None:
        """Return the names of the server's models; raises ``LanguageModelError`` as ``check`` does.

        None without a list that can be read: some servers that answer chats well have none, some a huge one.

        A server that is known to be down is asked too: who checks wants to know, and its answer counts, so
        that a server that is back is found before anybody else asks it.
        """
        patience = min(self._timeout, _CHECK_SECONDS)
        try:
            async with asyncio.timeout(patience + CONNECT_SECONDS):
                response = await self._client.send("GET", "/models", patience=patience, looking=True)
                body = await read_body(response)
        except TRANSPORT_ERRORS as error:
            raise failure_of_transport(error, answering=False) from None
        if response.status != _OK and response.status not in NO_SUCH_PAGE:
            raise failure_of_answer(response.status, response.headers, body)
        return _names(body) if response.status == _OK else None

    async def close(self) -> None:
        """Nothing is its own: the connections are the process's."""

    async def _ask(
        self, request: ChatRequest, deadline: float, patience: float, schema: JsonSchema | None = None
    ) -> httpcore2.Response:
        """Send the request, in a dialect that the server takes; returns its 200 with the body unread."""
        known = dialect = self._dialect
        for _ in range(_MAX_DIALECTS):
            body = encode_request(request, self._model, dialect, schema=schema)
            try:
                async with asyncio.timeout_at(deadline):
                    response = await self._client.send("POST", "/chat/completions", body, patience=patience)
            except TRANSPORT_ERRORS as error:
                raise failure_of_transport(error, answering=False) from None
            if response.status == _OK:
                if dialect is not known:
                    self._dialect = dialect  # only what worked is remembered
                return response
            told = await read_body(response)
            simpler = dialect.simpler(response.status, told, in_json=schema is not None)
            if simpler is None:
                raise failure_of_answer(response.status, response.headers, told)
            dialect = simpler
        raise failure("llm_bad_request", detail="no dialect fits")


def _names(body: bytes) -> frozenset[str] | None:
    try:
        told = msgspec.json.decode(body, type=_ModelList)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return frozenset(each.id for each in told.data)


async def _texts(
    body: AsyncIterator[bytes], parser: StreamParser, deadline: float
) -> AsyncGenerator[str, None]:
    """Yield the answer's text as it comes; when it ends, the parser knows the reason."""
    now = asyncio.get_running_loop().time
    try:
        while not parser.done and parser.reason is None:
            piece = await anext(body, None)
            if now() > deadline:
                raise failure("llm_timeout", detail="the whole answer took too long")
            text = parser.end() if piece is None else parser.feed(piece)
            if text:
                yield text
    except TRANSPORT_ERRORS as error:
        raise failure_of_transport(error, answering=True) from None
    # The answer is whole: what follows (usage, [DONE], the end of the body) is welcome, not needed.
    with contextlib.suppress(*TRANSPORT_ERRORS, LanguageModelError):
        await _read_rest(body, parser)
    if rest := parser.flush():
        yield rest


async def _read_rest(body: AsyncIterator[bytes], parser: StreamParser) -> None:
    """Read on for the usage, then to the end of the body, so that the connection can serve again."""
    async with asyncio.timeout(_USAGE_SECONDS):
        while not parser.done:
            piece = await anext(body, None)
            if piece is None:
                return
            parser.feed(piece)
    if not parser.cut:  # else the server is still writing
        async with asyncio.timeout(_DRAIN_SECONDS):
            while await anext(body, None) is not None:
                pass
