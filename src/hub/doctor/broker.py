"""RabbitMQ: reachable, open to this user, taking messages, with queues as the settings want them."""

from __future__ import annotations

import asyncio

from hub.core.settings import SecretUrl, Settings
from hub.doctor.findings import Finding, bad, good, warning
from hub.jobs.inspection import BrokerState, BrokerTroubleError, Inspection, Trouble

_BROKER, _QUEUES = "broker", "queues"
_URL, _TYPE = "HUB_BROKER_URL", "HUB_BROKER_QUEUE_TYPE"
#: Messages of one queue beyond which somebody should look.
_BACKLOG = 1000

_ADVICE: dict[Trouble, str] = {
    "unreachable": "Start RabbitMQ, or correct the address.",
    "login": "Correct user and password, or make the user: rabbitmqctl add_user.",
    "virtual host": "Make it (rabbitmqctl add_vhost) and let the user in (rabbitmqctl set_permissions).",
    "protocol": "Name RabbitMQ's AMQP port, 5672 as a rule; 15672 is its web page.",
}


async def broker(settings: Settings, *, seconds: float) -> list[Finding]:
    """Look at RabbitMQ and its queues, for so many seconds."""
    if settings.broker_url is None:
        return [good(_BROKER, "in-process: web and worker are one process, PostgreSQL keeps the jobs")]
    where = "; ".join(SecretUrl(each).masked() for each in settings.broker_url.split(";"))
    quorum = settings.broker_queue_type == "quorum"
    try:
        inspection = Inspection(settings.broker_url, quorum=quorum, seconds=seconds)
    except Exception as error:  # noqa: BLE001 - pika's own complaints about an address are of any kind
        return [bad(_BROKER, f"{where}: {type(error).__name__}", advice="Correct the address.", setting=_URL)]
    try:
        async with asyncio.timeout(seconds):
            await asyncio.to_thread(inspection.run)
    except BrokerTroubleError as error:
        return [bad(_BROKER, f"{where}: {error}", advice=_ADVICE[error.trouble], setting=_URL)]
    except TimeoutError:
        advice = "Start RabbitMQ, or correct the address; a firewall may swallow what is sent."
        return [bad(_BROKER, f"{where}: no answer within {seconds:.1f} s", advice=advice, setting=_URL)]
    return [_open(where, inspection.state), *_queues(inspection.state)]


def _open(where: str, state: BrokerState) -> Finding:
    if state.blocked is None:
        return good(_BROKER, f"RabbitMQ {state.version} at {where}")
    advice = "Give RabbitMQ more memory or disk space. Jobs wait in PostgreSQL meanwhile."
    return bad(_BROKER, f"{where} takes no messages: it is {state.blocked}", advice=advice, setting=_URL)


def _queues(state: BrokerState) -> list[Finding]:
    if state.mismatches:
        text, _, advice = state.mismatches[0].partition(". ")
        more = f", and {len(state.mismatches) - 1} more" if len(state.mismatches) > 1 else ""
        return [bad(_QUEUES, f"{text}{more}", advice=advice, setting=_TYPE)]
    if not state.queues:
        return [good(_QUEUES, "the first worker makes them")] if state.missing else []
    waiting = sum(each.waiting for each in state.queues)
    detail = f"{len(state.queues)} queues, {waiting:,} messages wait"
    idle = [each.name for each in state.queues if not each.consumers] + state.missing
    if idle:
        words = f"{detail}; no worker takes from {', '.join(idle)}"
        return [warning(_QUEUES, words, advice="Start a worker: hub worker.", setting=_URL)]
    workers = min(each.consumers for each in state.queues)
    detail += f", {workers} worker{'s' if workers > 1 else ''}"
    longest = max(state.queues, key=lambda each: each.waiting)
    if longest.waiting > _BACKLOG:
        words = f"{detail}, {longest.waiting:,} in {longest.name} alone"
        return [warning(_QUEUES, words, advice="Start more workers.", setting="HUB_WORKER_THREADS")]
    return [good(_QUEUES, detail)]
