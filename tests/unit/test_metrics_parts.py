"""Who may see the numbers, how they are added up, and what is said of the machine."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from litestar.types import Scope

from actors.metrics import Reporter
from actors.worker import note_given_up
from hub.core import metrics
from hub.core.errors import HubError
from hub.core.machine import Memory, memory
from hub.core.settings import Settings
from hub.domain.monitoring import readings
from hub.domain.monitoring.counts import Count, Gathered, added, totals
from hub.web.metrics import Exposition

TOKEN = "1f0c" * 8


def scope(peer: str, **headers: str) -> Scope:
    """Return the scope of a request."""
    found: dict[str, Any] = {
        "type": "http",
        "client": (peer, 5000),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    return cast("Scope", found)


def answer(asked: Scope, **settings: Any) -> int:
    """Return the status that a request gets."""
    try:
        Exposition(Settings(**settings), gathers=False).require_leave(asked)
    except HubError as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (200, scope("127.0.0.1")),
        (200, scope("127.8.9.1")),
        (200, scope("::1")),
        (200, scope("::ffff:127.0.0.1")),
        (403, scope("192.0.2.7")),
        (403, scope("fd00::1")),
        (403, scope("not an address")),
        (403, scope("127.0.0.1", x_forwarded_for="198.51.100.1")),
        (403, scope("127.0.0.1", x_forwarded_for="127.0.0.1")),
        (403, scope("127.0.0.1", forwarded="for=198.51.100.1")),
        (403, scope("127.0.0.1", x_real_ip="198.51.100.1")),
        (403, scope("127.0.0.1", x_forwarded_proto="https")),
        (403, scope("127.0.0.1", cf_connecting_ip="198.51.100.1")),
        (403, scope("192.0.2.7", x_forwarded_for="127.0.0.1")),
        (403, scope("192.0.2.7", authorization=f"Bearer {TOKEN}")),
    ],
)
def test_without_a_token_only_this_machine_may_ask_and_no_proxy_on_it(status: int, asked: Scope) -> None:
    assert answer(asked) == status


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (200, scope("127.0.0.1")),
        (403, scope("127.0.0.1", x_forwarded_for="198.51.100.1")),
        (403, scope("127.0.0.1", x_forwarded_for="127.0.0.1, 198.51.100.1")),
        (403, scope("127.0.0.1", x_forwarded_for="unknown")),
        (403, scope("127.0.0.1", forwarded="for=127.0.0.1")),
        (200, scope("127.0.0.1", x_forwarded_for="127.0.0.1")),
        (403, scope("10.0.0.2")),
        (403, scope("10.0.0.2", x_forwarded_for="127.0.0.1")),
        (403, scope("127.0.0.1", x_forwarded_for="198.51.100.1, 127.0.0.1")),
        (403, scope("10.0.0.3", x_forwarded_for="127.0.0.1")),
    ],
)
def test_behind_a_trusted_proxy_the_client_itself_counts(status: int, asked: Scope) -> None:
    assert answer(asked, trusted_proxies=("127.0.0.1/32", "10.0.0.2/32")) == status


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {"authorization": f"Bearer {TOKEN}"}),
        (200, {"authorization": f"bearer {TOKEN}", "x_forwarded_for": "198.51.100.1"}),
        (401, {}),
        (401, {"authorization": f"Bearer {TOKEN}0"}),
        (401, {"authorization": f"Bearer {TOKEN[:-1]}"}),
        (401, {"authorization": "Bearer"}),
        (401, {"authorization": TOKEN}),
        (401, {"authorization": f"Basic {TOKEN}"}),
        (401, {"authorization": "Bearer tökén"}),
    ],
)
def test_with_a_token_whoever_has_it_may_ask(status: int, headers: dict[str, str]) -> None:
    assert answer(scope("192.0.2.7", **headers), metrics_token=TOKEN) == status


def value(gathered: Gathered, name: str, **labels: str) -> float:
    """Return one sample's value."""
    (found,) = [
        sample.value
        for family in gathered.collect()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return found


def test_counts_of_others_come_on_top_of_the_own() -> None:
    gathered, before = Gathered(), totals()
    own = value(gathered, "hub_responses_total", status="failed")
    metrics.RESPONSES.labels("failed").inc(2)
    metrics.QUEUE_WAIT.labels("reply").observe(0.3)
    counts = added(before, totals())
    bucket = Count("hub_queue_wait_seconds_bucket", {"kind": "reply", "le": "0.5"}, 1.0)
    assert Count("hub_responses_total", {"status": "failed"}, 2.0) in counts
    assert bucket in counts
    assert not [each for each in counts if each.labels.get("le") == "0.25"]
    waits = value(gathered, bucket.sample, **bucket.labels)
    for _ in range(2):
        gathered.add(counts)
    assert value(gathered, "hub_responses_total", status="failed") == own + 6
    assert value(gathered, bucket.sample, **bucket.labels) == waits + 2


def test_counts_of_another_version_are_left_out() -> None:
    gathered, codes = Gathered(), {"code": "llm_of_tomorrow"}
    gathered.add(
        [
            Count("hub_of_tomorrow_total", {}, 1.0),
            Count("hub_responses_total", {"state": "completed"}, 1.0),
            Count("hub_llm_failures_total", codes, 3.0),
        ]
    )
    names = {sample.name for family in gathered.collect() for sample in family.samples}
    assert "hub_of_tomorrow_total" not in names
    assert value(gathered, "hub_llm_failures_total", **codes) == 3


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("reply", "hub_responses_total"),
        ("completion", "hub_responses_total"),
        ("image", "hub_images_total"),
        ("webhook", "hub_webhook_deliveries_total"),
        ("scene", None),
    ],
)
def test_a_job_whose_workers_died_has_failed(kind: str, family: str | None) -> None:
    before = totals()
    note_given_up(kind)
    expected = [Count(family, {"status": "failed"}, 1.0)] if family else []
    assert added(before, totals()) == expected


