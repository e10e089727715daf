"""The bus: what one process publishes reaches the subscribers of every process, once each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from hub.core.ids import new_id
from hub.live.bus import Bus
from hub.live.events import Changed, ConversationEvent, Delta
from tests.services.waiting import eventually


class Follower:
    """A subscriber that remembers."""

    is_full = False

    def __init__(self) -> None:
        self.events: list[ConversationEvent] = []
        self.gaps = 0

    def on_event(self, event: ConversationEvent) -> None:
        self.events.append(event)

    def on_gap(self) -> None:
        self.gaps += 1


@pytest.fixture
async def buses(postgres: str) -> AsyncIterator[tuple[Bus, Bus]]:
    """Yield the buses of two processes."""
    async with AsyncExitStack() as stack:
        made = (Bus(postgres), Bus(postgres))
        for bus in made:
            stack.push_async_callback(bus.stop)
            await bus.start()
        yield made


def following(bus: Bus, conversation_id: UUID) -> Follower:
    follower = Follower()
    bus.subscribe(conversation_id, follower)
    return follower


async def test_an_event_reaches_the_own_process_at_once_and_the_others_through_the_database(
    buses: tuple[Bus, Bus],
) -> None:
    conversation_id = new_id()
    near, far = (following(bus, conversation_id) for bus in buses)
    event = Delta(conversation_id, new_id(), 1, 0, "Hello")
    buses[0].publish(event)
    assert near.events == [event]
    await eventually(lambda: far.events == [event])


async def test_an_event_comes_once_to_the_process_that_published_it(buses: tuple[Bus, Bus]) -> None:
    conversation_id = new_id()
    near, far = (following(bus, conversation_id) for bus in buses)
    first, second = Changed(conversation_id), Changed(conversation_id, new_id())
    buses[0].publish(first)
    buses[1].publish(second)  # what came back of the first has been heard by the time this one is
    await eventually(lambda: second in near.events and first in far.events)
    assert sorted(near.events, key=str) == sorted(far.events, key=str) == sorted([first, second], key=str)


async def test_text_arrives_whole_and_in_order_however_it_is_gathered(buses: tuple[Bus, Bus]) -> None:
    conversation_id, response_id = new_id(), new_id()
    far = following(buses[1], conversation_id)
    words = [f"word{number} ☕ " for number in range(500)]
    offset = 0
    for word in words:
        buses[0].publish(Delta(conversation_id, response_id, 1, offset, word))
        offset += len(word)
    told = "".join(words)

    def heard() -> str:
        return "".join(event.text for event in far.events if isinstance(event, Delta))

    await eventually(lambda: heard() == told)
    assert len(far.events) < len(words)


async def test_a_long_text_comes_in_pieces_that_fit_the_database(buses: tuple[Bus, Bus]) -> None:
    conversation_id, response_id = new_id(), new_id()
    far = following(buses[1], conversation_id)
    text = "☕" * 20_000
    buses[0].publish(Delta(conversation_id, response_id, 1, 0, text))

    def heard() -> str:
        return "".join(event.text for event in far.events if isinstance(event, Delta))

    await eventually(lambda: heard() == text)


async def test_a_full_subscriber_is_told_of_no_text_but_of_all_else(buses: tuple[Bus, Bus]) -> None:
    conversation_id = new_id()
    full, ready = (following(buses[0], conversation_id) for _ in range(2))
    full.is_full = True
    text, change = Delta(conversation_id, new_id(), 1, 0, "Hello"), Changed(conversation_id)
    buses[0].publish(text)
    buses[0].publish(change)
    assert (full.events, ready.events) == ([change], [text, change])
