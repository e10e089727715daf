"""The painter that is always there: cards made by the hub itself while no image server is set up."""

from __future__ import annotations

from typing import Final

from hub.core.errors import HubError
from hub.providers.images.protocol import ImageServerError, Picture, PictureOrder, Progress
from hub.storage.errors import disk_errors
from hub.storage.files import FileStore
from hub.storage.images import LARGEST_CARD, SMALLEST_CARD, ImageProcesses
from hub.storage.threads import to_end

MODEL: Final = "card"


class Painter:
    """Paints a placeholder from the name, the captions and the seed of an order, and says so on it.

    It reads no prompt. The same order gives the same bytes on one machine. What it needs is lent to it, and
    stays with whoever lent it.
    """

    def __init__(self, files: FileStore, processes: ImageProcesses) -> None:
        self._files = files
        self._processes = processes

    @property
    def provider(self) -> str:
        """Its kind."""
        return "painter"

    async def make(self, order: PictureOrder, *, progress: Progress, ticket: str | None = None) -> Picture:
        """Paint a card, in a process of its own; see the protocol. A ticket is never given, so none is read.

        Raises:
            ImageServerError: the size is beyond what is painted, or the machine cannot do it at the moment.
        """
        del ticket
        for side in (order.width, order.height):
            if not SMALLEST_CARD <= side <= LARGEST_CARD:
                raise ImageServerError(
                    "image_bad_request",
                    f"The built-in painter makes pictures of {SMALLEST_CARD} to {LARGEST_CARD:,} pixels "
                    "a side. Ask for another size.",
                    transient=False,
                )
        progress.tell(0.0)
        content = await self._paint(order)
        progress.tell(1.0)
        return Picture(content=content, seed=order.seed, model=MODEL, sampler="", steps=0)

    async def check(self) -> None:
        """Return: it is part of the hub."""

    async def close(self) -> None:
        """Return: it has nothing of its own."""

    async def _paint(self, order: PictureOrder) -> bytes:
        try:
            async with self._files.temporary() as temp:
                await self._processes.paint(
                    temp.path,
                    seed=order.seed,
                    width=order.width,
                    height=order.height,
                    title=order.title,
                    captions=order.captions,
                )
                with disk_errors():
                    return await to_end(temp.path.read_bytes)
        except HubError as error:
            raise ImageServerError(
                "image_server_error",
                "The built-in painter could not paint the picture. Please try again in a few minutes.",
                transient=True,
                detail=error.code,
            ) from error
