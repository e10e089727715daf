"""Rules about settings together: what production needs and refuses."""

import ipaddress
import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from itertools import pairwise

from hub.core.settings.addresses import Address, parse_address
from hub.core.settings.convert import expected
from hub.core.settings.problems import Problem
from hub.core.settings.schema import FIELDS, Settings

_REQUIRED = ("database_url", "broker_url", "llm_url", "llm_model", "secret_key")
_MIN_SECRET = 32
_MIN_CORE = 16
_MIN_VARIETY = 8
_WELL_KNOWN = frozenset(
    {"1234", "12345", "123456", "12345678", "123456789", "admin", "administrator", "change-me", "change_me"}
    | {"changeme", "companion", "companion-hub", "companion_hub", "companionhub", "db", "default", "demo"}
    | {"dev", "example", "guest", "hub", "letmein", "pass", "passw0rd", "passwd", "password", "password1"}
    | {"postgres", "postgresql", "pwd", "qwerty", "rabbitmq", "root", "secret", "test", "user"}
)
# Longer words first, so that "changeme" goes before "change" leaves "me" behind.
_FILLER = re.compile(
    r"development|placeholder|production|qwertyuiop|asdfghjkl|companion|supersecret|changeme|insecure|password"
    r"|postgres|zxcvbnm|default|example|private|replace|generate|qwerty|string|change|please|random|secret"
    r"|admin|super|value|dummy|guest|here|test|with|this|your|hub|key|the|my|me|in|to|[-_.\s]"
)
_SAFE_LOGINS = frozenset({"sslcert", "passfile"})


def check(settings: Settings, broken: AbstractSet[str]) -> list[Problem]:
    """Return what is wrong with ``settings`` as a whole; fields in ``broken`` are already reported."""
    problems = list(_check_model(settings))
    if settings.env == "production":
        problems += _check_production(settings)
    return [problem for problem in problems if _field_name(problem) not in broken]


def _field_name(problem: Problem) -> str:
    return problem.name.removeprefix("HUB_").lower()


def _check_model(settings: Settings) -> Iterable[Problem]:
    if settings.llm_url is not None and settings.llm_model is None:
        detail = "HUB_LLM_URL needs it: the model's name, as that server writes it"
        yield Problem(name="HUB_LLM_MODEL", kind="missing", detail=detail)
    if settings.llm_url is not None and settings.llm_max_tokens >= settings.llm_context_tokens:
        detail = "expected less than HUB_LLM_CONTEXT_TOKENS, which has to hold the prompt as well"
        yield Problem(name="HUB_LLM_MAX_TOKENS", kind="malformed", detail=detail)


def _check_production(settings: Settings) -> Iterable[Problem]:
    for name in _REQUIRED:
        known = name == "llm_model" and settings.llm_url is not None  # reported above
        if getattr(settings, name) is None and not known:
            detail = f"production needs it: {expected(FIELDS[name])}"
            if name == "llm_model":
                detail = "production needs it: the model's name, as the server at HUB_LLM_URL writes it"
            yield Problem(name=FIELDS[name].variable, kind="missing", detail=detail)
    weaknesses: dict[str, str | None] = {
        "HUB_SECRET_KEY": weak_secret(settings.secret_key) if settings.secret_key else None,
        "HUB_METRICS_TOKEN": weak_secret(settings.metrics_token) if settings.metrics_token else None,
        "HUB_DATABASE_URL": _weak_database(settings.database_url) if settings.database_url else None,
        "HUB_BROKER_URL": _weak_broker(settings.broker_url) if settings.broker_url else None,
        "HUB_LIMITS": None if settings.limits else "off is for development and load tests: remove it",
    }
    for name, weakness in weaknesses.items():
        if weakness:
            yield Problem(name=name, kind="weak", detail=weakness)


def weak_secret(secret: str) -> str | None:
    """Return why ``secret`` is too easy to guess, None if it is not."""
    advice = "make one with: openssl rand -hex 32"
    if len(secret) < _MIN_SECRET:
        return f"it has fewer than {_MIN_SECRET} characters; {advice}"
    core = _FILLER.sub("", secret.lower())
    if len(core) < _MIN_CORE:
        return f"it is made of well-known words; {advice}"
    if len(set(core)) < _MIN_VARIETY or _repeats(core) or _counts(core):
        return f"it repeats itself or follows a pattern; {advice}"
    return None


def _repeats(text: str) -> bool:
    """Whether the text is one shorter piece again and again."""
    return any(
        all(char == text[index % period] for index, char in enumerate(text))
        for period in range(1, len(text) // 2 + 1)
    )


def _counts(text: str) -> bool:
    """Whether most characters follow their neighbour as in abcd, 1234 or 9876."""
    steps = [ord(after) - ord(before) for before, after in pairwise(text)]
    return max(steps.count(1), steps.count(-1), steps.count(0)) > len(steps) // 2


def _weak_database(url: str) -> str | None:
    address = parse_address(url, ("postgresql", "postgres"))
    if not address.password:
        safe = address.local_socket or _SAFE_LOGINS & address.query
        return None if safe else "it has no password; give the database user one"
    return _weak_password(address)


def _weak_broker(url: str) -> str | None:
    address = parse_address(url, ("amqp", "amqps"))
    if all(_is_loopback(host) for host in address.hosts):
        return None
    # Without credentials RabbitMQ's clients send guest:guest.
    if not address.password or (address.user, address.password) == ("guest", "guest"):
        return "it signs in as guest on another machine; make a RabbitMQ user of its own"
    return _weak_password(address)


def _weak_password(address: Address) -> str | None:
    if address.password.lower() in _WELL_KNOWN or address.password == address.user:
        return "its password is a well-known one or the user's name; choose a random one"
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
