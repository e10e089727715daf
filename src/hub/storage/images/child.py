"""One image process, as the hub sees it: started, asked, ended."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
from collections import deque
from typing import TypeVar

import msgspec

from hub.core import children
from hub.storage.codec.confinement import ENVIRONMENT
from hub.storage.codec.contracts import (
    Answer,
    Begun,
    Converted,
    DiskFailed,
    Encoded,
    Order,
    Painted,
    Ready,
    Refused,
)

_PROGRAM = "hub.storage.codec.program"
_NONSENSE = "it says what makes no sense"
_START_SECONDS = 20.0  # a slow disk may take long; 0.1 s is usual

_answers = msgspec.json.Decoder(Answer)
_Result = TypeVar("_Result", Encoded, Converted, Painted)


class NotBegunError(Exception):
    """The process did not take the order, so it may be given to another one; the text says why."""


class DiedError(Exception):
    """The process ended over an order; the text says how."""


class Child:
    """A process that carries out one order at a time, started by making this object in a running loop.

    The kernel kills it when the thread that started it ends.
    """

    def __init__(self, *, timeout: float) -> None:
        self._timeout = timeout
        self._process: asyncio.subprocess.Process | None = None
        self._last_words: deque[str] = deque(maxlen=5)
        self._listener: asyncio.Task[None] | None = None
        self._started = asyncio.create_task(self._start(), name="image-process")

    @property
    def pid(self) -> int | None:
        """Its process id, once it is started."""
        return self._process.pid if self._process is not None else None

    @property
    def dead(self) -> bool:
        """It has ended, or could not be started."""
        if self._started.done() and (self._started.cancelled() or self._started.exception() is not None):
            return True
        return self._process is not None and self._process.returncode is not None

    async def ask(self, order: Order, result: type[_Result]) -> _Result | Refused | DiskFailed:
        """Return the answer to an order, of the type ``result`` if it could be carried out.

        After any exception, this process must not be asked again.

        Raises:
            NotBegunError: it was not there to take the order.
            DiedError: it ended before it had an answer.
            TimeoutError: it was too slow and has to be ended.
        """
        await asyncio.shield(self._started)
        try:
            async with asyncio.timeout(self._timeout):
                await self._write(msgspec.json.encode(order) + b"\n")
                begun = await self._read()
        except (OSError, EOFError) as error:  # a TimeoutError is an OSError
            raise NotBegunError(str(error) or "it does not answer") from None
        if not isinstance(begun, Begun):
            raise NotBegunError(_NONSENSE)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._read()
        except EOFError as error:
            raise DiedError(str(error)) from None
        if not isinstance(answer, (result, Refused, DiskFailed)):
            raise DiedError(_NONSENSE)
        return answer

    async def end(self, *, patience: float = 0.0) -> None:
        """Return when the process is gone; ``patience``: how many seconds it has to leave by itself."""
        with contextlib.suppress(NotBegunError, asyncio.CancelledError):
            await self._started
        if self._process is not None:
            await children.end(self._process, patience=patience)
        if self._listener is not None:
            await self._listener

    async def _start(self) -> None:
        arguments = ("-m", _PROGRAM, str(os.getpid()), str(math.ceil(self._timeout) + 1))
        try:
            self._process = await children.spawn(*arguments, environment=ENVIRONMENT)
            self._listener = asyncio.create_task(self._listen(self._process))
            async with asyncio.timeout(_START_SECONDS):
                ready = await self._read()
        except (OSError, EOFError) as error:
            raise NotBegunError(f"it does not start: {error} {self._words()}") from None
        if not isinstance(ready, Ready):
            raise NotBegunError(_NONSENSE)

    async def _write(self, line: bytes) -> None:
        if self._process is None or self._process.stdin is None:
            raise EOFError
        self._process.stdin.write(line)
        await self._process.stdin.drain()

    async def _read(self) -> Answer:
        if self._process is None or self._process.stdout is None:
            raise EOFError
        try:
            line = await self._process.stdout.readline()
            if line.endswith(b"\n"):
                answer: Answer = _answers.decode(line)
                return answer
        except (ValueError, msgspec.DecodeError):  # a line without end, or no answer at all
            raise EOFError(_NONSENSE) from None
        raise EOFError(await self._how_it_ended(self._process))

    async def _how_it_ended(self, process: asyncio.subprocess.Process) -> str:
        """Return the signal or exit code; a process that closes its output is about to end, or is made to."""
        await children.end(process, patience=1.0)
        if self._listener is not None:
            await self._listener
        code = process.returncode or 0
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code} {self._words()}"

    def _words(self) -> str:
        """Return the last that Python complained about; never native code, it may quote the file."""
        return " | ".join(self._last_words)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            return
        with contextlib.suppress(ValueError):  # a line beyond the reader's limit
            async for line in process.stderr:
                self._last_words.append(line.decode("utf-8", "replace").strip()[:200])
