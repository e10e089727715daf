"""Every step boundary of a turn x {crash, error, hang}, on both brokers."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.cluster import Cluster
from tests.faults.failpoints import Action
from tests.faults.points import AFTER, BEFORE, FIRST
from tests.faults.scenarios import SCENARIOS
from tests.faults.turn import Case, Turn
from tests.services.fixtures import migrated_database

_CASE_SECONDS = 90.0
ACTIONS = (Action.CRASH, Action.ERROR, Action.HANG)
_BOTH = (BEFORE, AFTER)

# Scenario -> the points it goes through and their sides. Those of the first table lie in a client's
# request, those of the second in work that nobody's request waits for, those of the third around a reply's
# scene and picture.
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
    "send by socket": {
        "ChatService.send": _BOTH,
        "idempotency.remember": (AFTER,),
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
    "write anew": {"Responses.ask": (AFTER,), "Responses.ask.commit": _BOTH},
}
_UNASKED: dict[str, dict[str, Sequence[str]]] = {
    "send unheard": {"queue.take_due": (AFTER,)},
    "send with key": {
        "queue.stamp": _BOTH,
        "turns.begin": _BOTH,
        "OpenAICompatible.stream": (BEFORE, FIRST, AFTER),
        "turns.complete": _BOTH,
        "turn_queries.store_reply": _BOTH,
        "turns.complete.commit": _BOTH,
        "Relay.ring_next": _BOTH,
        "queue.next_after": _BOTH,
    },
    "send long": {"turns.save": _BOTH, "store.held": _BOTH, "store.heartbeat": _BOTH},
    "retry later": {
        "turns.retry_later": _BOTH,
        "store.retry_later": _BOTH,
        "turns.retry_later.commit": _BOTH,
        "Relay.ring_later": _BOTH,
    },
    "fail": {"turns.fail": _BOTH, "store.fail": _BOTH, "turns.fail.commit": _BOTH},
    "release": {"turns.release": _BOTH, "store.release": _BOTH, "turns.release.commit": _BOTH},
    "rescue": {"work.rescue": _BOTH, "store.rescue": _BOTH, "work.rescue.commit": _BOTH},
    "cancel": {"turns.keep": _BOTH},
    "write anew": {"turn_queries.store_rewritten": _BOTH, "turns.complete.commit": (AFTER,)},
}
_AROUND: dict[str, dict[str, Sequence[str]]] = {
    "paint": {
        "ReplyAttempt._read_scene": _BOTH,
        "queries.insert": _BOTH,
        "turns.complete.insert": _BOTH,
        "queries.record": _BOTH,
        "reading.begin": _BOTH,
        "SceneAttempt.work": _BOTH,
        "SceneAttempt.work.read": _BOTH,
        "reading.finish": _BOTH,
        "reading.finish.complete": _BOTH,
        "queries.amend": _BOTH,
        "queries.make_due": _BOTH,
        "reading.finish.commit": _BOTH,
        "queries.begin": _BOTH,
        "A1111.make": _BOTH,
        "ComfyUI.make": _BOTH,
        "queries.keep_ticket": _BOTH,
        "ImageService.store": _BOTH,
        "ImageService._place": _BOTH,
        "ImageService._record": _BOTH,
        "ImageAttempt._end": _BOTH,
        "queries.finish": _BOTH,
        "ImageService._record.commit": _BOTH,
    },
    "paint long": {"store.note_progress": _BOTH},
    "paint later": {"ImageAttempt._fail": _BOTH, "ImageAttempt._fail.retry_later": _BOTH},
    "paint in vain": {"ImageAttempt._fail": _BOTH, "ImageAttempt._fail.fail": _BOTH},
    "release picture": {"TaskAttempt._release": _BOTH, "TaskAttempt._release.release": _BOTH},
    "rescue picture": {"work.rescue": _BOTH, "store.rescue": _BOTH, "work.rescue.commit": _BOTH},
    "release reading": {"TaskAttempt._release": _BOTH, "TaskAttempt._release.release": _BOTH},
    "rescue reading": {"work.rescue": _BOTH},
}
#: The scenarios of the third table.
PAINTING = frozenset(_AROUND)
#: A short run goes through one of so many of their boundaries; odd, so that both sides come.
_ONE_OF = 7
#: Stands in the progress line of a case that failed.
FAILED = "FAILED"
BROKERS = ("rabbitmq", "in-process")
_ELSEWHERE = {
    "rabbitmq": ("InProcessPublisher.", "ComfyUI.", "queries.keep_ticket"),
    "in-process": ("RabbitmqPublisher.", "A1111."),
}


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
        for table, asked in ((_ASKED, True), (_UNASKED, False), (_AROUND, False))
        for scenario, points in table.items()
        for point, sides in points.items()
        if not point.startswith(_ELSEWHERE[broker])
        for side in sides
        for action in ACTIONS
    ]


def short_cases(broker: str) -> list[Case]:
    """Return cases that go through each boundary once on one broker, its action and broker in rotation.

    Of those around scenes and pictures, each of whose cases takes longer, it is one of a few.
    """
    boundaries: dict[tuple[str, str, str], None] = {}
    for name in BROKERS:
        boundaries |= {(each.scenario, each.point, each.side): None for each in all_cases(name)}
    talk = [each for each in boundaries if each[0] not in PAINTING]
    around = [each for each in boundaries if each[0] in PAINTING][::_ONE_OF]
    return [*_rotated(talk, broker), *_rotated(around, broker)]


def _rotated(boundaries: Sequence[tuple[str, str, str]], broker: str) -> list[Case]:
    chosen: list[Case] = []
    for number, boundary in enumerate(boundaries):
        homes = [name for name in BROKERS if not boundary[1].startswith(_ELSEWHERE[name])]
        if homes[number % len(homes)] == broker:
            action = ACTIONS[number % len(ACTIONS)]
            chosen += [
                each
                for each in all_cases(broker)
                if (each.scenario, each.point, each.side, each.action) == (*boundary, action)
            ]
    return chosen


def count_cases(*, full: bool) -> int:
    """Return how many cases :func:`run_matrix` has."""
    return sum(len(all_cases(broker) if full else short_cases(broker)) for broker in BROKERS)


async def run_matrix(
    *,
    full: bool,
    progress: Callable[[str], None],
    folder: Path,
    postgres: str,
    rabbitmq_url: str,
    clusters: int = 2,
) -> Result:
    """Run the matrix on both brokers at once.

    Args:
        full: every boundary with every action on both brokers, instead of each boundary once.
        progress: is told a line for each case.
        folder: where the hubs keep their files.
        postgres: address of a server on which databases may be made.
        rabbitmq_url: a RabbitMQ.
        clusters: how many cases run at a time, for each broker.
    """
    async with AsyncExitStack() as stack:

        async def start(broker: str, number: int) -> Cluster:
            return await stack.enter_async_context(
                Cluster(
                    folder / f"{broker}-{number}",
                    database=await migrated_database(postgres),
                    broker_url=rabbitmq_url if broker == "rabbitmq" else None,
                )
            )

        began = time.monotonic()
        started = await asyncio.gather(*(start(broker, at) for broker in BROKERS for at in range(clusters)))
        choose = all_cases if full else short_cases
        results = await asyncio.gather(
            *(
                run_cases(
                    [each for each in started if each.broker == broker], choose(broker), progress=progress
                )
                for broker in BROKERS
            )
        )
        return Result(
            cases=sum(each.cases for each in results),
            seconds=time.monotonic() - began,
            failures=[failure for each in results for failure in each.failures],
        )


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
            verdict = FAILED if failure else "ok"
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
            cluster.studio.clear()
            await Turn(cluster, case).run(SCENARIOS[case.scenario])
    except Exception:  # noqa: BLE001 - reported with the others
        return f"{traceback.format_exc()}\n{cluster.output()}"
    return None
