"""AUTOMATIC1111 and Forge: a real HTTP server with every fault that they have."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import time
from collections.abc import AsyncIterator

import pytest

from hub.providers.http.breaker import Breaker
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import open_pool
from hub.providers.images.a1111 import A1111
from hub.providers.images.options import Options
from hub.providers.images.protocol import ImageServerError, Picture
from tests.fakes.a1111 import (
    BROKEN,
    BUSY,
    GRID,
    HANG,
    HTML,
    INTERRUPT,
    INVALID,
    NO_API,
    NO_CREDIT,
    OUT_OF_MEMORY,
    PROGRESS,
    RESET,
    TXT2IMG,
    FakeA1111,
    answer,
    cut,
    cut_without_length,
    encoded,
    picture,
)
from tests.fakes.llm_script import End, Script, error, status
from tests.services.image_servers import OPTIONS, Told, failing, made, order

PICTURE = picture(64, 96, 42)


@pytest.fixture
async def fake() -> AsyncIterator[FakeA1111]:
    async with FakeA1111() as server:
        yield server


@contextlib.asynccontextmanager
async def server_at(
    url: str,
    *,
    key: str | None = None,
    options: Options = OPTIONS,
    seconds: float = 10,
    breaker: Breaker | None = None,
    stop_seconds: float = 0.2,
    max_bytes: int = 1_000_000,
) -> AsyncIterator[A1111]:
    endpoint = Endpoint.parse(url, key, whose="the image server's", basic=True)
    pool = open_pool()
    try:
        yield A1111(
            endpoint,
            pool,
            options=options,
            timeout=seconds,
            breaker=breaker or Breaker(),
            poll_seconds=0.02,
            stop_seconds=stop_seconds,
            max_bytes=max_bytes,
        )
    finally:
        await pool.aclose()


async def test_the_request_is_what_was_ordered(fake: FakeA1111) -> None:
    async with server_at(fake.url) as server:
        assert await made(server) == Picture(
            content=PICTURE, seed=42, model="usual", sampler="DPM++ 2M Karras", steps=28
        )
    (request,) = fake.at(TXT2IMG)
    assert "authorization" not in request.headers
    assert request.body == {
        "prompt": "a portrait 🫖",
        "negative_prompt": "blurry",
        "seed": 42,
        "width": 64,
        "height": 96,
        "steps": 28,
        "cfg_scale": 6.0,
        "batch_size": 1,
        "n_iter": 1,
        "send_images": True,
        "save_images": False,
        "sampler_name": "DPM++ 2M Karras",
    }


async def test_a_model_is_asked_for_and_stays_loaded(fake: FakeA1111) -> None:
    options = Options(model="anime.safetensors", steps=4, cfg_scale=1.5, sampler="")
    async with server_at(fake.url, options=options) as server:
        painted = await made(server)
    assert (painted.model, painted.steps, painted.sampler) == ("anime.safetensors", 4, "Euler")
    (body,) = fake.orders
    assert body["override_settings"] == {"sd_model_checkpoint": "anime.safetensors"}
    assert body["override_settings_restore_afterwards"] is False
    assert "sampler_name" not in body


@pytest.mark.parametrize(
    ("key", "header"),
    [
        ("ada:pass:word", "Basic " + base64.b64encode(b"ada:pass:word").decode()),
        ("sk-canary", "Bearer sk-canary"),
    ],
)
async def test_the_key_is_basic_or_bearer(fake: FakeA1111, key: str, header: str) -> None:
    fake.key = header
    async with server_at(fake.url, key=key) as server:
        await made(server)
        await server.check()
    async with server_at(fake.url, key="wrong-canary") as server:
        refused = await failing(server)
    assert (refused.code, refused.transient) == ("image_refused_key", False)
    assert "canary" not in f"{refused} {refused.detail}"


ENCODED = encoded(PICTURE)
INFO = {"seed": 7, "sampler_name": "Euler a", "steps": 20, "sd_model_name": "dream\x00shaper"}
GRID_FIRST = {"index_of_first_image": 1, "seed": 42}
GOOD: dict[str, tuple[Script, tuple[int, str, str, int]]] = {
    "what it really did": (answer([ENCODED], INFO), (7, "dreamshaper", "Euler a", 20)),
    "a scheduler kept to itself": (
        answer([ENCODED], INFO | {"sampler_name": "DPM++ 2M"}),
        (7, "dreamshaper", "DPM++ 2M Karras", 20),
    ),
    "a data URL": (
        answer([f"data:image/png;base64,{ENCODED}"], INFO),
        (7, "dreamshaper", "Euler a", 20),
    ),
    "the grid first": (
        answer([encoded(GRID), ENCODED], GRID_FIRST),
        (42, "", "DPM++ 2M Karras", 28),
    ),
    "no grid after all": (answer([ENCODED], GRID_FIRST), (42, "", "DPM++ 2M Karras", 28)),
    "no info": (answer([ENCODED]), (42, "", "DPM++ 2M Karras", 28)),
    "broken info": (answer([ENCODED], '{"seed": 7,'), (42, "", "DPM++ 2M Karras", 28)),
    "info of wrong types": (
        answer([ENCODED], {"seed": -1, "steps": True, "sampler_name": 5, "sd_model_name": None}),
        (42, "", "DPM++ 2M Karras", 28),
    ),
    "info that is a list": (answer([ENCODED], "[1]"), (42, "", "DPM++ 2M Karras", 28)),
    "info as an object": (
        status(200, {"images": [ENCODED], "info": {"seed": 9}}),
        (9, "", "DPM++ 2M Karras", 28),
    ),
    "a seed that is too large": (
        answer([ENCODED], {"seed": 2**70}),
        (42, "", "DPM++ 2M Karras", 28),
    ),
    "base64 in lines, unpadded": (
        answer(["\n".join(ENCODED[at : at + 76] for at in range(0, len(ENCODED), 76)).rstrip("=")]),
        (42, "", "DPM++ 2M Karras", 28),
    ),
}


@pytest.mark.parametrize("case", GOOD)
async def test_good_answers(fake: FakeA1111, case: str) -> None:
    script, (seed, model, sampler, steps) = GOOD[case]
    fake.script(script)
    async with server_at(fake.url) as server:
        painted = await made(server)
    assert painted == Picture(content=PICTURE, seed=seed, model=model, sampler=sampler, steps=steps)


FAULTS: dict[str, tuple[Script, str, bool]] = {
    "401": (status(401, {"detail": "Not authenticated"}), "image_refused_key", False),
    "403": (status(403, "no"), "image_forbidden", False),
    "without --api": (NO_API, "image_not_found", False),
    "422": (INVALID, "image_bad_request", False),
    "400": (error(400, "bad"), "image_bad_request", False),
    "429 for its rate": (BUSY, "image_overloaded", True),
    "429 for its quota": (NO_CREDIT, "image_quota", False),
    "402": (status(402, "pay"), "image_quota", False),
    "408": (status(408, ""), "image_timeout", True),
    "out of memory": (OUT_OF_MEMORY, "image_out_of_memory", True),
    "500": (BROKEN, "image_server_error", True),
    "502 as HTML": (status(502, "<html>Bad gateway</html>"), "image_server_error", True),
    "503": (status(503, ""), "image_overloaded", True),
    "504": (status(504, ""), "image_timeout", True),
    "a redirect": (status(302, "", headers={"Location": "http://127.0.0.1:9/"}), "image_redirected", False),
    "204": (status(204, ""), "image_bad_answer", False),
    "no images": (answer(None), "image_empty", False),
    "an empty list": (answer([]), "image_empty", False),
    "a null in it": (answer([None]), "image_empty", False),
    "an empty text in it": (answer([""]), "image_empty", False),
    "HTML": (HTML, "image_bad_answer", False),
    "another JSON": (status(200, "[1, 2]"), "image_bad_answer", False),
    "images of another type": (answer("x"), "image_bad_answer", False),
    "deep JSON": (status(200, "[" * 50_000), "image_bad_answer", False),
    "broken base64": (answer([ENCODED[:-30] + "!!!!"]), "image_bad_answer", False),
    "text beyond ASCII": (answer(["Bücher"]), "image_bad_answer", False),
    "another file": (answer([encoded(b"<svg/>")]), "image_bad_answer", False),
    "cut in the body": (cut(), "image_truncated", True),
    "cut, and no length": (cut_without_length(), "image_truncated", True),
    "closed": (RESET, "image_unreachable", True),
    "hangs": (HANG, "image_timeout", True),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_faults(fake: FakeA1111, case: str) -> None:
    script, code, transient = FAULTS[case]
    fake.script(script)
    async with server_at(fake.url, seconds=0.2 if case == "hangs" else 10) as server:
        failed = await failing(server)
        assert (failed.code, failed.transient) == (code, transient)
        assert str(failed) == failed.message
        assert (await made(server)).content == PICTURE  # the next is not harmed
    assert fake.overlaps == 0


async def test_the_servers_wish_is_passed_on(fake: FakeA1111) -> None:
    fake.script(BUSY)
    async with server_at(fake.url) as server:
        assert (await failing(server)).retry_after == 7


async def test_a_large_picture_arrives_whole(fake: FakeA1111) -> None:
    content = PICTURE + bytes(range(256)) * 2000
    fake.script(answer([encoded(content)], INFO))
    async with server_at(fake.url) as server:
        assert (await made(server)).content == content


async def test_an_answer_that_is_too_large_is_not_read(fake: FakeA1111) -> None:
    endless = Script(steps=[b"[" + b" " * 60_000, End.HANG], content_type="application/json")
    fake.script(endless)
    async with server_at(fake.url, max_bytes=50_000) as server:
        assert (await failing(server)).code == "image_bad_answer"
        await fake.wait_for(lambda: fake.disconnects == 1)


@pytest.mark.parametrize("code", [400, 404, 422])
async def test_a_sampler_is_split_for_servers_that_have_schedulers(fake: FakeA1111, code: int) -> None:
    fake.samplers, fake.sampler_status = frozenset({"DPM++ 2M"}), code
    async with server_at(fake.url) as server:
        assert (await made(server)).sampler == "DPM++ 2M Karras"
        await made(server)
    told = [(body.get("sampler_name"), body.get("scheduler")) for body in fake.orders]
    assert told == [("DPM++ 2M Karras", None), ("DPM++ 2M", "Karras"), ("DPM++ 2M", "Karras")]


async def test_an_unknown_sampler_is_left_to_the_server(fake: FakeA1111) -> None:
    fake.samplers = frozenset({"Euler"})
    async with server_at(fake.url) as server:
        assert (await made(server)).sampler == "Euler"
        await made(server)
    assert [body.get("sampler_name") for body in fake.orders] == ["DPM++ 2M Karras", "DPM++ 2M", None, None]


async def test_another_refusal_is_not_about_samplers(fake: FakeA1111) -> None:
    fake.script(NO_API)
    async with server_at(fake.url) as server:
        await failing(server)
        assert len(fake.orders) == 1
        await made(server)
    assert fake.orders[1]["sampler_name"] == "DPM++ 2M Karras"  # nothing was learned


def _polled(fake: FakeA1111, times: int) -> bool:
    return len(fake.at(PROGRESS)) >= times


async def test_progress_is_told_while_it_works(fake: FakeA1111) -> None:
    fake.held = True
    told = Told()
    async with server_at(fake.url) as server:
        making = asyncio.ensure_future(server.make(order(), progress=told.progress))
        await fake.wait_for(lambda: fake.working)
        for share in (0.25, 0.1, 0.5, 1.5):  # never backwards, never beyond the end
            fake.progress = share
            if share != 0.1:
                await told.wait_for_share(min(share, 1.0))
            else:
                asked = len(fake.at(PROGRESS))
                await fake.wait_for(functools.partial(_polled, fake, asked + 2))
        fake.finish()
        await making
    assert told.shares == [0.25, 0.5, 1.0]
    assert told.tickets == []
    assert all(request.query == "skip_current_image=true" for request in fake.at(PROGRESS))
    assert fake.overlaps == 0


@pytest.mark.parametrize("script", [BROKEN, HTML, RESET, status(200, {"progress": "x"}), status(200, "[[")])
async def test_progress_that_fails_does_not_matter(fake: FakeA1111, script: Script) -> None:
    fake.held = True
    fake.answers[PROGRESS] = script
    told = Told()
    async with server_at(fake.url) as server:
        making = asyncio.ensure_future(server.make(order(), progress=told.progress))
        await fake.wait_for(lambda: len(fake.at(PROGRESS)) >= 3)
        fake.finish()
        assert (await making).content == PICTURE
    assert told.shares == []


async def test_progress_is_not_asked_for_once_the_picture_is_there(fake: FakeA1111) -> None:
    fake.held = True
    fake.answers[PROGRESS] = HANG
    async with server_at(fake.url) as server:
        making = asyncio.ensure_future(made(server))
        await fake.wait_for(lambda: len(fake.at(PROGRESS)) == 1)
        fake.finish()
        await making
        await fake.wait_for(lambda: fake.disconnects == 1)


async def test_cancelling_stops_the_server(fake: FakeA1111) -> None:
    fake.held, fake.stop_seconds = True, 0.1
    async with server_at(fake.url, stop_seconds=20) as server:
        making = asyncio.ensure_future(made(server))
        await fake.wait_for(lambda: fake.working)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert not fake.working  # the next call would overlap
        assert fake.interrupts == 1
        fake.held = False
        await made(server)
    assert fake.overlaps == 0


@pytest.mark.parametrize("script", [HANG, RESET, BROKEN])
async def test_a_server_that_does_not_stop_is_left(fake: FakeA1111, script: Script) -> None:
    fake.held = True
    fake.answers[INTERRUPT] = script
    async with server_at(fake.url, stop_seconds=0.2) as server:
        making = asyncio.ensure_future(made(server))
        await fake.wait_for(lambda: fake.working)
        making.cancel()
        cancelled = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert time.monotonic() - cancelled < 3
        await fake.wait_for(lambda: fake.disconnects >= 1)


async def test_a_picture_that_takes_too_long_is_stopped(fake: FakeA1111) -> None:
    fake.held = True
    async with server_at(fake.url, seconds=0.2, stop_seconds=5) as server:
        failed = await failing(server)
    assert (failed.code, failed.transient) == ("image_timeout", True)
    assert fake.interrupts == 1
    assert not fake.working


async def test_what_fails_by_itself_is_not_interrupted(fake: FakeA1111) -> None:
    """It would stop somebody else's picture."""
    fake.script(OUT_OF_MEMORY)
    async with server_at(fake.url) as server:
        await failing(server)
    assert fake.at(INTERRUPT) == []


