"""Actors that only note when they start: one run by the hub's runtime, one by Celery.

``python -m bench.started URL KIND FILE`` runs the hub's; ``celery --app bench.started worker`` runs Celery's,
with the address in BENCH_BROKER_URL and the file in BENCH_STARTED. Both write a line for each call, "sent
started", in nanoseconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from uuid import UUID

import uvloop
from celery import Celery

from actors.runtime import ActorRuntime, declare_actor
from hub.jobs.broker import make_broker

TASK = "bench.note"


def celery_app(url: str) -> Celery:
    """Return a Celery with the hub's promises: confirmed persistent messages, acknowledged when done."""
    app = Celery("bench", broker=url)
    app.conf.update(
        broker_transport_options={"confirm_publish": True},
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        task_ignore_result=True,
        worker_send_task_events=False,
    )
    return app


app = celery_app(os.environ.get("BENCH_BROKER_URL", "memory://"))


@app.task(name=TASK)  # type: ignore[untyped-decorator] # celery ships no types
def note(sent: int) -> None:
    """Write down when this started."""
    _write(sent, time.monotonic_ns())


async def _actor(job_id: UUID) -> None:
    started = time.monotonic_ns()
    _write(job_id.int, started)


def _write(sent: int, started: int) -> None:
    target = os.open(os.environ["BENCH_STARTED"], os.O_WRONLY | os.O_APPEND)
    os.write(target, f"{sent} {started}\n".encode())
    os.close(target)


async def _run(url: str, kind: str) -> None:
    broker = make_broker(url)
    declare_actor(broker, _actor, kind=kind)
    ActorRuntime(broker, asyncio.get_running_loop()).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Run the hub's actor until killed; print that it is ready first."""
    url, kind, os.environ["BENCH_STARTED"] = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(url, kind))


if __name__ == "__main__":
    main()
