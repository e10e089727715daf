"""Language models: one protocol, any OpenAI-compatible server, and a small model that is built in."""

from hub.providers.llm.factory import LanguageModelSettings, open_language_model
from hub.providers.llm.protocol import (
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
    JsonSchema,
    LanguageModel,
    LanguageModelError,
    Usage,
)

__all__ = [
    "ChatMessage",
    "ChatRequest",
    "Delta",
    "Finish",
    "JsonSchema",
    "LanguageModel",
    "LanguageModelError",
    "LanguageModelSettings",
    "Usage",
    "open_language_model",
]