async def test_a_server_that_is_down_is_left_alone_for_a_while(fake: FakeA1111) -> None:
    await fake.stop()
    now = 0.0
    breaker = Breaker(threshold=2, span=0.0, pause=5.0, now=lambda: now)
    async with server_at(fake.url, breaker=breaker) as server:
        assert [(await failing(server)).code for _ in range(3)] == [
            "image_unreachable",
            "image_unreachable",
            "image_server_down",
        ]
        await fake.start()
        down = await failing(server)
        assert (down.code, down.transient) == ("image_server_down", False)
        assert fake.requests == []
        now = 6.0
        await made(server)


async def test_the_check_passes(fake: FakeA1111) -> None:
    async with server_at(fake.url) as server:
        await server.check()
    assert fake.orders == []


@pytest.mark.parametrize(
    ("script", "code"),
    [(NO_API, "image_not_found"), (HTML, "image_bad_answer"), (BROKEN, "image_server_error")],
)
async def test_the_check_fails(fake: FakeA1111, script: Script, code: str) -> None:
    fake.answers["/sdapi/v1/options"] = script
    async with server_at(fake.url) as server:
        with pytest.raises(ImageServerError) as caught:
            await server.check()
    assert caught.value.code == code


async def test_the_check_is_bounded(fake: FakeA1111) -> None:
    fake.answers["/sdapi/v1/options"] = HANG
    async with server_at(fake.url, seconds=0.2) as server:
        with pytest.raises(ImageServerError) as caught:
            await server.check()
    assert caught.value.code == "image_timeout"
