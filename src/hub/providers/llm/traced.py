"""A language model whose answers are traced: how long its first word and its last took, how many tokens."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from hub.core import tracing
from hub.providers.llm.protocol import ChatRequest, Delta, Finish, JsonSchema, LanguageModel


def traced(model: LanguageModel, *, name: str) -> LanguageModel:
    """Return the model, so that it is traced if anything is; ``name`` is what traces call it."""
    return TracedModel(model, name=name) if tracing.is_on() else model


class TracedModel:
    """A ``LanguageModel`` that asks another one; ``name`` is what traces call it."""

    def __init__(self, model: LanguageModel, *, name: str) -> None:
        self._model = model
        self._name = name

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        return self._model.context_tokens

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta | Finish, None]:
        """Ask; see ``LanguageModel.stream``."""
        step = tracing.leaf("chat", kind="client", facts=self._facts(request))
        try:
            async with aclosing(self._model.stream(request)) as answer:
                # Not beyond the first piece: a generator's context is its caller's.
                with tracing.within(step):
                    piece = await anext(answer, None)
                if isinstance(piece, Delta):
                    step.note("first token")
                while piece is not None:
                    if isinstance(piece, Finish):
                        step.tell(_facts_of(piece))
                    yield piece
                    piece = await anext(answer, None)
        except BaseException as error:
            tracing.end(step, error)
            raise
        tracing.end(step)

    async def answer(self, request: ChatRequest, *, schema: JsonSchema, patience: float) -> str:
        """Ask; see ``LanguageModel.answer``."""
        facts: tracing.Facts = {**self._facts(request), "gen_ai.output.type": "json"}
        with tracing.span("chat", kind="client", facts=facts):
            return await self._model.answer(request, schema=schema, patience=patience)

    async def check(self) -> None:
        """Return if the model can be asked now; see ``LanguageModel.check``."""
        await self._model.check()

    async def close(self) -> None:
        """Give back connections and processes."""
        await self._model.close()

    def _facts(self, request: ChatRequest) -> tracing.Facts:
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": self._name,
            "gen_ai.request.max_tokens": request.max_tokens,
        }


def _facts_of(finish: Finish) -> tracing.Facts:
    facts: dict[tracing.Fact, str | int] = {"gen_ai.response.finish_reasons": finish.reason}
    if finish.usage is not None:
        facts["gen_ai.usage.input_tokens"] = finish.usage.prompt_tokens
        facts["gen_ai.usage.output_tokens"] = finish.usage.completion_tokens
    return facts
