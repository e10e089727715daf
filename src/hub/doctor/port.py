"""The web server's port: free, or held by this hub; then also what the running hub says of itself."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import Literal

import msgspec
from msgspec import Struct

import hub
from hub.core.settings import Settings
from hub.doctor.findings import Finding, bad, good, warning
from hub.providers.http.answers import TRANSPORT_ERRORS, read_body
from hub.providers.http.client import HttpClient
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import Pool

_CHECK, _METRICS, _RUNNING = "web port", "metrics port", "running hub"
_PORT, _HOST = "HUB_PORT", "HUB_HOST"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}

_SETTINGS = {
    "database": "HUB_DATABASE_URL",
    "migrations": "HUB_DATABASE_URL",
    "broker": "HUB_BROKER_URL",
    "storage": "HUB_DATA_DIR",
    "llm": "HUB_LLM_URL",
    "images": "HUB_SD_URL",
}


class Answer(Struct, kw_only=True):
    """Who holds the port. ``health`` is what it says of itself, if it is a hub and had time to say it."""

    holder: Literal["nobody", "hub", "other"] = "nobody"
    findings: list[Finding] = []
    health: Health | None = None


class Health(Struct, frozen=True, kw_only=True):
    """A hub's health, as /api/health tells it."""

    status: Literal["pass", "warn", "fail"]
    version: str
    checks: dict[str, str]


async def ask(settings: Settings, pool: Pool, answer: Answer, *, seconds: float) -> None:
    """Note in ``answer`` who holds the web server's port."""
    if settings.port == 0:
        answer.findings = [good(_CHECK, "any free one")]
        return
    refusal = _try(settings.host, settings.port)
    if refusal is None:
        answer.findings = [good(_CHECK, f"{settings.host}:{settings.port} is free")]
    elif refusal.errno != errno.EADDRINUSE:
        answer.findings = [_unusable(settings, refusal)]
    else:
        answer.holder = "other"
        await _ask_holder(settings, pool, answer, seconds)


def judge(settings: Settings, answer: Answer, hubs: int | None) -> list[Finding]:
    """Say what that means, now that it is known how many connections hubs have to the database.

    ``hubs`` is None where the database could not be asked.
    """
    place = f"{settings.host}:{settings.port}"
    if answer.holder == "nobody":
        return answer.findings
    if answer.holder == "other":
        advice = "Stop what uses it, or choose another port."
        return [bad(_CHECK, f"{place} is taken by another program", advice=advice, setting=_PORT)]
    if hubs == 0:
        advice = "Stop that one, choose another port, or name its database and data folder here."
        words = f"{place} is held by another hub: none is connected to this database"
        return [bad(_CHECK, words, advice=advice, setting=_PORT)]
    whose = "this hub, which is running" if hubs else "a hub; whose, the database would tell"
    found = [good(_CHECK, f"{place} is held by {whose}")]
    if answer.health is None:
        return found
    if answer.health.version != hub.__version__:
        words = f"it is version {answer.health.version}, installed is {hub.__version__}"
        found.append(warning(_RUNNING, words, advice="Start it again."))
    return found + _unwell(answer.health)


def _unwell(health: Health) -> list[Finding]:
    unwell = {name: status for name, status in health.checks.items() if status != "pass"}
    if not unwell:
        return [good(_RUNNING, f"version {health.version} says that it is well")]
    words = ", ".join(f"{name} {status}" for name, status in unwell.items())
    worst_first = sorted(unwell, key=lambda name: unwell[name] != "fail")
    setting = next((_SETTINGS[name] for name in worst_first if name in _SETTINGS), _PORT)
    advice = "Look at these parts above; where they are well, it was started with other settings."
    judge_it = bad if health.status == "fail" else warning
    return [judge_it(_RUNNING, f"says: {words}", advice=advice, setting=setting)]


async def metrics(settings: Settings, pool: Pool, *, seconds: float) -> list[Finding]:
    """See whether the worker's port for its numbers is free, or a worker's."""
    host, number, check, setting = settings.metrics_host, settings.metrics_port, _METRICS, "HUB_METRICS_PORT"
    if not number:
        return []
    refusal = _try(host, number)
    if refusal is None:
        return [good(check, f"{host}:{number} is free")]
    if refusal.errno == errno.EADDRINUSE:
        told = await _get(_client(host, number, pool), "/metrics", seconds)
        if told is not None and b"hub_" in told:
            return [good(check, f"{host}:{number} is held by a worker")]
        advice = "Stop what uses it, or choose another port; each worker of a machine needs its own."
        return [bad(check, f"{host}:{number} is taken by another program", advice=advice, setting=setting)]
    words, advice = f"{host}:{number} cannot be used: {_words(refusal)}", "Name an address of this machine."
    return [bad(check, words, advice=advice, setting="HUB_METRICS_HOST")]


def _try(host: str, port: int) -> OSError | None:
    """Take a port for a moment, as a server does; return what kept it from us."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        return error
    return None


def _unusable(settings: Settings, refusal: OSError) -> Finding:
    place = f"{settings.host}:{settings.port}"
    if refusal.errno in {errno.EACCES, errno.EPERM}:
        advice = "Choose a port above 1023 and put a reverse proxy before it."
        return bad(_CHECK, f"{place} needs rights that we lack", advice=advice, setting=_PORT)
    advice = "Name an address of this machine, or 0.0.0.0 for all of them."
    return bad(_CHECK, f"{place} cannot be used: {_words(refusal)}", advice=advice, setting=_HOST)


def _words(refusal: OSError) -> str:
    return os.strerror(refusal.errno) if refusal.errno and refusal.errno > 0 else str(refusal)


async def _ask_holder(settings: Settings, pool: Pool, answer: Answer, seconds: float) -> None:
    client = _client(settings.host, settings.port, pool)
    if not _is_ours(await _get(client, "/api/health/live", seconds)):
        return
    answer.holder = "hub"
    told = await _get(client, "/api/health", seconds)
    with suppress(msgspec.DecodeError):  # a hub of another version
        answer.health = msgspec.json.decode(told or b"", type=Health)


def _client(host: str, port: int, pool: Pool) -> HttpClient:
    host = _ANYWHERE.get(host, host)
    named = f"[{host}]" if ":" in host else host
    return HttpClient(Endpoint.parse(f"http://{named}:{port}", None, whose="the web server's"), pool)


async def _get(client: HttpClient, path: str, seconds: float) -> bytes | None:
    try:
        response = await client.send("GET", path, patience=seconds, looking=True)
        return await read_body(response)
    except TRANSPORT_ERRORS:
        return None


def _is_ours(body: bytes | None) -> bool:
    try:
        told: object = msgspec.json.decode(body or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("status") in {"pass", "warn", "fail"}
