"""OpenAI's kind of image servers: a real HTTP server with every fault that they have."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from hub.providers.http.breaker import Breaker
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.foreign import ForeignFetcher
from hub.providers.http.network import open_pool
from hub.providers.images.openai import OpenAIImages
from hub.providers.images.options import Options
from hub.providers.images.protocol import ImageServerError, Picture
from tests.fakes.a1111 import HANG, HTML, RESET, cut, cut_without_length, encoded, picture
from tests.fakes.llm_script import Script, error, status
from tests.fakes.openai_images import (
    CONTENT_POLICY,
    GENERATIONS,
    HARD_LIMIT,
    MODERATION,
    NO_CREDIT,
    TOO_FAST,
    FakeOpenAIImages,
    drawn,
)
from tests.services.image_servers import Told, failing, made, order

KEY = "sk-canary-5f1c9e"
PICTURE = picture(64, 64, 1)
ENCODED = encoded(PICTURE)
GPT_IMAGE = ("1024x1024", "1024x1536", "1536x1024")


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenAIImages]:
    async with FakeOpenAIImages() as server:
        yield server


@contextlib.asynccontextmanager
async def server_at(
    url: str, *, seconds: float = 10, model: str | None = "gpt-image", fetcher: ForeignFetcher | None = None
) -> AsyncIterator[OpenAIImages]:
    pool = open_pool()
    try:
        yield OpenAIImages(
            Endpoint.parse(url, KEY, whose="the image server's"),
            pool,
            options=Options(model=model, steps=28, cfg_scale=6.0, sampler="Euler"),
            timeout=seconds,
            breaker=Breaker(),
            fetcher=fetcher,
        )
    finally:
        await pool.aclose()


async def test_the_request_is_what_was_ordered(fake: FakeOpenAIImages) -> None:
    fake.key = KEY
    told = Told()
    async with server_at(fake.url) as server:
        painted = await server.make(order(seed=7), progress=told.progress, ticket="from before")
        await server.check()
    assert painted == Picture(content=PICTURE, seed=7, model="gpt-image", sampler="", steps=0)
    (request,) = fake.at(GENERATIONS)
    assert request.body == {
        "model": "gpt-image",
        "prompt": "a portrait 🫖",
        "n": 1,
        "size": "64x96",
        "response_format": "b64_json",
    }
    assert (told.shares, told.tickets) == ([], [])


async def test_without_a_model_none_is_named(fake: FakeOpenAIImages) -> None:
    async with server_at(fake.url, model=None) as server:
        assert (await made(server)).model == ""
    assert "model" not in fake.orders[0]


@pytest.mark.parametrize(
    ("revised", "kept"),
    [("a fine portrait", "a fine portrait"), ("a portrait 🫖", None), (" ", None), ("a\x00b", "ab")],
)
async def test_a_revised_prompt_is_kept(fake: FakeOpenAIImages, revised: str, kept: str | None) -> None:
    fake.revised_prompt = revised
    async with server_at(fake.url) as server:
        assert (await made(server)).prompt == kept


async def test_response_format_is_left_out_for_those_that_refuse_it(fake: FakeOpenAIImages) -> None:
    fake.response_format = False
    async with server_at(fake.url) as server:
        await made(server)
        await made(server)
    assert ["response_format" in body for body in fake.orders] == [True, False, False]
    assert {body["size"] for body in fake.orders} == {"64x96"}


@pytest.mark.parametrize(
    ("asked", "sizes", "taken"),
    [
        ((832, 1216), GPT_IMAGE, "1024x1536"),
        ((1216, 832), GPT_IMAGE, "1536x1024"),
        ((512, 512), GPT_IMAGE, "1024x1024"),
        ((832, 1216), ("256x256", "512x512", "1024x1024"), "1024x1024"),
        ((832, 1216), ("1024x1024", "1024x1792", "1792x1024"), "1024x1792"),
    ],
)
async def test_the_nearest_of_the_known_sizes_is_taken(
    fake: FakeOpenAIImages, asked: tuple[int, int], sizes: tuple[str, ...], taken: str
) -> None:
    fake.sizes = sizes
    async with server_at(fake.url) as server:
        await made(server, order(size=asked))
        await made(server, order(size=asked))
        await made(server, order(size=(1024, 1024)))
    assert [body["size"] for body in fake.orders] == [f"{asked[0]}x{asked[1]}", taken, taken, "1024x1024"]


@pytest.mark.parametrize(
    ("auto", "sizes"), [(True, ["64x96", "auto", "auto"]), (False, ["64x96", "auto", None, None])]
)
async def test_a_size_that_nobody_names_is_left_to_the_server(
    fake: FakeOpenAIImages, *, auto: bool, sizes: Sequence[str | None]
) -> None:
    fake.sizes, fake.names_sizes, fake.auto = (), False, auto
    async with server_at(fake.url) as server:
        await made(server)
        await made(server)
    assert [body.get("size") for body in fake.orders] == list(sizes)


async def test_both_may_be_refused(fake: FakeOpenAIImages) -> None:
    fake.response_format, fake.sizes = False, GPT_IMAGE
    async with server_at(fake.url) as server:
        await made(server)
    assert len(fake.orders) == 3
    assert fake.orders[-1] == {
        "model": "gpt-image",
        "prompt": "a portrait 🫖",
        "n": 1,
        "size": "1024x1536",
    }


async def test_nothing_is_learned_from_what_did_not_work(fake: FakeOpenAIImages) -> None:
    refusal = error(400, "Unknown parameter: 'response_format'.")
    fake.script(refusal, status(500, ""))
    async with server_at(fake.url) as server:
        await failing(server)
        await made(server)
    assert ["response_format" in body for body in fake.orders] == [True, False, True]


async def test_a_server_that_refuses_everything_is_not_asked_for_ever(fake: FakeOpenAIImages) -> None:
    fake.script(*[error(400, "response_format and size are wrong")] * 20)
    async with server_at(fake.url) as server:
        assert (await failing(server)).code == "image_bad_request"
    assert len(fake.orders) <= 6


async def test_an_address_at_the_server_itself_is_followed(fake: FakeOpenAIImages) -> None:
    fake.as_url = True
    async with server_at(fake.url) as server:
        assert (await made(server)).content == PICTURE
    assert fake.at("/files/1")[0].headers["authorization"] == f"Bearer {KEY}"


async def test_an_address_in_the_own_network_is_not_followed(fake: FakeOpenAIImages) -> None:
    async with FakeOpenAIImages() as other, server_at(fake.url) as server:
        fake.script(drawn({"url": f"{other.origin}/files/1"}))
        failed = await failing(server)
        assert other.requests == []
    assert (failed.code, failed.transient) == ("image_bad_answer", False)
    assert other.origin not in f"{failed} {failed.detail}"


async def test_a_public_address_is_fetched_without_the_key(fake: FakeOpenAIImages) -> None:
    asked: list[str] = []

    class Fetcher(ForeignFetcher):
        async def get(self, url: str) -> bytes:
            asked.append(url)
            return PICTURE

    fake.script(drawn({"url": "https://files.example/x.png?sig=1"}))
    async with server_at(fake.url, fetcher=Fetcher(own=None)) as server:
        assert (await made(server)).content == PICTURE
    assert asked == ["https://files.example/x.png?sig=1"]


async def test_a_file_that_is_not_there_any_more(fake: FakeOpenAIImages) -> None:
    fake.script(drawn({"url": f"{fake.origin}/v1/gone.png"}), drawn({"url": f"{fake.origin}/files/1"}))
    async with server_at(fake.url) as server:
        assert (await failing(server)).code == "image_bad_answer"
        await made(server)


DATA_URL = f"data:image/png;base64,{ENCODED}"
GOOD: dict[str, Script] = {
    "base64": drawn({"b64_json": ENCODED}),
    "base64 as a data URL": drawn({"b64_json": DATA_URL}),
    "a data URL as the address": drawn({"url": DATA_URL}),
    "both": drawn({"b64_json": ENCODED, "url": "http://127.0.0.1:9/x"}),
    "two of them": drawn({"b64_json": ENCODED}, {"b64_json": "x"}),
    "a prompt of another type": drawn({"b64_json": ENCODED, "revised_prompt": ["x"]}),
}


@pytest.mark.parametrize("case", GOOD)
async def test_good_answers(fake: FakeOpenAIImages, case: str) -> None:
    fake.script(GOOD[case])
    async with server_at(fake.url) as server:
        painted = await made(server)
    assert painted == Picture(content=PICTURE, seed=42, model="gpt-image", sampler="", steps=0)


FAULTS: dict[str, tuple[Script, str, bool]] = {
    "401": (error(401, f"Incorrect API key provided: {KEY}"), "image_refused_key", False),
    "400 about the key": (error(400, "bad key", code="invalid_api_key"), "image_refused_key", False),
    "403": (error(403, "no"), "image_forbidden", False),
    "404": (error(404, "The model does not exist", code="model_not_found"), "image_not_found", False),
    "400 about the model": (error(400, "no", code="model_not_found"), "image_not_found", False),
    "422": (error(422, "prompt: field required"), "image_bad_request", False),
    "429 for its rate": (TOO_FAST, "image_overloaded", True),
    "429 for its quota": (NO_CREDIT, "image_quota", False),
    "400 for its limit": (HARD_LIMIT, "image_quota", False),
    "content policy": (CONTENT_POLICY, "image_content_filter", False),
    "moderation": (MODERATION, "image_content_filter", False),
    "500": (error(500, "oh"), "image_server_error", True),
    "500 out of memory": (error(500, "CUDA out of memory"), "image_out_of_memory", True),
    "503": (error(503, "no backend"), "image_overloaded", True),
    "504": (status(504, ""), "image_timeout", True),
    "a redirect": (status(307, "", headers={"Location": "http://127.0.0.1:9/"}), "image_redirected", False),
    "no data": (status(200, {"created": 1}), "image_empty", False),
    "data that is null": (status(200, {"data": None}), "image_empty", False),
    "an empty list": (drawn(), "image_empty", False),
    "a null in it": (drawn(None), "image_empty", False),
    "neither base64 nor address": (drawn({"revised_prompt": "x"}), "image_empty", False),
    "nulls": (drawn({"b64_json": None, "url": None}), "image_empty", False),
    "HTML": (HTML, "image_bad_answer", False),
    "another JSON": (status(200, '{"data": 5}'), "image_bad_answer", False),
    "broken base64": (drawn({"b64_json": "!" + ENCODED}), "image_bad_answer", False),
    "no picture": (drawn({"b64_json": base64.b64encode(b"<svg/>").decode()}), "image_bad_answer", False),
    "a file of the machine": (drawn({"url": "file:///etc/passwd"}), "image_bad_answer", False),
    "metadata": (drawn({"url": "http://169.254.169.254/latest"}), "image_bad_answer", False),
    "cut in the body": (cut(), "image_truncated", True),
    "cut, and no length": (cut_without_length(), "image_truncated", True),
    "closed": (RESET, "image_unreachable", True),
    "hangs": (HANG, "image_timeout", True),
}


@pytest.mark.parametrize("case", FAULTS)
async def test_faults(fake: FakeOpenAIImages, case: str) -> None:
    script, code, transient = FAULTS[case]
    fake.script(script)
    async with server_at(fake.url, seconds=0.2 if case == "hangs" else 10) as server:
        failed = await failing(server)
        assert (failed.code, failed.transient) == (code, transient)
        assert KEY not in f"{failed} {failed.detail}"
        assert len(fake.orders) == 1
        await made(server)


async def test_the_servers_wish_is_passed_on(fake: FakeOpenAIImages) -> None:
    fake.script(TOO_FAST)
    async with server_at(fake.url) as server:
        assert (await failing(server)).retry_after == 9


async def test_cancelling_closes_the_connection(fake: FakeOpenAIImages) -> None:
    fake.script(HANG)
    async with server_at(fake.url) as server:
        making = asyncio.ensure_future(made(server))
        await fake.wait_for(lambda: len(fake.orders) == 1)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        await fake.wait_for(lambda: fake.disconnects == 1)


@pytest.mark.parametrize(
    ("models", "code"),
    [
        (status(404, ""), None),
        (status(501, ""), None),
        (error(401, "no"), "image_refused_key"),
        (HANG, "image_timeout"),
    ],
)
async def test_the_check(fake: FakeOpenAIImages, models: Script, code: str | None) -> None:
    fake.models = models
    expected = contextlib.nullcontext() if code is None else pytest.raises(ImageServerError)
    async with server_at(fake.url, seconds=0.2 if models is HANG else 10) as server:
        with expected as caught:
            await server.check()
    assert caught is None or caught.value.code == code
