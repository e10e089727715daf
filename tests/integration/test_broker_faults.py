"""What RabbitMQ may do to a publisher and a consumer: block them, freeze, hold strays or other queues."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from actors.runtime import ActorRuntime, declare_actor
from hub.core.settings import Settings
from hub.doctor import broker as doctor
from hub.jobs import rabbitmq as broker_module
from hub.jobs.broker import HubRabbitmqBroker, job_message, make_broker, make_publisher, queue_name
from hub.jobs.errors import BrokerUnavailableError
from hub.jobs.publisher import RabbitmqPublisher
from hub.jobs.rabbitmq import DELIVERY_LIMIT
from tests.services.rabbitmq import RabbitMQNode
from tests.services.waiting import eventually

Publish = Callable[[], Awaitable[object]]


@asynccontextmanager
async def recording(node: RabbitMQNode, kind: str, *, quorum: bool = False) -> AsyncIterator[list[UUID]]:
    """Run an actor that notes the jobs it was called with, on two threads."""
    ran: list[UUID] = []

    async def actor(job_id: UUID) -> None:
        ran.append(job_id)

    broker = make_broker(node.url, quorum=quorum)
    declare_actor(broker, actor, kind=kind)
    runtime = ActorRuntime(broker, asyncio.get_running_loop(), 2)
    runtime.start()
    try:
        yield ran
    finally:
        await runtime.stop(10)


def strays(kind: str) -> dict[str, bytes]:
    """Return messages that we never send, by what is odd about them."""
    ours = job_message(kind, uuid4()).asdict()
    odd: dict[str, object] = {
        "no message": [],
        "a field missing": {name: ours[name] for name in ours if name != "options"},
        "a field too many": ours | {"more": 1},
        "another queue's name": ours | {"queue_name": "hub.elsewhere"},
        "no queue's name": ours | {"queue_name": None},
        "an unknown actor": ours | {"actor_name": "nobody"},
        "an actor without a name": ours | {"actor_name": ["a"]},
        "no options": ours | {"options": None},
        "a date in the far future": ours | {"options": {"eta": 4_102_444_800_000}},
        "an expected error that is none": ours | {"options": {"throws": "all"}, "kwargs": {}},
        "arguments without names": ours | {"kwargs": [1]},
    }
    encoded = {name: json.dumps(each).encode() for name, each in odd.items()}
    return encoded | {"no text": b"\xff\x00", "nothing": b""}


async def test_strays_hold_up_nothing(node: RabbitMQNode, kind: str) -> None:
    """Two threads and a dozen strays: neither the consumer nor a thread may stumble over one for good."""
    publisher = make_publisher(make_broker(node.url))
    dead: list[str] = []
    crashed, threading.excepthook = threading.excepthook, lambda args: dead.append(repr(args.exc_value))
    try:
        async with recording(node, kind) as ran:
            await publisher.check()
            await publisher.publish(kind, uuid4())
            await eventually(lambda: len(ran) == 1)
            bodies = strays(kind)
            await asyncio.to_thread(node.put, queue_name(kind), *bodies.values())
            ours = uuid4()
            await publisher.publish(kind, ours)
            await eventually(lambda: ours in ran, seconds=5)
            await eventually(lambda: node.waiting(f"{queue_name(kind)}.XQ") == len(bodies), seconds=5)
    finally:
        threading.excepthook = crashed
        publisher.close()
    assert not dead
    assert len(ran) == 2
    assert node.waiting(queue_name(kind)) == 0


async def test_a_busy_worker_leaves_what_it_cannot_run_to_others(node: RabbitMQNode, kind: str) -> None:
    started, go = asyncio.Event(), asyncio.Event()
    ran: list[UUID] = []

    async def actor(job_id: UUID) -> None:
        started.set()
        await go.wait()
        ran.append(job_id)

    broker = make_broker(node.url)
    declare_actor(broker, actor, kind=kind)
    runtime = ActorRuntime(broker, asyncio.get_running_loop(), 1)
    runtime.start()
    publisher = make_publisher(make_broker(node.url))
    await asyncio.gather(*(publisher.publish(kind, uuid4()) for _ in range(3)))
    await asyncio.wait_for(started.wait(), 10)
    await eventually(lambda: node.waiting(queue_name(kind)) == 2)
    go.set()
    await eventually(lambda: len(ran) == 3)
    await runtime.stop(10)
    publisher.close()


async def test_a_message_that_kills_its_workers_ends_among_the_dead_letters(
    node: RabbitMQNode, kind: str
) -> None:
    publisher = make_publisher(make_broker(node.url, quorum=True))
    await publisher.publish(kind, uuid4())
    publisher.close()

    def deliver_until_gone() -> int:
        deliveries = 0
        deadline = time.monotonic() + 30
        while node.waiting(f"{queue_name(kind)}.XQ") == 0:
            deliveries += node.drop_delivery(queue_name(kind))
            assert time.monotonic() < deadline, deliveries
        return deliveries

    # The last of them may be on its way to the dead letters while we look.
    assert await asyncio.to_thread(deliver_until_gone) == DELIVERY_LIMIT + 1
    assert node.waiting(queue_name(kind)) == 0


async def test_an_alarm_is_noticed_at_once_and_its_end_too(node: RabbitMQNode, kind: str) -> None:
    broker = make_broker(node.url)
    assert isinstance(broker, HubRabbitmqBroker)
    publisher = RabbitmqPublisher(broker, deadline=1.0)
    async with recording(node, kind) as ran:
        await publisher.publish(kind, uuid4())
        await asyncio.to_thread(node.raise_alarm)
        try:
            with pytest.raises(BrokerUnavailableError, match="low on memory"):
                await publisher.publish(kind, uuid4())
            began = time.monotonic()
            with pytest.raises(BrokerUnavailableError, match=r"low on memory.*PostgreSQL"):
                await publisher.publish(kind, uuid4())
            with pytest.raises(BrokerUnavailableError, match=r"low on memory.*PostgreSQL"):
                await publisher.check()
            assert time.monotonic() - began < 0.5
            found = await doctor.broker(Settings(broker_url=node.url), seconds=10)
            assert "takes no messages: it is low on memory" in found[0].detail
        finally:
            await asyncio.to_thread(node.clear_alarm)
        await succeeds(lambda: publisher.publish(kind, uuid4()), seconds=3)
        await eventually(lambda: len(ran) == 3)  # the one that waited in RabbitMQ's socket, too
    publisher.close()


async def succeeds(attempt: Publish, *, seconds: float) -> None:
    """Try until the broker takes it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await attempt()
        except BrokerUnavailableError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        else:
            return


