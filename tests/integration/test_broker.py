"""Job ids travel from a publisher to an actor, through RabbitMQ and inside the process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from typing import Any
from uuid import UUID, uuid4

import dramatiq
import pika
import pytest
from structlog.testing import capture_logs

from actors.runtime import ActorRuntime, declare_actor
from hub.core.settings import Settings
from hub.doctor import broker as doctor_broker
from hub.doctor.findings import Finding
from hub.jobs.broker import HubRabbitmqBroker, job_message, make_broker, make_publisher, queue_name
from hub.jobs.contracts import JobKind
from hub.jobs.errors import BrokerUnavailableError
from hub.jobs.publisher import RabbitmqPublisher
from tests.services.rabbitmq import RabbitMQNode
from tests.services.waiting import eventually

Actor = Callable[[UUID], Coroutine[Any, Any, None]]


@pytest.fixture(params=["in-process", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> dramatiq.Broker:
    if request.param == "in-process":
        return make_broker(None)
    node: RabbitMQNode = request.getfixturevalue("node")
    return make_broker(node.url)


@contextlib.asynccontextmanager
async def running(
    broker: dramatiq.Broker, kind: str, actor: Actor, *, threads: int = 4
) -> AsyncIterator[ActorRuntime]:
    declare_actor(broker, actor, kind=kind)
    runtime = ActorRuntime(broker, asyncio.get_running_loop(), threads)
    runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop(10)


async def test_a_published_job_runs_on_the_given_loop(broker: dramatiq.Broker, kind: str) -> None:
    ran: asyncio.Queue[tuple[UUID, asyncio.AbstractEventLoop]] = asyncio.Queue()

    async def actor(job_id: UUID) -> None:
        ran.put_nowait((job_id, asyncio.get_running_loop()))

    publisher = make_publisher(broker)
    job_id = uuid4()
    async with running(broker, kind, actor):
        await publisher.check()
        await publisher.publish(kind, job_id)
        assert await asyncio.wait_for(ran.get(), 10) == (job_id, asyncio.get_running_loop())
    publisher.close()


async def test_more_actors_run_at_once_than_one(broker: dramatiq.Broker, kind: str) -> None:
    together = asyncio.Barrier(4)

    async def actor(_: UUID) -> None:
        await together.wait()

    publisher = make_publisher(broker)
    async with running(broker, kind, actor, threads=4):
        for _ in range(3):
            await publisher.publish(kind, uuid4())
        await asyncio.wait_for(together.wait(), 10)
    publisher.close()


async def test_context_variables_do_not_leak_from_one_job_to_the_next(
    broker: dramatiq.Broker, kind: str
) -> None:
    bound: ContextVar[str] = ContextVar("bound", default="nothing")
    seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def actor(job_id: UUID) -> None:
        before = bound.get()
        bound.set(str(job_id))
        await asyncio.sleep(0)
        seen.put_nowait((before, bound.get()))

    publisher = make_publisher(broker)
    async with running(broker, kind, actor, threads=1):
        for job_id in (uuid4(), uuid4()):
            await publisher.publish(kind, job_id)
            assert await asyncio.wait_for(seen.get(), 10) == ("nothing", str(job_id))
    publisher.close()


async def test_an_actor_that_raises_does_not_stop_the_next(broker: dramatiq.Broker, kind: str) -> None:
    ran: asyncio.Queue[UUID] = asyncio.Queue()

    async def actor(job_id: UUID) -> None:
        ran.put_nowait(job_id)
        raise ValueError("the provider talked nonsense")

    publisher = make_publisher(broker)
    async with running(broker, kind, actor, threads=1):
        for job_id in (uuid4(), uuid4()):
            await publisher.publish(kind, job_id)
            assert await asyncio.wait_for(ran.get(), 10) == job_id
    publisher.close()


async def test_a_closed_publisher_refuses(broker: dramatiq.Broker, kind: str) -> None:
    publisher = make_publisher(broker)
    publisher.close()
    with pytest.raises(BrokerUnavailableError, match="stopping"):
        await publisher.publish(kind, uuid4())


async def test_closing_after_messages_have_timed_out_ends_the_thread_in_order(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    never, dropped = threading.Event(), threading.Event()
    broker = HubRabbitmqBroker("amqp://127.0.0.1:1/")
    monkeypatch.setattr(broker, "ensure_connection", lambda: never.wait(1))  # longer than the messages wait
    monkeypatch.setattr(broker, "enqueue", lambda _message: None)
    monkeypatch.setattr(broker, "drop_connection", dropped.set)
    publisher = RabbitmqPublisher(broker, deadline=0.1)
    outcomes = await asyncio.gather(
        *(publisher.publish(kind, uuid4()) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(each, BrokerUnavailableError) for each in outcomes)
    publisher.close()
    assert dropped.is_set()


async def test_the_in_process_queue_is_bounded_when_nobody_consumes(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("hub.jobs.inprocess.MAX_WAITING", 3)
    publisher = make_publisher(make_broker(None))
    for _ in range(3):
        await publisher.publish(kind, uuid4())
    with pytest.raises(BrokerUnavailableError, match="already wait"):
        await publisher.publish(kind, uuid4())


async def test_stopping_waits_for_a_running_actor(broker: dramatiq.Broker, kind: str) -> None:
    started, finish, ended = asyncio.Event(), asyncio.Event(), []

    async def actor(job_id: UUID) -> None:
        started.set()
        await finish.wait()
        ended.append(job_id)

    publisher = make_publisher(broker)
    job_id = uuid4()
    async with running(broker, kind, actor) as runtime:
        await publisher.publish(kind, job_id)
        await asyncio.wait_for(started.wait(), 10)
        stopping = asyncio.create_task(runtime.stop(10))
        await asyncio.sleep(0)
        finish.set()
        await stopping
        assert ended == [job_id]
    publisher.close()


async def test_stopping_is_bounded_though_an_actor_hangs(kind: str) -> None:
    started, let_go = asyncio.Event(), asyncio.Event()

    async def actor(_: UUID) -> None:
        started.set()
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    threads = set(threading.enumerate())
    broker = make_broker(None)
    declare_actor(broker, actor, kind=kind)
    runtime = ActorRuntime(broker, asyncio.get_running_loop(), 2)
    runtime.start()
    await make_publisher(broker).publish(kind, uuid4())
    await asyncio.wait_for(started.wait(), 10)
    begun = time.monotonic()
    await runtime.stop(1.5)
    assert time.monotonic() - begun < 3
    assert all(thread.daemon for thread in threading.enumerate() if thread not in threads)
    let_go.set()
    await eventually(lambda: set(threading.enumerate()) <= threads or not _worker_threads())


def _worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "WorkerThread" in type(thread).__name__]


async def test_stopping_cancels_what_outlasts_it(kind: str) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def actor(_: UUID) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    broker = make_broker(None)
    async with running(broker, kind, actor) as runtime:
        await make_publisher(broker).publish(kind, uuid4())
        await asyncio.wait_for(started.wait(), 10)
        await runtime.stop(2)
        assert cancelled.is_set()


async def test_many_publishes_share_one_connection_and_are_confirmed(node: RabbitMQNode, kind: str) -> None:
    before = set(node.list_connections())
    publisher = make_publisher(make_broker(node.url))
    await asyncio.gather(*(publisher.publish(kind, uuid4()) for _ in range(100)))
    assert len(set(node.list_connections()) - before) == 1
    assert node.waiting(queue_name(kind)) == 100
    publisher.close()
    await eventually(lambda: set(node.list_connections()) <= before)


async def test_there_are_no_delay_queues_and_one_connection_a_consumed_queue(
    node: RabbitMQNode, kind: str
) -> None:
    async def actor(_: UUID) -> None: ...

    before = set(node.list_connections())
    async with running(make_broker(node.url), kind, actor):
        await eventually(lambda: node.waiting(queue_name(kind)) == 0)
        await eventually(lambda: len(set(node.list_connections()) - before) == 1)
        assert node.waiting(f"{queue_name(kind)}.DQ") is None
        assert node.waiting(f"{queue_name(kind)}.XQ") == 0
    await eventually(lambda: set(node.list_connections()) <= before)


async def test_a_message_without_its_actor_goes_to_the_dead_letters(node: RabbitMQNode, kind: str) -> None:
    async def actor(_: UUID) -> None: ...

    broker = make_broker(node.url)
    assert isinstance(broker, HubRabbitmqBroker)

    def send_stray() -> None:
        broker.enqueue(job_message("nobody", uuid4()).copy(queue_name=queue_name(kind)))
        broker.drop_connection()

    async with running(broker, kind, actor):
        await asyncio.to_thread(send_stray)
        await eventually(lambda: node.waiting(f"{queue_name(kind)}.XQ") == 1)
    assert node.waiting(queue_name(kind)) == 0


async def test_quorum_queues_can_be_chosen(node: RabbitMQNode, kind: str) -> None:
    publisher = make_publisher(make_broker(node.url, quorum=True))
    await publisher.publish(kind, uuid4())
    publisher.close()
    classic = make_publisher(make_broker(node.url))
    with pytest.raises(BrokerUnavailableError, match="x-queue-type"):
        await classic.publish(kind, uuid4())
    classic.close()


async def test_the_loop_goes_on_while_the_broker_is_frozen(node: RabbitMQNode, kind: str) -> None:
    broker = make_broker(node.url)
    assert isinstance(broker, HubRabbitmqBroker)
    publisher = RabbitmqPublisher(broker, deadline=1.0)
    await publisher.publish(kind, uuid4())
    node.pause()
    try:
        waiting = asyncio.gather(
            *(publisher.publish(kind, uuid4()) for _ in range(3)), return_exceptions=True
        )
        turns = 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert turns > 20
        assert [type(each) for each in waiting.result()] == [BrokerUnavailableError] * 3
    finally:
        node.resume()
    await publisher.publish(kind, uuid4())
    publisher.close()
    # The one in flight may have arrived; the two that still waited were never sent.
    assert node.waiting(queue_name(kind)) in {2, 3}


async def test_heartbeats_are_answered_while_nothing_is_published(node: RabbitMQNode, kind: str) -> None:
    before = set(node.list_connections())
    publisher = make_publisher(make_broker(f"{node.url}?heartbeat=1"))
    await publisher.publish(kind, uuid4())
    (ours,) = set(node.list_connections()) - before
    # Nobody answers heartbeats for this one: once RabbitMQ has closed it, ours has proved itself.
    silent = await asyncio.to_thread(pika.BlockingConnection, pika.URLParameters(f"{node.url}?heartbeat=1"))
    (control,) = set(node.list_connections()) - before - {ours}
    await eventually(lambda: control not in node.list_connections())
    assert ours in node.list_connections()
    await publisher.publish(kind, uuid4())
    assert ours in node.list_connections()
    publisher.close()
    with contextlib.suppress(pika.exceptions.AMQPError):
        silent.close()


async def test_a_deleted_queue_comes_back(node: RabbitMQNode, kind: str) -> None:
    ran = asyncio.Event()

    async def actor(_: UUID) -> None:
        ran.set()

    publisher = make_publisher(make_broker(node.url))
    async with running(make_broker(node.url), kind, actor):
        await publisher.publish(kind, uuid4())
        await asyncio.wait_for(ran.wait(), 10)
        ran.clear()
        await asyncio.to_thread(node.delete, queue_name(kind))
        await publisher.publish(kind, uuid4())
        await asyncio.wait_for(ran.wait(), 20)
    publisher.close()


async def test_all_goes_on_after_the_broker_was_away(node: RabbitMQNode, kind: str) -> None:
    """The broker is down when the worker boots, comes up, is killed, and comes up again."""
    ran: asyncio.Queue[UUID] = asyncio.Queue()

    async def actor(job_id: UUID) -> None:
        ran.put_nowait(job_id)

    async def publish_and_run() -> None:
        job_id = uuid4()
        await publisher.publish(kind, job_id)
        while await asyncio.wait_for(ran.get(), 20) != job_id:  # one before may be delivered again
            pass

    publisher = make_publisher(make_broker(node.url))
    await asyncio.to_thread(node.stop)
    with capture_logs() as logs:
        async with running(make_broker(node.url), kind, actor):
            with pytest.raises(BrokerUnavailableError, match="HUB_BROKER_URL"):
                await publisher.publish(kind, uuid4())
            await asyncio.to_thread(node.start)
            await publish_and_run()
            await asyncio.to_thread(node.kill)
            with pytest.raises(BrokerUnavailableError):
                await publisher.check()
            await asyncio.to_thread(node.start)
            await publish_and_run()
    publisher.close()
    assert [each["event"] for each in logs] == ["broker lost", "broker back"] * 2


async def look(url: str, **more: Any) -> dict[str, Finding]:
    """Return what the doctor says of a broker."""
    settings = Settings(broker_url=url, **more)
    return {each.check: each for each in await doctor_broker.broker(settings, seconds=10)}


async def test_the_doctor_looks_at_rabbitmq(rabbitmq: RabbitMQNode) -> None:
    every = [queue_name(kind) for kind in JobKind]
    rabbitmq.delete(*every, *(f"{name}.XQ" for name in every))
    found = await look(rabbitmq.url)
    assert {each.status for each in found.values()} == {"pass"}, "the first worker makes the queues"
    assert all(rabbitmq.waiting(name) is None for name in every), "looking makes none"
    wrong = rabbitmq.url.replace("guest:guest", "guest:canary")
    for url, words in (
        (wrong, "refuses the user"),
        (rabbitmq.url.replace("%2F", "none"), "virtual host"),
        ("amqp://hub:canary@127.0.0.1:1/", "127.0.0.1:1"),
    ):
        refused = (await look(url))["broker"]
        assert (refused.status, refused.setting) == ("fail", "HUB_BROKER_URL")
        assert words in refused.detail
        assert "canary" not in repr(refused)


async def test_the_doctor_looks_at_queues(node: RabbitMQNode) -> None:
    name = queue_name(JobKind.REPLY)
    broker = HubRabbitmqBroker(node.url)
    await asyncio.to_thread(broker.declare_queue, name, ensure=True)
    broker.close()
    node.put(name, b"{}")
    idle = (await look(node.url))["queues"]
    assert (idle.status, idle.setting) == ("warn", "HUB_BROKER_URL")
    assert "1 messages wait" in idle.detail
    other = (await look(node.url, broker_queue_type="quorum"))["queues"]
    assert (other.status, other.setting) == ("fail", "HUB_BROKER_QUEUE_TYPE")
    assert "delete_queue" in str(other.advice)
    assert node.waiting(name) == 1, "looking takes nothing"
    node.delete(name, f"{name}.XQ")
