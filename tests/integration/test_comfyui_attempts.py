"""ComfyUI across attempts: a ticket finds the work again, cancelling stops it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from hub.providers.images.comfyui import ComfyUI
from hub.providers.images.protocol import Picture
from tests.fakes.comfyui import OUT_OF_MEMORY, PNG, SAVED, Answer, FakeComfyUI, Run
from tests.services.comfyui import ORDER, failed, server_at
from tests.services.image_servers import Told


@pytest.fixture
async def fake() -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as server:
        yield server


async def lost_sight(fake: FakeComfyUI, server: ComfyUI, heard: Told) -> None:
    """An attempt that fails after it has asked for the work."""
    fake.instead["/history"] = [Answer(403)]
    await failed(server.make(ORDER, progress=heard.progress))
    fake.instead.clear()


async def test_finished_work_is_only_fetched(fake: FakeComfyUI) -> None:
    first, second = Told(), Told()
    fake.always["/view"] = Answer(503)
    async with server_at(fake.url) as server:
        await failed(server.make(ORDER, progress=first.progress))
        del fake.always["/view"]
        picture = await server.make(ORDER, progress=second.progress, ticket=first.tickets[-1])
    assert picture.content == PNG
    assert (len(fake.made), second.tickets) == (1, [])


async def test_work_whose_answer_got_lost_is_found_again(fake: FakeComfyUI) -> None:
    heard = Told()
    fake.loses_next_answer = True
    async with server_at(fake.url) as server:
        error = await failed(server.make(ORDER, progress=heard.progress))
        picture = await server.make(ORDER, progress=heard.progress, ticket=heard.tickets[0])
    assert error.transient
    assert picture.content == PNG
    assert (len(fake.made), fake.count("/prompt")) == (1, 1)


async def test_work_that_still_runs_is_followed(fake: FakeComfyUI) -> None:
    go_on = asyncio.Event()
    fake.runs.append(Run(halfway=go_on))
    first, second = Told(), Told()
    async with server_at(fake.url, poll=60) as server:
        await lost_sight(fake, server, first)
        looks = fake.count("/history")
        making = asyncio.create_task(server.make(ORDER, progress=second.progress, ticket=first.tickets[-1]))
        await fake.wait_for("/history", looks + 2)
        go_on.set()
        assert (await making).content == PNG
    assert len(fake.made) == 1
    assert len(second.shares) > 2  # the server tells it to the client of the first attempt


async def test_without_a_queue_to_look_into_the_history_tells(fake: FakeComfyUI) -> None:
    fake.always["/queue"] = Answer(404)
    go_on = asyncio.Event()
    fake.runs.append(Run(halfway=go_on))
    heard = Told()
    async with server_at(fake.url) as server:
        making = asyncio.create_task(server.make(ORDER, progress=heard.progress))
        await fake.wait_for("/queue")
        again = asyncio.create_task(server.make(ORDER, progress=Told().progress, ticket=heard.tickets[-1]))
        await fake.wait_for("/queue", 3)
        go_on.set()
        assert [(await each).content for each in (making, again)] == [PNG, PNG]
    assert len(fake.made) == 1


async def test_work_that_still_waits_is_waited_for(fake: FakeComfyUI) -> None:
    go_on = asyncio.Event()
    fake.runs.append(Run(halfway=go_on))
    waiting = Told()
    async with server_at(fake.url) as server:
        other = asyncio.create_task(server.make(ORDER, progress=Told().progress))
        await fake.wait_until_running()
        await fake.wait_for("/history")
        await lost_sight(fake, server, waiting)
        assert [work.prompt_id for work in fake.pending] == waiting.tickets
        again = asyncio.create_task(server.make(ORDER, progress=waiting.progress, ticket=waiting.tickets[-1]))
        await fake.wait_for_sockets(3)
        go_on.set()
        assert [(await task).content for task in (other, again)] == [PNG, PNG]
    assert len(fake.made) == 2


@pytest.mark.parametrize("run", [Run(error=OUT_OF_MEMORY), Run(images=())])
async def test_work_that_went_wrong_is_asked_for_anew(fake: FakeComfyUI, run: Run) -> None:
    fake.runs.append(run)
    heard = Told()
    async with server_at(fake.url) as server:
        await failed(server.make(ORDER, progress=heard.progress))
        await fake.wait_until(lambda: fake.running is None)  # the socket tells of it a moment before
        picture = await server.make(ORDER, progress=heard.progress, ticket=heard.tickets[-1])
    assert picture.content == PNG
    assert heard.tickets == [work.prompt_id for work in fake.made]
    assert len(fake.made) == 2


@pytest.mark.parametrize("ticket", ["b1946ac9-0000-4000-8000-000000000000", "../queue", "what?ever", "ö"])
async def test_a_ticket_that_the_server_does_not_know(fake: FakeComfyUI, ticket: str) -> None:
    async with server_at(fake.url) as server:
        picture = await server.make(ORDER, progress=Told().progress, ticket=ticket)
    assert picture.content == PNG
    assert len(fake.made) == 1


async def test_finished_work_whose_file_is_gone_is_asked_for_anew(fake: FakeComfyUI) -> None:
    fake.runs.append(Run(images=({**SAVED[0], "filename": "gone.png"},)))
    heard = Told()
    async with server_at(fake.url) as server:
        await failed(server.make(ORDER, progress=heard.progress))
        picture = await server.make(ORDER, progress=heard.progress, ticket=heard.tickets[-1])
    assert picture.content == PNG


async def cancelled(making: asyncio.Task[Picture]) -> None:
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making


async def test_cancelling_work_that_runs_interrupts_it(fake: FakeComfyUI) -> None:
    fake.runs.append(Run(halfway=asyncio.Event()))
    heard = Told()
    async with server_at(fake.url) as server:
        making = asyncio.create_task(server.make(ORDER, progress=heard.progress))
        await heard.wait_for_share(0.4)
        await cancelled(making)
        assert fake.bodies("/interrupt") == [{"prompt_id": heard.tickets[-1]}]
        assert (await server.make(ORDER, progress=Told().progress)).content == PNG


async def test_work_that_another_attempt_will_follow_goes_on(fake: FakeComfyUI) -> None:
    go_on = asyncio.Event()
    fake.runs.append(Run(halfway=go_on))
    heard = Told()
    async with server_at(fake.url) as server:
        making = asyncio.create_task(
            server.make(ORDER, progress=replace(heard.progress, hands_over=lambda: True))
        )
        await heard.wait_for_share(0.4)
        await cancelled(making)
        go_on.set()
        again = await server.make(ORDER, progress=Told().progress, ticket=heard.tickets[-1])
    assert again.content == PNG
    assert (len(fake.made), fake.count("/interrupt")) == (1, 0)


async def test_cancelling_work_that_waits_leaves_the_running_one_alone(fake: FakeComfyUI) -> None:
    go_on = asyncio.Event()
    fake.runs.append(Run(halfway=go_on))
    async with server_at(fake.url) as server:
        other = asyncio.create_task(server.make(ORDER, progress=Told().progress))
        await fake.wait_until_running()
        making = asyncio.create_task(server.make(ORDER, progress=Told().progress))
        await fake.wait_for("/prompt", 2)
        await cancelled(making)
        assert (len(fake.pending), fake.count("/interrupt")) == (0, 0)
        go_on.set()
        assert (await other).content == PNG


async def test_cancelling_does_not_wait_for_a_server_that_hangs(
    fake: FakeComfyUI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.providers.images.comfyui._STOP_SECONDS", 0.1)
    fake.runs.append(Run(halfway=asyncio.Event()))
    fake.always["/queue"] = Answer(0)
    heard = Told()
    async with server_at(fake.url) as server:
        making = asyncio.create_task(server.make(ORDER, progress=heard.progress))
        await heard.wait_for_share(0.4)
        async with asyncio.timeout(5):
            await cancelled(making)