def test_observations_take_what_servers_say() -> None:
    metrics.note_usage(-1, -1, 0.0)
    metrics.note_request("BREW\n", None, 0, 0.1)
    metrics.note_stored_image(original_bytes=10, stored_bytes=20)


async def test_a_database_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, looks = asyncio.Event(), 0

    async def hang(**_: object) -> float:
        """Answer late, and take as long to be cancelled: a server that is silent is asked to stop, first."""
        nonlocal looks
        looks += 1
        with suppress(asyncio.CancelledError):
            await answers.wait()
        await answers.wait()
        return 1.0

    async def nothing() -> dict[tuple[str, str], int]:
        return {}

    monkeypatch.setattr(readings, "WITHIN", 0.05)
    monkeypatch.setattr("hub.jobs.queue.lag", hang)
    monkeypatch.setattr("hub.jobs.overview.unfinished", nothing)
    settings = Settings()
    async with asyncio.timeout(5):
        assert await readings.refresh(settings) is False
        assert await readings.refresh(settings) is False
        assert looks == 1, "one look hangs, not one for each who asks"
        answers.set()
        while not await readings.refresh(settings):
            pass
    assert looks == 2
    assert value(Gathered(), "hub_relay_lag_seconds") == 1.0


async def test_a_worker_does_not_stay_for_its_last_report(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("hub.domain.monitoring.reports.hand_in", hang)
    monkeypatch.setattr("actors.metrics.LAST_WITHIN", 0.05)
    reporter = Reporter()
    metrics.RESPONSES.labels("failed").inc()
    async with asyncio.timeout(5):
        await reporter.stop()


MEMINFO = "MemTotal:       8000 kB\nMemFree:  10 kB\nMemAvailable:   6000 kB\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, Memory(2000 * 1024, 8000 * 1024)),
        (
            {
                "proc/self/cgroup": "0::/",
                "sys/fs/cgroup/memory.max": "1000",
                "sys/fs/cgroup/memory.current": "700",
                "sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 200",
            },
            Memory(500, 1000),
        ),
        (
            {
                "proc/self/cgroup": "0::/system.slice/hub.service",
                "sys/fs/cgroup/system.slice/hub.service/memory.max": "max",
                "sys/fs/cgroup/system.slice/hub.service/memory.current": "700",
                "sys/fs/cgroup/system.slice/hub.service/memory.stat": "",
            },
            Memory(2000 * 1024, 8000 * 1024),
        ),
        (
            {
                "proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/1f",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "700",
                "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 100",
            },
            Memory(600, 1000),
        ),
        ({"proc/meminfo": "nothing"}, None),
    ],
    ids=["machine", "container", "service without limit", "first version", "not told"],
)
def test_memory_is_the_containers_or_else_the_machines(
    tmp_path: Path, files: dict[str, str], expected: Memory | None
) -> None:
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory(tmp_path) == expected
