"""The image processes: at most so many, started when there is work, ended when there is none."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TypeVar

from hub.core.errors import HubError
from hub.core.logging import get_logger
from hub.storage.codec.contracts import (
    Converted,
    ConvertOrder,
    DiskFailed,
    Encoded,
    EncodeOrder,
    Encoding,
    MediaType,
    Order,
    Painted,
    PaintOrder,
    Refused,
)
from hub.storage.codec.errors import TooManyPixelsError, UnreadableImageError, UnsupportedImageError
from hub.storage.errors import disk_errors
from hub.storage.images.child import Child, DiedError, NotBegunError
from hub.storage.images.errors import ImagesUnavailableError

_CONVERT_EFFORT = 4  # made once and kept: libwebp's default, 40 ms a picture
_ATTEMPTS = 2  # a process may have been killed since it was last used
_STOP_SECONDS = 1.0
_MOST_CAPTIONS = 8  # more than are shown
_LONGEST_WORDS = 500  # characters of each

#: Pixels of a side of a card.
SMALLEST_CARD = 64
LARGEST_CARD = 2048

_REFUSALS: dict[str, type[HubError]] = {
    each.code: each for each in (UnsupportedImageError, UnreadableImageError, TooManyPixelsError)
}
_Result = TypeVar("_Result", Encoded, Converted, Painted)
logger = get_logger(__name__)


class ImageProcesses:
    """At most ``count`` processes, each with one picture at a time; further requests wait for their turn.

    A picture has ``timeout`` seconds from the moment a process takes it; a process without work ends after
    ``idle`` seconds. Whatever a picture does to its process, only its own request fails. To be used from one
    event loop.
    """

    def __init__(self, *, count: int = 2, timeout: float = 5.0, idle: float = 60.0) -> None:
        self._count = count
        self._timeout = timeout
        self._idle = idle
        self._turn = asyncio.Semaphore(count)
        self._busy: set[Child] = set()
        self._free: dict[Child, asyncio.TimerHandle] = {}  # the last one in is the first one out
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pids(self) -> list[int]:
        """The processes that are running."""
        found = (child.pid for child in (*self._busy, *self._free) if not child.dead)
        return [pid for pid in found if pid is not None]

    def warm(self) -> None:
        """Start a process if none is free and there may be another: a picture is on its way."""
        self._drop_dead()
        if not self._closed and not self._free and len(self._busy) < self._count:
            self._keep(Child(timeout=self._timeout))

    async def encode(self, source: Path, *, main: Path, thumb: Path, box: int, encoding: Encoding) -> Encoded:
        """Fit a picture inside ``box`` x ``box`` pixels and write it with its thumbnail (256 x 256).

        Args:
            source: a complete file, as somebody sent it.
            main: an existing file, which is overwritten; on the disk when this returns.
            thumb: likewise.
            box: the longer side at most; nothing is enlarged.
            encoding: of both files.

        Raises:
            UnsupportedImageError, UnreadableImageError, TooManyPixelsError: it is the picture's fault.
            NoRoomError, StorageFailedError: it is the disk's.
            ImagesUnavailableError: it is ours.
        """
        order = EncodeOrder(
            source=os.fsencode(source),
            main=os.fsencode(main),
            thumb=os.fsencode(thumb),
            box=box,
            encoding=encoding,
        )
        return await self._carry_out(order, Encoded)

    async def convert(self, source: Path, *, target: Path, media_type: MediaType, quality: int) -> None:
        """Write a picture that is stored here to ``target``, an existing file, in another type.

        Raises:
            UnreadableImageError: the stored file is damaged.
            NoRoomError, StorageFailedError, ImagesUnavailableError: as above.
        """
        encoding = Encoding(media_type=media_type, quality=quality, effort=_CONVERT_EFFORT)
        order = ConvertOrder(source=os.fsencode(source), target=os.fsencode(target), encoding=encoding)
        await self._carry_out(order, Converted)

    async def paint(
        self,
        target: Path,
        *,
        seed: int,
        width: int,
        height: int,
        title: str,
        captions: Sequence[str],
        portrait: bool = False,
    ) -> None:
        """Paint a card of a companion and write it to ``target``, an existing file, as PNG.

        Args:
            target: overwritten; on the disk when this returns.
            seed: another one gives another card; with all else the same too, the file is the same.
            width: in pixels, like ``height`` :data:`SMALLEST_CARD` to :data:`LARGEST_CARD`.
            height: likewise.
            title: the companion's name, of whatever characters.
            captions: what the card says of the scene; their words also choose what is painted.
            portrait: leaves out the words and the band that calls it a placeholder.

        Raises:
            ValueError: the size is beyond what is painted.
            UnreadableImageError: the process that painted died of it, or was too slow.
            NoRoomError, StorageFailedError, ImagesUnavailableError: as above.
        """
        if not (SMALLEST_CARD <= width <= LARGEST_CARD and SMALLEST_CARD <= height <= LARGEST_CARD):
            raise ValueError(f"a card of {width} x {height} pixels cannot be painted")
        order = PaintOrder(
            target=os.fsencode(target),
            seed=seed,
            width=width,
            height=height,
            title=_sendable(title),
            captions=tuple(_sendable(each) for each in captions[:_MOST_CAPTIONS]),
            portrait=portrait,
        )
        await self._carry_out(order, Painted)

    async def close(self) -> None:
        """End all processes; requests under way, and later ones, fail with ``ImagesUnavailableError``."""
        self._closed = True
        for child in list(self._free):
            self._retire(child)
        for child in self._busy:
            self._in_background(child.end())
        async with contextlib.AsyncExitStack() as turns:
            for _ in range(self._count):  # when all turns are ours, no request is under way
                await turns.enter_async_context(self._turn)
        while self._endings:
            await asyncio.gather(*self._endings, return_exceptions=True)

    async def _carry_out(self, order: Order, result: type[_Result]) -> _Result:
        async with self._turn:
            answer = await self._answer(order, result)
        if isinstance(answer, Refused):
            raise _REFUSALS[answer.code](answer.detail)
        if isinstance(answer, DiskFailed):
            with disk_errors():
                raise OSError(answer.number, answer.text)
        return answer

    async def _answer(self, order: Order, result: type[_Result]) -> _Result | Refused | DiskFailed:
        for _ in range(_ATTEMPTS):
            try:
                return await self._ask(order, result)
            except NotBegunError as error:
                if self._closed:
                    break
                logger.warning("image process was not there", reason=str(error))
        if not self._closed:
            logger.error("no image process can be started: pictures are refused until one can")
        raise ImagesUnavailableError(
            "The server cannot process pictures at the moment. Please try again in a few minutes."
        )

    async def _ask(self, order: Order, result: type[_Result]) -> _Result | Refused | DiskFailed:
        """Give an order to a process. One that did not answer as it should is ended, never asked again."""
        child = self._take()
        answered = False
        try:
            answer = await child.ask(order, result)
            answered = True
        except TimeoutError:
            logger.warning("image process took too long and is ended", seconds=self._timeout)
            raise UnreadableImageError(
                "The picture takes too long to read. Please save it anew or make it smaller."
            ) from None
        except DiedError as error:
            if self._closed:
                raise NotBegunError from None
            logger.warning("image process died of a picture", how=str(error))
            raise UnreadableImageError(
                "The picture cannot be read. Please save it anew, or send another one."
            ) from None
        else:
            return answer
        finally:
            self._busy.discard(child)
            if answered and not self._closed:
                self._keep(child)
            else:
                self._in_background(child.end())

    def _take(self) -> Child:
        """Return a free process or a new one."""
        if self._closed:
            raise NotBegunError
        self._drop_dead()
        if self._free:
            child, timer = self._free.popitem()
            timer.cancel()
        else:
            child = Child(timeout=self._timeout)
        self._busy.add(child)
        return child

    def _keep(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        self._free[child] = loop.call_later(self._idle, self._retire, child)

    def _drop_dead(self) -> None:
        for child in [each for each in self._free if each.dead]:
            self._retire(child)

    def _retire(self, child: Child) -> None:
        self._free.pop(child).cancel()
        self._in_background(child.end(patience=_STOP_SECONDS))

    def _in_background(self, ending: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(ending, name="image-process-end")
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)


def _sendable(text: str) -> str:
    """Return as much of a text as an order carries, without halves of characters that JSON cannot have."""
    return text[:_LONGEST_WORDS].encode("utf-8", "replace").decode("utf-8")
