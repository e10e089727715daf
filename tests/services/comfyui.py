"""ComfyUI as tests ask for its pictures."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from hub.providers.http.breaker import Breaker
from hub.providers.http.endpoint import Endpoint
from hub.providers.http.network import open_pool
from hub.providers.images.comfyui import ComfyUI
from hub.providers.images.options import Options
from hub.providers.images.protocol import ImageServerError, Picture, PictureOrder

KEY = "canary-key-8c21"
PROMPT = "portrait, canary words of the prompt"
ORDER = PictureOrder(
    prompt=PROMPT,
    negative_prompt="blurry",
    seed=2**32 - 1,
    width=832,
    height=1216,
    title="Ada",
    captions=("red dress",),
)
CHOSEN = Options(model="chosen.safetensors", steps=28, cfg_scale=6.0, sampler="DPM++ 2M Karras")
UNCHOSEN = Options(model=None, steps=28, cfg_scale=6.0, sampler="DPM++ 2M Karras")


@contextlib.asynccontextmanager
async def server_at(
    url: str,
    *,
    options: Options = CHOSEN,
    seconds: float = 20,
    poll: float = 0.02,
    workflow: Path | None = None,
    max_bytes: int = 1024 * 1024,
) -> AsyncIterator[ComfyUI]:
    pool = open_pool()
    try:
        yield ComfyUI(
            Endpoint.parse(url, KEY, whose="the image server's"),
            pool,
            options=options,
            timeout=seconds,
            breaker=Breaker(span=0),
            workflow=workflow,
            poll_seconds=poll,
            max_bytes=max_bytes,
        )
    finally:
        await pool.aclose()


async def failed(making: Awaitable[Picture]) -> ImageServerError:
    """Return how it failed, checking that no word of the prompt nor the key got out."""
    with pytest.raises(ImageServerError) as raised:
        await making
    for text in (raised.value.message, raised.value.detail, repr(raised.value.__cause__)):
        assert "canary" not in text
    return raised.value
