"""Any server that speaks OpenAI's chat completions: Novita, Ollama, vLLM, llama.cpp, OpenRouter, OpenAI."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import httpcore2

from hub.providers.http.answers import TRANSPORT_ERRORS, read_body
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import open_pool
from hub.providers.llm.failures import failure, failure_of_answer, failure_of_transport
from hub.providers.llm.payload import Dialect, encode_request
from hub.providers.llm.protocol import ChatRequest, Delta, Finish, LanguageModelError
from hub.providers.llm.stream_parser import StreamParser

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 600.0
MAX_CHARACTERS = 64_000
_USAGE_SECONDS = 2.0  # after the finish: how long the usage and the end may take
_DRAIN_SECONDS = 0.05  # after [DONE]: how long the end of the body may take, for the connection's reuse
_CHECK_SECONDS = 5.0
_MAX_DIALECTS = 4
_OK = 200
# GET /models is missing on some servers that answer chats well.
_NO_MODELS_PAGE = frozenset({404, 405, 501})


class OpenAICompatible:
    """A ``LanguageModel`` behind an address that ends in /v1 (or what the server has instead).

    ``timeout`` is in seconds of silence, also before the first byte. A comment or an empty chunk breaks the
    silence, but ``total_seconds`` ends any answer. Redirects are not followed, proxies of the environment
    not used. ``pool`` may be shared; one that is made here is closed here.
    """

    def __init__(
        self,
        *,
        base_url: str,
        key: str | None,
        model: str | None,
        timeout: float,
        context_tokens: int,
        pool: httpcore2.AsyncConnectionPool | None = None,
        total_seconds: float = TOTAL_SECONDS,
        max_characters: int = MAX_CHARACTERS,
    ) -> None:
        """Raises ``ValueError`` (without the key in it) for an address or key that cannot be used."""
        self._endpoint = Endpoint.parse(base_url, key, whose="the language model's")
        self._model = model or "default"
        self._timeout = timeout
        self._context_tokens = context_tokens
        self._own_pool = pool is None
        self._pool = pool or open_pool(tls=self._endpoint.tls)
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
        response = await self._ask(request, deadline)
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

    async def check(self) -> None:
        """Ask for the list of models; raises ``LanguageModelError`` if the server or the key is no good."""
        patience = min(self._timeout, _CHECK_SECONDS)
        try:
            async with asyncio.timeout(patience + CONNECT_SECONDS):
                response = await self._send("GET", "/models", b"", patience)
                body = await read_body(response)
        except TRANSPORT_ERRORS as error:
            raise failure_of_transport(error, answering=False) from None
        if response.status != _OK and response.status not in _NO_MODELS_PAGE:
            raise failure_of_answer(response.status, response.headers, body)

    async def close(self) -> None:
        """Close the connections, if they are its own."""
        if self._own_pool:
            await self._pool.aclose()

    async def _ask(self, request: ChatRequest, deadline: float) -> httpcore2.Response:
        """Send the request, in a dialect that the server takes; returns its 200 with the body unread."""
        dialect = self._dialect
        for _ in range(_MAX_DIALECTS):
            body = encode_request(request, self._model, dialect)
            try:
                async with asyncio.timeout_at(deadline):
                    response = await self._send("POST", "/chat/completions", body, self._timeout)
            except TRANSPORT_ERRORS as error:
                raise failure_of_transport(error, answering=False) from None
            if response.status == _OK:
                self._dialect = dialect  # only what worked is remembered
                return response
            told = await read_body(response)
            simpler = dialect.simpler(response.status, told)
            if simpler is None:
                raise failure_of_answer(response.status, response.headers, told)
            dialect = simpler
        raise failure("llm_bad_request", detail="no dialect fits")

    async def _send(self, method: str, path: str, body: bytes, patience: float) -> httpcore2.Response:
        """Send one request; on a kept connection that the server was just closing, send it again."""
        limits = {"connect": CONNECT_SECONDS, "read": patience, "write": patience, "pool": patience}
        while True:
            journey = _Journey()
            request = httpcore2.Request(
                method,
                self._endpoint.url(path),
                headers=self._endpoint.headers(len(body)),
                content=body,
                extensions={"timeout": limits, "trace": journey.note},
            )
            try:
                return await self._pool.handle_async_request(request)
            except (httpcore2.NetworkError, httpcore2.RemoteProtocolError):
                # Each round takes one kept connection out of the pool, so this ends.
                if journey.connected or journey.answered:
                    raise


class _Journey:
    """What became of one request: llama.cpp closes connections that it promised to keep."""

    def __init__(self) -> None:
        self.connected = False
        self.answered = False

    async def note(self, event: str, _info: object) -> None:
        """Take a trace event of httpcore2."""
        if event == "connection.connect_tcp.started":
            self.connected = True
        elif event == "http11.receive_response_headers.complete":
            self.answered = True


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
