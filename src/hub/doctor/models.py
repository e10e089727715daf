"""The language model and the image server: do they answer, and do they know what the settings name?"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import importlib.util

from hub.core.settings import SecretUrl, Settings
from hub.core.settings.problems import shortened
from hub.doctor.findings import Finding, bad, good, warning
from hub.providers.errors import ProviderError
from hub.providers.http.network import Pool
from hub.providers.images.factory import open_image_server
from hub.providers.images.protocol import ImageServerError
from hub.providers.llm.embedded_process import find_model
from hub.providers.llm.openai_compatible import OpenAICompatible
from hub.providers.llm.protocol import ChatMessage, ChatRequest, LanguageModelError

_LLM = "language model"
_IMAGES = "image server"

#: Seconds for one token of a model that is not listed.
_ASK_SECONDS = 1.0
_START_IT = "Start that server, or correct the address"
#: What to look at for the end of a failure's code, and what to do.
_ADVICE: dict[str, tuple[str, str]] = {
    "refused_key": ("KEY", "The server refuses the key: set the one that it wants."),
    "quota": ("KEY", "The account of this key has no credit left: look at the provider's page."),
    "forbidden": ("MODEL", "The account of this key may not use it: choose another model, or another key."),
    "redirected": ("URL", "The server points to another address: set that one."),
    "certificate": ("URL", "The server cannot prove who it is: check the address and its certificate."),
    "bad_answer": ("URL", "Something else answers there: check the address, which ends in /v1 as a rule."),
    "not_found": ("URL", "There is nothing at this path: check the address, which ends in /v1 as a rule."),
}
_WORDS = {
    "timeout": "does not answer in time",
    "unreachable": "cannot be reached",
    "refused_key": "refuses the key",
    "quota": "says that there is no credit left",
    "forbidden": "does not allow it",
    "redirected": "points to another address",
    "certificate": "cannot prove who it is",
    "not_found": "has nothing at this path",
    "overloaded": "is busy",
}


async def language_model(settings: Settings, pool: Pool, *, seconds: float) -> list[Finding]:
    """See whether the model's server answers, takes the key and has the model."""
    if settings.llm_url is None:
        return [_built_in()]
    where = SecretUrl(settings.llm_url).masked()
    try:
        async with asyncio.timeout(seconds):
            return [await _language_model(settings, settings.llm_url, where, pool)]
    except TimeoutError:
        return [_silent(_LLM, where, seconds, "HUB_LLM_URL")]


async def _language_model(settings: Settings, url: str, where: str, pool: Pool) -> Finding:
    try:
        model = OpenAICompatible(
            base_url=url,
            key=settings.llm_key,
            model=settings.llm_model,
            timeout=settings.llm_timeout,
            context_tokens=settings.llm_context_tokens,
            pool=pool,
        )
    except ValueError as error:
        return bad(_LLM, f"{error}", advice="Correct it.", setting="HUB_LLM_URL")
    try:
        names = await model.models()
    except LanguageModelError as error:
        return _failure(_LLM, where, error, "HUB_LLM_")
    wanted = settings.llm_model or ""
    if names is not None and _is_listed(wanted, names):
        return good(_LLM, f"{where} answers and has {shortened(wanted)}")
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            return await _ask(model, where, wanted, names or frozenset())
    except TimeoutError:  # a server may have to load the model first
        return _unlisted(where, wanted, "")


def _is_listed(wanted: str, names: frozenset[str]) -> bool:
    """Tell whether a server lists a model, which it may do with a tag (llama3.2:latest), or without one."""
    return bool({wanted, f"{wanted}:latest", wanted.partition(":")[0]} & names)


async def _ask(model: OpenAICompatible, where: str, wanted: str, names: frozenset[str]) -> Finding:
    """Ask for one token: what a server does not list it may have all the same."""
    question = ChatMessage(role="user", content="Hi")
    request = ChatRequest(messages=(question,), max_tokens=1, temperature=0.0, top_p=1.0)
    like = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
    hint = f" It has {', '.join(map(shortened, like))}." if like else ""
    try:
        async with contextlib.aclosing(model.stream(request)) as answer:
            async for _ in answer:
                pass
    except LanguageModelError as error:
        if error.code == "llm_not_found" and not names:
            advice = "Check it, it ends in /v1 as a rule; if it is right, check HUB_LLM_MODEL."
            detail = f"{where} has nothing at this path, or no model {shortened(wanted)}"
            return bad(_LLM, detail, advice=advice, setting="HUB_LLM_URL")
        if error.code in {"llm_not_found", "llm_bad_request", "llm_forbidden"}:
            return bad(
                _LLM,
                f"{where} does not take the model {shortened(wanted)}.{hint}",
                advice="Set the model's name as that server writes it.",
                setting="HUB_LLM_MODEL",
            )
        if error.code in {"llm_timeout", "llm_truncated", "llm_bad_answer", "llm_server_error"} and names:
            return _unlisted(where, wanted, hint)
        return _failure(_LLM, where, error, "HUB_LLM_")
    return good(_LLM, f"{where} answers as {shortened(wanted)}")


def _unlisted(where: str, wanted: str, hint: str) -> Finding:
    return warning(
        _LLM,
        f"{where} answers, but does not list the model {shortened(wanted)}.{hint}",
        advice="Make sure that this is the model's name as that server writes it.",
        setting="HUB_LLM_MODEL",
    )


def _built_in() -> Finding:
    try:
        find_model()
    except LanguageModelError:
        found = False
    else:
        found = importlib.util.find_spec("xllamacpp") is not None
    if found:
        return good(_LLM, "built in (SmolLM2-135M), starts with the hub")
    return bad(
        _LLM,
        "the built-in one is not installed",
        advice="Install the hub again with its dependencies, or name a server.",
        setting="HUB_LLM_URL",
    )


async def image_server(settings: Settings, pool: Pool, *, seconds: float) -> list[Finding]:
    """See whether the image server answers."""
    if settings.sd_url is None:
        return [good(_IMAGES, "the painter that is built in")]
    try:
        server = open_image_server(settings, pool)
    except ValueError as error:
        setting = "HUB_SD_WORKFLOW" if settings.sd_workflow is not None else "HUB_SD_URL"
        return [bad(_IMAGES, f"{error}", advice="Correct it.", setting=setting)]
    where = SecretUrl(settings.sd_url).masked()
    try:
        async with asyncio.timeout(seconds):
            await server.check()
    except TimeoutError:
        return [_silent(_IMAGES, where, seconds, "HUB_SD_URL")]
    except ImageServerError as error:
        return [_failure(_IMAGES, where, error, "HUB_SD_")]
    finally:
        await asyncio.shield(server.close())
    return [good(_IMAGES, f"{where} answers ({server.provider})")]


def _silent(check: str, where: str, seconds: float, setting: str) -> Finding:
    advice = f"{_START_IT}; a firewall may swallow what is sent."
    return bad(check, f"{where}: no answer within {seconds:.1f} s", advice=advice, setting=setting)


def _failure(check: str, where: str, error: ProviderError, family: str) -> Finding:
    code = error.code.partition("_")[2]
    detail = f"{where} {_WORDS.get(code, 'does not answer as it should')} ({error.detail or error.code})"
    ending, advice = _ADVICE.get(code, ("URL", f"{_START_IT}."))
    if code == "overloaded":
        return warning(check, detail, advice="Nothing, if that passes.", setting=f"{family}URL")
    return bad(check, detail, advice=advice, setting=f"{family}{ending}")
