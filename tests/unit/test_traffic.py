"""Sockets and frames of a user, counted in one process."""

from __future__ import annotations

from uuid import UUID

from hub.core.settings import Settings
from hub.web.traffic import WINDOW, Traffic

ADA, BEN = UUID(int=1), UUID(int=2)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_frames_are_counted_for_a_minute_from_the_first() -> None:
    clock = Clock()
    traffic = Traffic(Settings(frames_per_minute=2), clock=clock)
    assert [traffic.count_frame(ADA) for _ in range(2)] == [None, None]
    clock.now += 19.5
    assert traffic.count_frame(ADA) == 41
    assert traffic.count_frame(BEN) is None
    clock.now += WINDOW - 20
    assert traffic.count_frame(ADA) == 1
    clock.now += 0.5
    assert [traffic.count_frame(ADA) for _ in range(3)] == [None, None, 60]


def test_a_window_stays_while_others_come_and_go() -> None:
    clock = Clock()
    traffic = Traffic(Settings(frames_per_minute=1), clock=clock)
    for number in range(2000):
        assert traffic.count_frame(UUID(int=number + 10)) is None
    clock.now += WINDOW - 1
    assert traffic.count_frame(ADA) is None
    clock.now += 1
    for number in range(2000):
        assert traffic.count_frame(UUID(int=number + 10)) is None
    assert traffic.count_frame(ADA) == WINDOW - 1


def test_a_place_comes_free_when_a_socket_leaves() -> None:
    traffic = Traffic(Settings(sockets_per_user=2))
    assert [traffic.enter(ADA) for _ in range(3)] == [True, True, False]
    assert traffic.enter(BEN)
    traffic.leave(ADA)
    assert [traffic.enter(ADA) for _ in range(2)] == [True, False]


def test_nothing_is_counted_where_limits_are_off() -> None:
    traffic = Traffic(Settings(limits=False, sockets_per_user=1, frames_per_minute=1))
    assert all(traffic.enter(ADA) for _ in range(9))
    assert [traffic.count_frame(ADA) for _ in range(9)] == [None] * 9
