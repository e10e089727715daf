"""The embedded model: SmolLM2-135M on this machine, asked over loopback like any other server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import msgspec

from hub.providers.http.network import Pool
from hub.providers.llm.embedded_process import EmbeddedServer, Target
from hub.providers.llm.failures import failure
from hub.providers.llm.openai_compatible import OpenAICompatible
from hub.providers.llm.protocol import ChatRequest, Delta, Finish, JsonSchema, LanguageModelError

# Reading four full prompts at once takes a minute on two cores, and says nothing meanwhile.
_MIN_TIMEOUT = 120.0
# A model this small loses itself in a freer choice of words: it forgets even its name.
_MAX_TEMPERATURE = 0.5
# What a request meets when the process has just died.
_GONE = frozenset({"llm_unreachable", "llm_truncated"})


class EmbeddedModel:
    """A ``LanguageModel`` that owns its server process.

    Requests beyond the server's slots wait here, in order: so waiting is no silence. A request that meets
    a dead server before its first token waits for the restart and asks once more.
    """

    def __init__(self, server: EmbeddedServer, *, timeout: float, pool: Pool) -> None:
        self._server = server
        self._timeout = max(timeout, _MIN_TIMEOUT)
        self._pool = pool
        self._slots = asyncio.Semaphore(server.slots)

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        return self._server.slot_tokens

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta | Finish, None]:
        """Ask; see ``LanguageModel.stream``."""
        request = _cooler(request)
        async with self._slots:
            target = await self._server.ready()
            begun = False
            try:
                async with contextlib.aclosing(self._at(target).stream(request)) as events:
                    async for event in events:
                        begun = True
                        yield event
            except LanguageModelError as error:
                if begun or error.code not in _GONE:
                    raise
            if not begun:
                target = await self._server.ready(after=target)
                async with contextlib.aclosing(self._at(target).stream(request)) as events:
                    async for event in events:
                        yield event

    async def answer(self, request: ChatRequest, *, schema: JsonSchema, patience: float) -> str:
        """Ask; see ``LanguageModel.answer``."""
        request = _cooler(request)
        try:
            async with asyncio.timeout(patience), self._slots:
                target = await self._server.ready()
                try:
                    return await self._at(target).answer(request, schema=schema, patience=patience)
                except LanguageModelError as error:
                    if error.code not in _GONE:
                        raise
                target = await self._server.ready(after=target)
                return await self._at(target).answer(request, schema=schema, patience=patience)
        except TimeoutError:
            raise failure("llm_timeout", detail="no answer before the caller's deadline") from None

    async def check(self) -> None:
        """Return if the server answers, else raise ``LanguageModelError``."""
        await self._at(await self._server.ready()).check()

    async def close(self) -> None:
        """End the server."""
        await self._server.stop()

    def _at(self, target: Target) -> OpenAICompatible:
        return OpenAICompatible(
            base_url=f"{target.url}/v1",
            key=target.key,
            model="embedded",
            timeout=self._timeout,
            context_tokens=self.context_tokens,
            pool=self._pool,
        )


def _cooler(request: ChatRequest) -> ChatRequest:
    return msgspec.structs.replace(request, temperature=min(request.temperature, _MAX_TEMPERATURE))
