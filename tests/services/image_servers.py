"""Ordering pictures from image servers, and noting what they tell."""

from __future__ import annotations

import asyncio

import pytest

from hub.providers.images.options import Options
from hub.providers.images.protocol import (
    ImageServer,
    ImageServerError,
    Picture,
    PictureOrder,
    Progress,
)

OPTIONS = Options(model=None, steps=28, cfg_scale=6.0, sampler="DPM++ 2M Karras")


def order(*, prompt: str = "a portrait 🫖", seed: int = 42, size: tuple[int, int] = (64, 96)) -> PictureOrder:
    return PictureOrder(
        prompt=prompt,
        negative_prompt="blurry",
        seed=seed,
        width=size[0],
        height=size[1],
        title="Ada",
        captions=("in a café",),
    )


class Told:
    """What was told: the shares so far, the tickets so far."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.tickets: list[str] = []
        self._came = asyncio.Event()
        self.progress = Progress(tell=self._tell, keep_ticket=self._keep)

    async def wait_for_share(self, share: float) -> None:
        """Wait until so much is told to be done."""
        async with asyncio.timeout(5):
            while not self.shares or self.shares[-1] < share:
                self._came.clear()
                await self._came.wait()

    def _tell(self, share: float) -> None:
        self.shares.append(share)
        self._came.set()

    async def _keep(self, ticket: str) -> None:
        self.tickets.append(ticket)


async def made(server: ImageServer, wanted: PictureOrder | None = None) -> Picture:
    return await server.make(wanted or order(), progress=Told().progress)


async def failing(server: ImageServer) -> ImageServerError:
    with pytest.raises(ImageServerError) as caught:
        await made(server)
    return caught.value
