"""Which kind of image server the settings mean, and which one is there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import Struct

from hub.providers.http.network import open_pool
from hub.providers.images.factory import Kind, open_image_server
from hub.providers.images.protocol import ImageServer, ImageServerError
from tests.fakes.a1111 import RESET, FakeA1111
from tests.fakes.comfyui import Answer, FakeComfyUI
from tests.fakes.llm_script import End, Script, status, stream
from tests.fakes.openai_images import FakeOpenAIImages
from tests.services.image_servers import failing, made


class _Settings(Struct, kw_only=True):
    sd_url: str | None
    sd_kind: Kind = "auto"
    sd_key: str | None = None
    sd_model: str | None = None
    sd_steps: int = 28
    sd_cfg_scale: float = 6.0
    sd_sampler: str = "DPM++ 2M Karras"
    sd_timeout: float = 10.0
    sd_workflow: Path | None = None


@contextlib.asynccontextmanager
async def opened(settings: _Settings) -> AsyncIterator[ImageServer]:
    pool = open_pool()
    server = open_image_server(settings, pool)
    try:
        yield server
    finally:
        await server.close()
        await pool.aclose()


@pytest.mark.parametrize("suffix", ["", "/", "/sdapi/v1", "/sdapi/v1/"])
async def test_automatic1111_is_found(suffix: str) -> None:
    async with FakeA1111() as fake, opened(_Settings(sd_url=f"{fake.url}{suffix}")) as server:
        await server.check()
        assert server.provider == "a1111"
        await made(server)
        await made(server)
        assert len(fake.at("/system_stats")) == 1
        assert fake.made == 2


async def test_comfyui_is_found() -> None:
    async with FakeComfyUI() as fake, opened(_Settings(sd_url=fake.url)) as server:
        assert (await made(server)).content
        assert server.provider == "comfyui"


async def test_an_address_that_ends_in_v1_is_openais_kind() -> None:
    async with FakeOpenAIImages() as fake, opened(_Settings(sd_url=fake.url)) as server:
        assert server.provider == "openai"
        await made(server)
        assert len(fake.requests) == 1


async def test_the_operator_may_say_what_it_is() -> None:
    async with FakeA1111() as fake:
        async with opened(_Settings(sd_url=fake.url, sd_kind="a1111")) as server:
            await made(server)
        assert fake.at("/system_stats") == []
        async with opened(_Settings(sd_url=fake.url, sd_kind="comfyui")) as server:
            assert server.provider == "comfyui"
            assert (await failing(server)).code == "image_not_found"
        async with opened(_Settings(sd_url=fake.url, sd_kind="openai")) as server:
            assert (await failing(server)).code == "image_not_found"


@pytest.mark.parametrize("number", [302, 401, 429, 500, 503])
async def test_a_look_that_says_nothing_decides_nothing(number: int) -> None:
    async with FakeA1111() as fake, opened(_Settings(sd_url=fake.url)) as server:
        fake.answers["/system_stats"] = fake.answers["/sdapi/v1/txt2img"] = status(number, "")
        await failing(server)
        assert server.provider == "auto"
        del fake.answers["/sdapi/v1/txt2img"]
        await made(server)
        assert server.provider == "a1111"


@pytest.mark.parametrize("number", [404, 405, 501])
async def test_a_server_that_knows_no_such_page_is_automatic1111(number: int) -> None:
    async with FakeA1111() as fake, opened(_Settings(sd_url=fake.url)) as server:
        fake.answers["/system_stats"] = status(number, "")
        await server.check()
        assert server.provider == "a1111"


async def test_a_proxy_that_answers_for_a_server_that_is_starting_decides_nothing() -> None:
    async with FakeComfyUI() as fake, opened(_Settings(sd_url=fake.url)) as server:
        fake.always["/system_stats"] = Answer(404)
        await failing(server)
        with pytest.raises(ImageServerError):
            await server.check()
        del fake.always["/system_stats"]
        await made(server)
        assert server.provider == "comfyui"


@pytest.mark.parametrize("script", [stream(b"{", End.CLOSE), RESET], ids=["in the middle", "at once"])
async def test_a_look_that_is_cut_off_costs_no_picture(script: Script) -> None:
    async with FakeA1111() as fake, opened(_Settings(sd_url=fake.url)) as server:
        fake.answers["/system_stats"] = script
        await made(server)
        assert server.provider == "a1111"


async def test_a_server_may_come_up_later() -> None:
    fake = FakeA1111()
    await fake.start()
    await fake.stop()
    async with opened(_Settings(sd_url=fake.url)) as server:
        assert (await failing(server)).code == "image_unreachable"
        await fake.start()
        await made(server)
    await fake.stop()


async def test_a_page_that_is_not_comfyuis_is_none() -> None:
    async with FakeA1111() as fake, opened(_Settings(sd_url=fake.url)) as server:
        fake.answers["/system_stats"] = status(200, "<html>", content_type="text/html")
        await made(server)
        assert server.provider == "a1111"


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://ada:canary@127.0.0.1/"])
async def test_an_address_that_cannot_be_used(url: str) -> None:
    pool = open_pool()
    with pytest.raises(ValueError, match="the image server's address") as caught:
        open_image_server(_Settings(sd_url=url), pool)
    assert "canary" not in str(caught.value)
    await pool.aclose()


async def test_a_workflow_that_cannot_be_used(tmp_path: Path) -> None:
    pool = open_pool()
    with pytest.raises(ValueError, match="workflow"):
        open_image_server(
            _Settings(sd_url="http://127.0.0.1:8188", sd_workflow=tmp_path / "workflow.json"), pool
        )
    await pool.aclose()