async def test_a_blocked_publisher_closes_in_time(node: RabbitMQNode, kind: str) -> None:
    broker = make_broker(node.url)
    assert isinstance(broker, HubRabbitmqBroker)
    publisher = RabbitmqPublisher(broker, deadline=0.5)
    await publisher.publish(kind, uuid4())
    threads = [each for each in threading.enumerate() if each.name == "hub-publisher"]
    await asyncio.to_thread(node.raise_alarm)
    try:
        with pytest.raises(BrokerUnavailableError):
            await publisher.publish(kind, uuid4())
        publisher.close()
        assert not any(each.is_alive() for each in threads)
    finally:
        await asyncio.to_thread(node.clear_alarm)


async def test_a_frozen_broker_does_not_hold_the_publisher(
    node: RabbitMQNode, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "ANSWER_SECONDS", 1.0)
    before = set(node.list_connections())
    broker = make_broker(node.url)
    assert isinstance(broker, HubRabbitmqBroker)
    publisher = RabbitmqPublisher(broker, deadline=5.0)
    await publisher.publish(kind, uuid4())
    (ours,) = set(node.list_connections()) - before
    await asyncio.to_thread(node.pause)
    try:
        with pytest.raises(BrokerUnavailableError, match="no answer within 1 s"):
            await publisher.publish(kind, uuid4())
        assert ours not in node.list_connections()
    finally:
        node.resume()
    await succeeds(lambda: publisher.publish(kind, uuid4()), seconds=5)
    publisher.close()


async def test_a_queue_of_the_other_type_is_explained_once_and_may_be_deleted(
    node: RabbitMQNode, kind: str
) -> None:
    queue = queue_name(kind)
    classic = make_publisher(make_broker(node.url))
    await classic.publish(kind, uuid4())
    classic.close()
    advice = (
        f"{queue} exists.*HUB_BROKER_QUEUE_TYPE=quorum.*delete_queue {queue}; .*{queue}.XQ.*Nothing is lost"
    )
    publisher = make_publisher(make_broker(node.url, quorum=True))
    with capture_logs() as logs:
        async with recording(node, kind, quorum=True) as ran:
            for _ in range(2):
                with pytest.raises(BrokerUnavailableError, match=advice):
                    await publisher.publish(kind, uuid4())
                with pytest.raises(BrokerUnavailableError, match=advice):
                    await publisher.check()
            await eventually(lambda: bool(logs))
            await asyncio.to_thread(node.delete, queue, f"{queue}.XQ")
            await succeeds(lambda: publisher.publish(kind, uuid4()), seconds=5)
            await publisher.check()
            await eventually(lambda: len(ran) == 1, seconds=5)
    publisher.close()
    assert [each["event"] for each in logs] == ["queue cannot be used", "broker back"]
    assert "delete_queue" in logs[0]["error"]
