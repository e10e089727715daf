"""What the hub asks of an image server, and what it gets back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from hub.providers.errors import ProviderError


class PictureOrder(Struct, frozen=True, kw_only=True):
    """A picture to be made.

    ``seed`` is 0 to 2**32 - 1; ``width`` and ``height`` are multiples of 8. ``title`` and ``captions`` are
    the companion's name and the words of its scene, for the painter that draws a card and reads no prompt.
    """

    prompt: str
    negative_prompt: str
    seed: int
    width: int
    height: int
    title: str
    captions: tuple[str, ...]


class Picture(Struct, frozen=True, kw_only=True):
    """A picture as the server made it: a whole PNG, JPEG or WebP file, and what it really used.

    ``prompt`` is set where the server changed it (OpenAI's ``revised_prompt``). ``steps`` is 0 and
    ``sampler`` empty where the server has no such thing.
    """

    content: bytes
    seed: int
    model: str
    sampler: str
    steps: int
    prompt: str | None = None


def _nobody() -> bool:
    return False


class Progress(Struct, frozen=True, kw_only=True):
    """Whom a server tells while it works.

    ``tell`` takes the share that is done, 0 to 1, and returns at once. ``keep_ticket`` is awaited with the
    server's own id of the work before its end is waited for, so that another attempt can ask for the result.
    ``hands_over`` says of a cancelled call whether another attempt will.
    """

    tell: Callable[[float], None]
    keep_ticket: Callable[[str], Awaitable[None]]
    hands_over: Callable[[], bool] = _nobody


class ImageServerError(ProviderError):
    """The image server made no picture; codes begin with ``image_``."""


class ImageServer(Protocol):
    """A server that makes pictures. To be used from one event loop."""

    @property
    def provider(self) -> str:
        """Its kind, as recipes name it: a1111, comfyui, openai or painter."""

    async def make(self, order: PictureOrder, *, progress: Progress, ticket: str | None = None) -> Picture:
        """Make a picture, or raise ``ImageServerError``.

        ``ticket`` is what an earlier attempt was given: the server is asked for that work first. Cancelling
        the call stops the server's work where the server can, unless it is handed over with its ticket.
        """

    async def check(self) -> None:
        """Return if the server can be asked now, else raise ``ImageServerError``."""

    async def close(self) -> None:
        """Give back what is its own."""
