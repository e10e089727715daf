"""The breaker opens after calls in vain, lets one look now and then, and closes when somebody answers."""

from __future__ import annotations

import pytest

from hub.providers.http.breaker import Breaker, ServerDownError


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(threshold=3, pause=5.0, now=clock)


def is_let_through(breaker: Breaker) -> bool:
    try:
        breaker.enter()
    except ServerDownError:
        return False
    return True


def miss(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.enter()
        breaker.missed()


def test_it_opens_after_calls_in_vain_in_a_row(breaker: Breaker) -> None:
    miss(breaker, 2)
    assert is_let_through(breaker)
    miss(breaker, 1)
    assert breaker.is_open
    assert not is_let_through(breaker)


def test_an_answer_ends_the_row(breaker: Breaker) -> None:
    for _ in range(5):
        miss(breaker, 2)
        breaker.answered()
    assert is_let_through(breaker)


def test_after_the_pause_one_call_looks(breaker: Breaker, clock: Clock) -> None:
    miss(breaker, 3)
    clock.seconds += 4.9
    assert not is_let_through(breaker)
    clock.seconds += 0.1
    assert [is_let_through(breaker) for _ in range(3)] == [True, False, False]


def test_a_look_in_vain_keeps_it_open_for_another_pause(breaker: Breaker, clock: Clock) -> None:
    miss(breaker, 3)
    clock.seconds += 5
    breaker.enter()
    breaker.missed()
    assert not is_let_through(breaker)
    clock.seconds += 4.9
    assert not is_let_through(breaker)
    clock.seconds += 0.1
    assert is_let_through(breaker)


def test_an_answer_closes_it(breaker: Breaker, clock: Clock) -> None:
    miss(breaker, 3)
    clock.seconds += 5
    breaker.enter()
    breaker.answered()
    miss(breaker, 2)
    assert is_let_through(breaker)


def test_a_connection_lets_all_come_before_the_answer(breaker: Breaker, clock: Clock) -> None:
    miss(breaker, 3)
    clock.seconds += 5
    breaker.enter()
    breaker.connected()
    assert is_let_through(breaker)
    assert is_let_through(breaker)


def test_a_server_that_only_hangs_up_opens_it_again_at_once(breaker: Breaker, clock: Clock) -> None:
    miss(breaker, 3)
    clock.seconds += 5
    breaker.enter()
    breaker.connected()
    breaker.missed()
    assert not is_let_through(breaker)


def test_a_connection_alone_does_not_end_the_row(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.enter()
        breaker.connected()
        breaker.missed()
    assert not is_let_through(breaker)


def test_a_look_that_never_ends_holds_up_nobody(breaker: Breaker, clock: Clock) -> None:
    miss(breaker, 3)
    clock.seconds += 5
    assert is_let_through(breaker)  # and nothing is heard of it: cancelled, say
    assert not is_let_through(breaker)
    clock.seconds += 5
    assert is_let_through(breaker)


def test_calls_that_were_under_way_do_not_lengthen_the_pause(breaker: Breaker, clock: Clock) -> None:
    for _ in range(5):
        breaker.enter()
    for _ in range(3):
        breaker.missed()
    clock.seconds += 4
    breaker.missed()
    breaker.missed()
    clock.seconds += 1
    assert is_let_through(breaker)
