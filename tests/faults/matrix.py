"""Every step boundary of a turn x {crash, error, hang}, on both brokers."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cluster import Cluster
from tests.faults.failpoints import Action
from tests.faults.points import AFTER, BEFORE, FIRST
from tests.faults.turn import Case, Turn
from tests.services.fixtures import new_database

_CASE_SECONDS = 90.0
ACTIONS = (Action.CRASH, Action.ERROR, Action.HANG)
_BOTH = (BEFORE, AFTER)

# Scenario -> the points it goes through and their sides. Those of the first table lie in a client's
# request, those of the second in work that nobody's request waits for.
_ASKED: dict[str, dict[str, Sequence[str]]] = {
    "send": {
        "ChatService.send": _BOTH,
        "queries.store_message": _BOTH,
        "Relay.ring": _BOTH,
        "RabbitmqPublisher.publish": _BOTH,
        "RabbitmqPublisher._send": _BOTH,
        "InProcessPublisher.publish": _BOTH,
        "Bus.publish": _BOTH,
    },
    "send with key": {
        "idempotency.recall": (BEFORE,),
        "ChatService.send": _BOTH,
        "queries.store_message": _BOTH,
        "idempotency.remember": _BOTH,
        "ChatService.send.commit": _BOTH,
    },
    "cancel": {
        "ChatService.cancel": _BOTH,
        "queries.job_of": (AFTER,),
        "store.cancel": _BOTH,
        "queries.cancel_response": _BOTH,
        "ChatService.cancel.commit": _BOTH,
        "ChatService._stop_worker": _BOTH,
    },
    "ask again": {
        "ChatService.retry": _BOTH,
        "queries.requeue_response": _BOTH,
        "store.insert": _BOTH,
        "ChatService.retry.commit": _BOTH,
        "Relay.ring": _BOTH,
    },
}
_UNASKED: dict[str, dict[str, Sequence[str]]] = {
    "send unheard": {"store.take_due": (AFTER,)},
    "send with key": {
        "store.stamp": _BOTH,
        "turns.begin": _BOTH,
        "OpenAICompatible.stream": (BEFORE, FIRST, AFTER),
        "turns.complete": _BOTH,
        "store.complete": _BOTH,
        "turns.complete.commit": _BOTH,
        "Relay.ring_next": _BOTH,
    },
    "send long": {"turns.save": _BOTH, "store.heartbeat": _BOTH},
    "retry later": {
        "turns.retry_later": _BOTH,
        "store.retry_later": _BOTH,
        "turns.retry_later.commit": _BOTH,
        "Relay.ring_later": _BOTH,
    },
    "fail": {"turns.fail": _BOTH, "store.fail": _BOTH, "turns.fail.commit": _BOTH},
    "release": {"turns.release": _BOTH, "store.release": _BOTH, "turns.release.commit": _BOTH},
    "rescue": {"turns.rescue": _BOTH, "store.rescue": _BOTH, "turns.rescue.commit": _BOTH},
    "cancel": {"turns.keep": _BOTH},
}
_ELSEWHERE = {"rabbitmq": "InProcessPublisher.", "in-process": "RabbitmqPublisher."}


@dataclass
class Result:
    """How a run went."""

    cases: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)


def all_cases(broker: str) -> list[Case]:
    """Return every case that there is on a broker."""
    return [
        Case(point, side, action, scenario, asked)
        for table, asked in ((_ASKED, True), (_UNASKED, False))
        for scenario, points in table.items()
        for point, sides in points.items()
        if not point.startswith(_ELSEWHERE[broker])
        for side in sides
        for action in ACTIONS
    ]


async def run_cases(
    clusters: Sequence[Cluster], cases: Sequence[Case], *, progress: Callable[[str], None]
) -> Result:
    """Run cases on clusters, one at a time on each; a case that fails does not stop the others."""
    waiting, result, began = deque(cases), Result(), time.monotonic()

    async def work(cluster: Cluster) -> None:
        while waiting:
            case = waiting.popleft()
            started = time.monotonic()
            failure = await _run_case(cluster, case)
            result.cases += 1
            seconds = time.monotonic() - started
            verdict = "FAILED" if failure else "ok"
            progress(f"{result.cases}/{len(cases)} {cluster.broker}, {case}: {verdict} ({seconds:.1f} s)")
            if failure:
                result.failures.append(f"{cluster.broker}, {case}\n{failure}")

    await asyncio.gather(*(work(cluster) for cluster in clusters))
    result.seconds = time.monotonic() - began
    return result


async def _run_case(cluster: Cluster, case: Case) -> str | None:
    try:
        async with asyncio.timeout(_CASE_SECONDS):
            await cluster.whole()
            cluster.failpoints.clear()
            await Turn(cluster, case).run()
    except Exception:  # noqa: BLE001 - reported with the others
        return f"{traceback.format_exc()}\n{cluster.output()}"
    return None
