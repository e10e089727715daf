"""What is said through the broker: that a job waits, by its id and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol
from uuid import UUID

import dramatiq


class JobPublisher(Protocol):
    """Rings the bell for jobs that are already stored. Safe to use from any event loop."""

    def publish(self, kind: str, job_id: UUID) -> Awaitable[None]:
        """Send the message at once, without blocking; await the result for the broker's confirmation.

        Raises:
            BrokerUnavailableError: it did not, in time; the message may or may not arrive.
        """

    async def check(self) -> None:
        """Return when the broker answers.

        Raises:
            BrokerUnavailableError: it does not; the text says why.
        """

    def close(self) -> None:
        """Stop publishing; what still waits fails with BrokerUnavailableError."""


def queue_name(kind: str) -> str:
    """Return the queue of a kind of job. A kind has one queue, and one actor by the kind's own name."""
    return f"hub.{kind}"


def job_message(kind: str, job_id: UUID) -> dramatiq.Message[Any]:
    """Build the message by name, so that whoever publishes never imports an actor."""
    return dramatiq.Message(
        queue_name=queue_name(kind),
        actor_name=kind,
        args=(),
        kwargs={"job_id": str(job_id)},
        options={},
    )
