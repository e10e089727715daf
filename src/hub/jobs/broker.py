"""Handing out jobs: which broker runs, and how to publish to it.

PostgreSQL holds the jobs; a broker only rings the bell. So a message may be lost, doubled or late without
harm, and publishing never blocks an event loop.
"""

from __future__ import annotations

from dramatiq import Broker

from hub.jobs.errors import BrokerUnavailableError
from hub.jobs.inprocess import InProcessBroker, InProcessPublisher
from hub.jobs.messages import JobPublisher, job_message, queue_name
from hub.jobs.publisher import RabbitmqPublisher
from hub.jobs.rabbitmq import HubRabbitmqBroker

__all__ = [
    "Broker",
    "BrokerUnavailableError",
    "HubRabbitmqBroker",
    "InProcessBroker",
    "JobPublisher",
    "job_message",
    "make_broker",
    "make_publisher",
    "queue_name",
]


def make_broker(broker_url: str | None, *, quorum: bool = False) -> Broker:
    """Return the broker for ``amqp://…``, or the in-process one for None. Connects to nothing yet.

    Args:
        broker_url: see `HubRabbitmqBroker`.
        quorum: make RabbitMQ's queues quorum queues, for a cluster.
    """
    if broker_url is None:
        return InProcessBroker()
    return HubRabbitmqBroker(broker_url, quorum=quorum)


def make_publisher(broker: Broker) -> JobPublisher:
    """Return the publisher that fits a broker made by `make_broker`."""
    match broker:
        case InProcessBroker():
            return InProcessPublisher(broker)
        case HubRabbitmqBroker():
            return RabbitmqPublisher(broker)
        case _:
            raise TypeError(f"no publisher for {type(broker).__name__}")
