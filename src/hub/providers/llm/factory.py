"""The settings choose the language model."""

from __future__ import annotations

from typing import Protocol

from hub.providers.http.network import Pool
from hub.providers.llm.embedded import EmbeddedModel
from hub.providers.llm.embedded_process import EmbeddedServer
from hub.providers.llm.openai_compatible import OpenAICompatible
from hub.providers.llm.protocol import LanguageModel


class LanguageModelSettings(Protocol):
    """What is asked of the settings; no ``llm_url`` means the embedded model."""

    @property
    def llm_url(self) -> str | None:
        """The base address, ending in /v1 as OpenAI clients have it."""

    @property
    def llm_key(self) -> str | None:
        """The key, if the server wants one."""

    @property
    def llm_model(self) -> str | None:
        """The model's name at the server."""

    @property
    def llm_timeout(self) -> float:
        """Seconds of silence after which an attempt is given up."""

    @property
    def llm_context_tokens(self) -> int:
        """How many tokens prompt and answer may have together; the embedded model has its own."""

    @property
    def embedded_llm_threads(self) -> int:
        """Processor threads of the embedded model."""


async def open_language_model(settings: LanguageModelSettings, *, pool: Pool) -> LanguageModel:
    """Make the model that the settings name, and start it if it is the embedded one.

    ``pool`` is the process's, to be closed after the model.

    Raises ``ValueError`` for an address or key that cannot be used, ``LanguageModelError`` if the embedded
    model does not start. A server elsewhere is not asked: it may come up later.
    """
    if settings.llm_url:
        return OpenAICompatible(
            base_url=settings.llm_url,
            key=settings.llm_key,
            model=settings.llm_model,
            timeout=settings.llm_timeout,
            context_tokens=settings.llm_context_tokens,
            pool=pool,
        )
    server = EmbeddedServer(threads=settings.embedded_llm_threads)
    await server.start()
    return EmbeddedModel(server, timeout=settings.llm_timeout, pool=pool)
