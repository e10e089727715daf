"""The queue between a broker's consumers and the threads that run jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty
from typing import Any

import pytest

from actors.runtime import WorkQueue


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_items_come_in_order() -> None:
    queue = WorkQueue()
    for item in (2, 1, 3):
        queue.put(item)
    assert [queue.get(timeout=1) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(Empty):
        queue.get_nowait()
    with pytest.raises(Empty):
        queue.get(timeout=0.001)


def test_who_waits_gets_what_comes() -> None:
    queue, got = WorkQueue(), list[Any]()
    thread = in_thread(lambda: got.append(queue.get(timeout=60)))
    queue.put("an item")
    thread.join(20)
    assert got == ["an item"]


def test_nobody_waits_at_a_closed_queue() -> None:
    queue, empty = WorkQueue(), threading.Barrier(4)

    def wait() -> None:
        with pytest.raises(Empty):
            queue.get(timeout=60)
        empty.wait(20)

    for _ in range(3):
        in_thread(wait)
    queue.close()
    empty.wait(20)
    queue.put("left")
    assert queue.get(timeout=60) == "left", "what is in it can still be taken"
